"""What becomes of a task that raises, exits, is killed, hangs, prints too much, leaves things, returns oddities."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.routines.tasks.conftest import Shop, await_gone, is_gone
from tests.support.cgroup import Group
from tests.support.scene import until

from clx.artifacts.store import ArtifactStore
from clx.routines.tasks.output import HALF, SHORT
from clx.workers.run_logs import named


def test_a_task_gets_its_arguments_as_they_are_annotated_and_its_result_is_kept(open_shop: Shop) -> None:
    done = open_shop.do("add", a=2)
    assert done.state == "succeeded"
    assert done.result["value"] == 3
    assert len(done.result["source"]) == 16
    assert (open_shop.queue.runs(done.id)[0]["peak_memory"] or 0) > 1 << 20


def test_what_a_task_raises_is_told_and_tried_no_other_time_unless_it_asked(open_shop: Shop) -> None:
    failed = open_shop.do("fails")
    assert failed.state == "failed"
    assert failed.run == 1
    error = failed.error or {}
    assert (error["type"], error["routine"]) == ("KeyError", "task:fails:1.0.0")
    assert "nothing of that name" in error["message"]
    assert 'raise KeyError("nothing of that name")' in error["traceback"]
    assert open_shop.said(failed) == "about to fail\n"


def test_a_task_that_says_how_often_is_tried_so_often(open_shop: Shop, tmp_path: Path) -> None:
    done = open_shop.do("tries", file=str(tmp_path / "tries"), options={"max_runs": 2})
    assert (done.state, done.run) == ("succeeded", 2)


def test_a_task_that_says_how_long_waits_so_long_before_it_is_tried_again(open_shop: Shop, tmp_path: Path) -> None:
    job = open_shop.put("waits", file=str(tmp_path / "tries"), options={"max_runs": 2})
    assert open_shop.end(job).state == "succeeded"
    first, second = open_shop.queue.runs(job)
    waited = second["started_at"] - first["ended_at"]
    assert waited >= 1000, "half of two seconds; without it three quarters of one are the most"


def test_a_task_may_want_no_other_run_or_one_at_a_time_of_its_own(open_shop: Shop) -> None:
    assert open_shop.do("asks", how="discard").run == 1
    began = time.monotonic()
    assert open_shop.do("asks", how="retry").run == 3
    assert time.monotonic() - began < 10


def test_a_task_that_calls_exit_has_failed_and_ends_nothing(open_shop: Shop) -> None:
    pid = open_shop.value("whoami")
    failed = open_shop.do("leaves", how="sys.exit")
    assert (failed.error or {})["type"] == "SystemExit"
    assert open_shop.value("whoami") == pid


@pytest.mark.parametrize(
    ("how", "words"),
    [("os._exit", "exited with code 3"), ("kill", "killed by SIGKILL"), ("close", "killed by SIGTERM")],
)
def test_a_task_whose_process_ends_is_tried_again_and_told_how_it_ended(open_shop: Shop, how: str, words: str) -> None:
    pid = open_shop.value("whoami")
    failed = open_shop.do("leaves", how=how, options={"max_runs": 2})
    assert (failed.state, failed.run) == ("failed", 2)
    error = failed.error or {}
    assert error["type"] == "WorkerDied"
    assert words in error["message"]
    assert open_shop.said(failed) in {"about to leave\n", "None"}
    assert open_shop.value("whoami") != pid


def test_a_task_that_overruns_is_killed_with_all_it_has_started(open_shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    sibling = [open_shop.put("add", a=number) for number in range(5)]
    began = time.monotonic()
    hanging = open_shop.put("hangs", file=str(file), options={"timeout": 700})
    after = [open_shop.put("add", a=number) for number in range(5)]
    failed = open_shop.end(hanging)
    assert time.monotonic() - began < 15
    error = failed.error or {}
    assert (failed.state, failed.run, error["type"]) == ("failed", 1, "Timeout")
    assert "longer than 0.7 seconds" in error["message"]
    assert open_shop.said(failed) == "hanging\n"
    await_gone(map(int, file.read_text().split()))
    ended = open_shop.queue.wait([*sibling, *after], timeout=60)
    assert {(each.state, each.run - each.released) for each in ended} == {("succeeded", 1)}


def test_one_that_is_deaf_to_the_first_signal_is_killed_all_the_same(open_shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    failed = open_shop.do("hangs", file=str(file), deaf=True, options={"timeout": 500})
    assert (failed.error or {})["type"] == "Timeout"
    await_gone(map(int, file.read_text().split()))


def test_a_running_task_that_is_cancelled_is_killed_with_all_it_has_started(open_shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    job = open_shop.put("hangs", file=str(file))
    until(lambda: file.exists() and len(file.read_text().split()) == 3)
    began = time.monotonic()
    open_shop.queue.cancel([job])
    assert open_shop.end(job).state == "cancelled"
    assert time.monotonic() - began < 4, "it waits for no heartbeat, which comes every five seconds"
    await_gone(map(int, file.read_text().split()))
    assert open_shop.value("add", a=1) == 2


def test_output_of_every_kind_is_kept_with_the_run(open_shop: Shop) -> None:
    done = open_shop.do("says", text="hello", times=2)
    said = open_shop.said(done)
    assert said.startswith("hello\nhello\nto stderr\n")
    assert "WARNING shop: logged" in said
    assert said.endswith("from a shell\n")
    assert open_shop.said(open_shop.do("add", a=1)) == "None", "each run has its own"


def test_of_a_flood_beginning_and_end_are_kept(open_shop: Shop) -> None:
    worker = psutil.Process(open_shop.processes[0].pid)
    done = open_shop.do("floods", mib=100)
    assert done.result["value"] == 100
    said = open_shop.said(done)
    digest = named(said)
    assert digest is not None
    assert said.endswith("the last line\n")
    assert len(said) < SHORT + 200
    data = ArtifactStore(open_shop.queue.database.state.shared / "artifacts").get_bytes(digest)
    assert data.startswith(b"the first line\nxxx")
    assert data.endswith(b"x\nthe last line\n")
    left_out = 100 * (1 << 20) + len("the first line\nthe last line\n") - 2 * HALF
    assert f"... {left_out} bytes were left out here ...".encode() in data
    assert len(data) < 2 * HALF + 100
    assert worker.memory_info().rss < 150 << 20


@pytest.mark.parametrize("what", ["thread", "child", "daemon"])
def test_who_leaves_a_thread_or_a_process_behind_is_replaced(open_shop: Shop, what: str, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    pid = open_shop.value("litters", what=what, file=str(file))
    assert open_shop.value("whoami") != pid
    assert is_gone(pid)
    if what != "thread":
        until(lambda: is_gone(int(file.read_text())))


def test_surroundings_that_a_task_has_changed_are_put_back(open_shop: Shop) -> None:
    before = open_shop.value("surroundings")
    assert open_shop.value("litters", what="surroundings") == before["pid"]
    job = open_shop.do("surroundings")
    assert job.result["value"] == before
    assert open_shop.said(job) == "heard\n"
    assert before["cwd"] == str(open_shop.folder)


def test_a_result_that_cannot_be_said_is_refused_by_its_place(open_shop: Shop) -> None:
    failed = open_shop.do("unsayable")
    error = failed.error or {}
    assert (failed.state, failed.run, error["type"]) == ("failed", 1, "RoutineValueError")
    assert 'result["rows"][1]: lock' in error["message"]


@pytest.mark.parametrize(
    "payload", [{}, {"arguments": []}, {"arguments": {"a": 1, "c": 2}}, {"arguments": {"a": {"$o": ["os.system", 1]}}}]
)
def test_a_forged_job_is_refused_before_anything_of_it_runs(open_shop: Shop, payload: dict[str, object]) -> None:
    from clx.db.jobs import NewJob

    failed = open_shop.end(open_shop.queue.enqueue(NewJob("task:add:1.0.0", payload, max_runs=3)))
    error = failed.error or {}
    assert (failed.state, failed.run) == ("failed", 1)
    assert error["type"] in {"RoutineValueError", "UsageError"}


def test_progress_is_told_while_it_runs_and_its_output_can_be_followed(open_shop: Shop, tmp_path: Path) -> None:
    from clx.workers.run_logs import live_log

    job = open_shop.put("counts", go=str(tmp_path / "go"))
    told = {"done": 4, "total": 5, "text": "counting"}
    until(lambda: (found := open_shop.queue.get(job)) is not None and found.progress == told)
    live = live_log(open_shop.queue.database.state.path, job, 1)
    until(lambda: live.exists() and live.read_text() == "counting\n")
    (tmp_path / "go").touch()
    assert open_shop.end(job).state == "succeeded"
    assert not live.exists()


def test_the_memory_of_a_run_is_its_own(open_shop: Shop) -> None:
    def peak(name: str, **arguments: Any) -> int:
        done = open_shop.do(name, **arguments)
        return int(open_shop.queue.runs(done.id)[0]["peak_memory"])

    small = peak("add", a=1)
    assert peak("grows", mib=200) > small + (180 << 20)
    assert peak("add", a=1) < small + (50 << 20)


def test_a_task_that_the_kernel_kills_for_want_of_memory_fails_alone(open_shop: Shop, group: Group) -> None:
    """In a real group with a limit: its worker, which is in none, and the tasks after it are unharmed."""
    child = psutil.Process(open_shop.value("whoami"))
    keeper = child.parent()
    assert keeper is not None
    group.limit(300 << 20)
    for process in (keeper, child):  # children that follow are in it, too
        group.take(process.pid)
    try:
        failed = open_shop.do("grows", mib=600, options={"max_runs": 2})
        error = failed.error or {}
        assert (failed.state, failed.run, error["type"]) == ("failed", 2, "WorkerDied")
        assert error["message"] == "Its process was killed by SIGKILL, probably out of memory."
        assert error["next_step"] == f"Look at its output: clx jobs logs {failed.id}"
        assert open_shop.value("add", a=1) == 2
        assert open_shop.processes[0].poll() is None
    finally:
        for pid in (keeper.pid, *(each.pid for each in keeper.children(recursive=True))):
            group.leave(pid)
