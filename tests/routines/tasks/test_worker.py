"""A worker of tasks: what it takes, how it begins and ends, and what becomes of what it had."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.routines.tasks.conftest import HERE, Shop, await_gone, below, is_gone
from tests.support.scene import until

from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable
from clx.platforms import oom
from clx.routines.tasks.process import TaskProcess
from clx.routines.tasks.wire import Wire
from clx.settings.schema import WorkersSettings
from clx.workers.pools import artifacts_pool


def test_it_registers_what_it_takes_and_takes_nothing_else(shop: Shop) -> None:
    shop.start()
    others = [
        shop.queue.enqueue(NewJob(type_, {"arguments": {"a": 1}}))
        for type_ in ("task:add:1.0.1", "task:os.system:1.0.0", "workflow:add", "add", "task:")
    ]
    assert shop.value("add", a=1) == 2
    assert {shop.queue.get(each).state for each in others if shop.queue.get(each)} == {"queued"}  # type: ignore[union-attr]
    table = WorkerTable(shop.queue.database)
    (row,) = table.list()
    assert (row.type, row.mode, row.pool) == ("python", "direct", "")
    assert "task:add:1.0.0" in table.routines(row.id)


def test_one_of_another_pool_takes_none_of_this(shop: Shop) -> None:
    shop.start()
    elsewhere = shop.put("add", a=1, options={"pool": "at:1234:"})
    assert shop.value("add", a=1) == 2
    assert shop.queue.get(elsewhere).state == "queued"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there", "No module named 'not_there'"),
        ("raise ValueError('first')", "ValueError: first"),
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("import os; os._exit(9)", "exited with code 9"),
    ],
)
def test_modules_that_cannot_be_imported_end_it_at_once_and_it_says_where(shop: Shop, text: str, said: str) -> None:
    (shop.folder / "broken.py").write_text(f"from clx import define\n{text}\n")
    worker = shop.start(shop.settings(modules=("broken",), path=(str(shop.folder),)), wait=False)
    worker.wait(timeout=60)
    told = worker.stderr.read() if worker.stderr else ""
    assert "Traceback" not in told
    assert re.search(said, told)
    if "os._exit" not in text:
        assert worker.returncode == 2
        assert "broken.py" in told or "not_there" in told
    assert WorkerTable(shop.queue.database).list(live=False) == []


def test_one_that_is_killed_leaves_no_process_and_its_job_goes_to_another(shop: Shop, tmp_path: Path) -> None:
    worker, file = shop.start(), tmp_path / "pids"
    job = shop.put("hangs", file=str(file))
    until(lambda: file.exists() and len(file.read_text().split()) == 3)
    processes = [each.pid for each in below(worker)] + list(map(int, file.read_text().split()))
    file.unlink()
    worker.kill()
    await_gone(processes)
    shop.start()
    until(lambda: file.exists() and len(file.read_text().split()) == 3)
    shop.queue.cancel([job])
    found = shop.end(job)
    assert (found.state, found.run) == ("cancelled", 2)


@pytest.mark.parametrize("which", [0, 1])
def test_it_goes_on_when_its_keeper_or_its_idle_child_is_killed(shop: Shop, which: int) -> None:
    worker = shop.start()
    pid = shop.value("whoami")
    keeper, child = below(worker)
    assert child.pid == pid
    (keeper, child)[which].kill()
    until(lambda: is_gone(pid))
    done = shop.do("whoami")
    assert (done.state, done.run) == ("succeeded", 1), done.error
    assert done.result["value"] != pid


def test_a_job_whose_keeper_is_killed_is_tried_again(shop: Shop, tmp_path: Path) -> None:
    worker, go = shop.start(), tmp_path / "go"
    job = shop.put("counts", go=str(go))
    until(lambda: (found := shop.queue.get(job)) and found.progress)
    keeper, child = below(worker)
    keeper.kill()
    await_gone([child.pid])  # else it may still end what it does, and that counts
    go.touch()
    found = shop.end(job)
    assert (found.state, found.run) == ("succeeded", 2)


def test_told_to_end_it_lets_its_job_end(shop: Shop, tmp_path: Path) -> None:
    worker, go = shop.start(), tmp_path / "go"
    job = shop.put("counts", go=str(go))
    until(lambda: (found := shop.queue.get(job)) and found.progress)
    worker.send_signal(signal.SIGTERM)
    threading.Timer(0.5, go.touch).start()
    assert worker.wait(timeout=20) == 0
    assert shop.end(job).state == "succeeded"
    assert [each.state for each in WorkerTable(shop.queue.database).list(live=False)] == ["stopped"]


def test_what_does_not_end_in_time_is_handed_back_uncounted(shop: Shop, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(shop.settings(), workers=WorkersSettings(grace_period=0.5))
    worker, file = shop.start(settings), tmp_path / "pids"
    job = shop.put("hangs", file=str(file))
    until(lambda: file.exists() and len(file.read_text().split()) == 3)
    WorkerTable(shop.queue.database).request_stop(1, "no longer needed", grace=0.5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    found = shop.queue.get(job)
    assert found is not None
    assert (found.state, found.released) == ("queued", 1)
    await_gone(map(int, file.read_text().split()))


def test_it_ends_with_whoever_started_it(shop: Shop) -> None:
    worker = shop.start()
    assert worker.stdin is not None
    worker.stdin.close()
    worker.stdin = None
    assert worker.wait(timeout=20) == 0


def test_a_request_through_the_table_ends_it(shop: Shop) -> None:
    settings = shop.settings()
    worker = shop.start(msgspec.structs.replace(settings, jobs=msgspec.structs.replace(settings.jobs, lease=3.0)))
    WorkerTable(shop.queue.database).request_stop(1, "no longer needed", grace=5.0)
    assert worker.wait(timeout=20) == 0


@pytest.mark.parametrize("start", ["spawn", "auto"])
def test_where_a_fork_is_not_safe_each_child_is_a_fresh_interpreter(shop: Shop, start: str, tmp_path: Path) -> None:
    code = "import threading, time; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    worker = shop.start(shop.settings(start=start), SHOP_AT_IMPORT=code if start == "auto" else "")
    pid = shop.value("whoami")
    assert "-m clx.routines.tasks.keeper" in " ".join(psutil.Process(pid).cmdline())
    assert shop.value("add", a=1) == 2
    assert shop.value("whoami") == pid, "threads that were there before are no litter"
    failed = shop.do("hangs", file=str(tmp_path / "pids"), options={"timeout": 500})
    assert (failed.error or {})["type"] == "Timeout"
    await_gone(map(int, (tmp_path / "pids").read_text().split()))
    assert shop.value("whoami") != pid
    processes = [each.pid for each in below(worker)]
    worker.kill()
    await_gone(processes)


def test_forked_children_draw_numbers_of_their_own(shop: Shop) -> None:
    (shop.folder / "dice.py").write_text(
        "import os, random\nimport numpy\nfrom clx import define\n\n"
        '@define.task(name="roll", version="1.0.0", cache=False)\n'
        "def roll() -> list[float]:\n    return [float(os.getpid()), random.random(), float(numpy.random.rand())]\n\n"
        '@define.task(name="leave", version="1.0.0", cache=False)\ndef leave() -> None:\n    os._exit(1)\n'
    )
    worker = shop.start(shop.settings(modules=("dice",), path=(str(shop.folder),)))
    first = shop.value("roll")
    assert shop.do("leave", options={"max_runs": 1}).state == "failed"
    second = shop.value("roll")
    assert not set(first) & set(second)
    assert "forked" in (worker.stderr.readline() if worker.stderr else ""), "numpy's threads end for a fork"


def test_who_has_grown_too_much_is_replaced(shop: Shop) -> None:
    shop.start(shop.settings(recycle_mb=50))
    pid = shop.value("whoami")
    assert shop.value("grows", mib=100) == pid
    assert shop.value("whoami") == pid, "what it gave back counts for nothing"
    assert shop.value("grows", mib=100, keep=True) == pid
    assert shop.value("whoami") != pid


def test_short_tasks_are_claimed_and_reported_together(shop: Shop) -> None:
    shop.start()
    shop.value("add", a=1)
    ids = shop.queue.enqueue_many(
        [NewJob("task:add:1.0.0", {"arguments": {"a": number}}, max_runs=3) for number in range(300)]
    )
    ended = shop.queue.wait(ids, timeout=60)
    assert [each.result["value"] for each in ended] == [number + 1 for number in range(300)]
    moments = {each.finished_at for each in ended}
    assert len(moments) < 150


def test_it_is_found_by_its_command_line(shop: Shop) -> None:
    from clx.workers.processes import is_worker_of

    shop.start()
    (row,) = WorkerTable(shop.queue.database).list()
    assert is_worker_of(row.identity, shop.queue.database.path)
    assert os.getpid() != row.pid
    assert HERE.exists()


def test_of_several_asked_for_ahead_only_the_one_that_dies_fails(shop: Shop) -> None:
    shop.start()
    jobs = [
        NewJob("task:leaves:1.0.0", {"arguments": {"how": "kill"}}, max_runs=2)
        if number in {150, 151, 400}
        else NewJob("task:add:1.0.0", {"arguments": {"a": number}}, max_runs=2)
        for number in range(500)
    ]
    ended = shop.queue.wait(shop.queue.enqueue_many(jobs), timeout=60)
    assert [number for number, each in enumerate(ended) if each.state == "failed"] == [150, 151, 400]
    for number, each in enumerate(ended):
        counted = each.run - each.released
        assert counted == (2 if number in {150, 151, 400} else 1), (number, shop.queue.runs(each.id))
        if each.state == "succeeded":
            assert each.result["value"] == number + 1


def test_each_of_many_has_its_own_output(shop: Shop) -> None:
    shop.start()
    jobs = [NewJob("task:says:1.0.0", {"arguments": {"text": f"{n}.", "times": n % 5}}, max_runs=2) for n in range(60)]
    for number, each in enumerate(shop.queue.wait(shop.queue.enqueue_many(jobs), timeout=60)):
        assert shop.said(each).startswith(f"{number}.\n" * (number % 5) + "to stderr\n")
        assert shop.said(each).endswith("WARNING shop: logged\nfrom a shell\n")


def test_what_is_held_behind_a_long_task_goes_to_another_and_is_done_once(shop: Shop, tmp_path: Path) -> None:
    shop.start()
    short = shop.queue.enqueue_many(
        [NewJob("task:add:1.0.0", {"arguments": {"a": number}}, max_runs=2) for number in range(200)]
    )
    go, marks = tmp_path / "go", tmp_path / "marks"
    long = shop.put("counts", go=str(go))
    behind = shop.queue.enqueue_many(
        [
            NewJob("task:marks:1.0.0", {"arguments": {"file": str(marks), "text": str(number)}}, max_runs=2)
            for number in range(30)
        ]
    )
    until(lambda: (found := shop.queue.get(long)) is not None and found.state == "running")
    shop.start()
    ended = shop.queue.wait(behind, timeout=60)
    assert {each.state for each in ended} == {"succeeded"}
    assert shop.queue.get(long).state == "running"  # type: ignore[union-attr]
    go.touch()
    assert shop.end(long).state == "succeeded"
    assert {each.state for each in shop.queue.wait(short, timeout=60)} == {"succeeded"}
    assert sorted(map(int, marks.read_text().split())) == list(range(30))


def test_on_the_table_of_a_server_it_takes_what_finds_its_artifacts_here(tmp_path: Path, postgresql: str) -> None:
    shop = Shop(tmp_path, postgresql)
    try:
        shop.start()
        (row,) = WorkerTable(shop.queue.database).list()
        assert row.pool == artifacts_pool(shop.queue.database.path, shop.settings()) != ""
        here = {"pool": row.pool}
        elsewhere = shop.put("add", a=1)
        done = shop.do("says", text="hello", times=2, options=here)
        assert shop.said(done).startswith("hello\nhello\n")
        assert (shop.do("fails", options=here).error or {})["type"] == "KeyError"
        died = shop.do("leaves", how="os._exit", options=here | {"max_runs": 1})
        assert (died.error or {})["type"] == "WorkerDied"
        ids = shop.queue.enqueue_many(
            [NewJob("task:add:1.0.0", {"arguments": {"a": n}}, row.pool, max_runs=2) for n in range(100)]
        )
        assert [each.result["value"] for each in shop.queue.wait(ids, timeout=60)] == list(range(1, 101))
        assert shop.queue.get(elsewhere).state == "queued"  # type: ignore[union-attr]
    finally:
        shop.close()


def test_a_process_killed_for_want_of_memory_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system counts is asked; here nothing is killed for that."""
    monkeypatch.setattr(oom, "oom_kills", iter(range(1000)).__next__)
    with Queue.open(tmp_path / "jobs.db") as queue:
        spec = {
            "modules": ["shop"], "path": [str(HERE)], "start": "auto", "recycle": 1 << 30, "directory": str(tmp_path),
            "level": "INFO", "store": str(tmp_path / "artifacts"), "artifacts": {}, "token": "",
        }  # fmt: skip
        queue.enqueue(NewJob("task:leaves:1.0.0", {"arguments": {"how": "kill"}}))
        process = TaskProcess(spec, tmp_path, 30.0)
        try:
            outcome = process.run(queue.claim(["task:leaves:1.0.0"]), 30.0, lambda _: None, lambda: None)
        finally:
            process.close()
    assert (outcome.how, outcome.value) == ("died", "killed by SIGKILL, probably out of memory")


def test_a_keeper_whose_worker_ends_while_it_imports_ends_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text('from clx import define\n\ndefine.task(name="a", version="1.0.0")(lambda: 1)\n')
    ours, its = socket.socketpair()
    Wire(ours).send({"modules": ["plain"], "path": [str(tmp_path)], "start": "fork"})
    ours.close()
    command = [sys.executable, "-m", "clx.routines.tasks.keeper", str(its.fileno())]
    done = subprocess.run(command, pass_fds=[its.fileno()], capture_output=True, text=True, check=False, timeout=60)
    its.close()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
