"""A runner does works one after the other, each in a process of its own, and what came of it is in the work."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.scene import until
from tests.work.running.conftest import Do, now

from clx.db.jobs import Queue
from clx.db.works.table import Works
from clx.db.works.withdrawing import Asked
from clx.errors import UsageError
from clx.work.running.runner import Plan, Runner
from clx.work.work import Work
from clx.workers.run_logs import named


def test_parameters_go_in_and_what_is_returned_are_the_results(do: Do, queue: Queue) -> None:
    (done,) = do("add", {"parameters": {"a": 1, "b": 2}})
    work = now(queue, done)
    assert (work["status"], work["results"], work["attempt"]) == ("success", {"result": 3}, 1)
    assert work["start"] <= work["stop"]
    (run,) = queue.works.runs(done.id)
    assert run["stderr"] == "adding 1 2\n"
    assert run["peak_memory"] > 1 << 20


@pytest.mark.parametrize(
    ("function", "fields", "plan", "results"),
    [
        ("later", {"parameters": {"n": 5}}, {}, {"later": 5}),
        ("whole", {"user": "ada"}, {"argsource": "work"}, {"of": "p", "user": "ada"}),
        ("nothing", {"results": {"old": 1}}, {}, {"old": 1}),
        ("greet", {"parameters": {"name": "ann", "times": 2, "loud": True, "tag": ["x", "y"]}}, {},
         {"greeting": "ANNANN", "tags": ["x", "y"]}),
        ("greet", {"parameters": {"name": "--loud"}}, {}, {"greeting": "--loud", "tags": []}),
    ],
)  # fmt: skip
def test_functions_of_every_kind_are_called(
    do: Do, queue: Queue, function: str, fields: dict[str, Any], plan: dict[str, Any], results: dict[str, Any]
) -> None:
    (done,) = do(function, fields, **plan)
    assert (done.status, now(queue, done)["results"]) == ("success", results)


def test_products_and_plots_are_added_to_those_of_the_work(do: Do, queue: Queue) -> None:
    (done,) = do("makes", {"parameters": {"product": "a.dat", "plot": "b.png"}, "products": ["given.dat", "a.dat"]})
    work = now(queue, done)
    assert (work["results"], work["products"], work["plots"]) == ({"made": 2}, ["given.dat", "a.dat"], ["b.png"])


@pytest.mark.parametrize(
    ("function", "parameters", "kind", "message"),
    [
        ("raises", {"a": 1}, "ValueError", "no such detector"),
        ("add", {"a": 1}, "TypeError", "missing 1 required positional argument: 'b'"),
        ("leaves", {}, "SystemExit", "3"),
        ("dies", {}, "WorkerDied", "killed by SIGKILL"),
        ("odd", {}, "QueueError", "not finite"),
        ("greet", {}, "UsageError", "Missing argument 'NAME'"),
        ("greet", {"name": "ann", "tims": 2}, "UsageError", "no parameter tims"),
    ],
)
def test_why_one_fails_is_in_it(
    do: Do, queue: Queue, function: str, parameters: dict[str, Any], kind: str, message: str
) -> None:
    (done,) = do(function, {"parameters": parameters})
    work = now(queue, done)
    assert (done.status, work["status"], work["error"]["type"]) == ("failure", "failure", kind)
    assert message in work["error"]["message"]
    if function == "raises":
        assert "steps.py" in work["error"]["traceback"]
        assert queue.works.runs(done.id)[0]["stderr"] == "about to\n"


def test_one_that_fails_is_done_again_while_it_has_attempts(do: Do, queue: Queue) -> None:
    done = do("raises", {"retries": 3})
    assert [each.attempt for each in done] == [1, 2, 3]
    assert now(queue, done[0])["status"] == "failure"


def test_one_that_takes_too_long_is_killed_with_all_that_came_from_it(do: Do, queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    (done,) = do("hangs", {"parameters": {"file": str(file)}, "timeout": 3600}, timeout=1.0)
    assert (done.status, now(queue, done)["error"]["type"]) == ("failure", "Timeout")
    until(lambda: not any(map(psutil.pid_exists, map(int, file.read_text().split()))))


def test_a_cancelled_one_is_killed(do: Do, queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "pids"

    def cancel() -> None:
        until(file.exists)
        with Queue.open(tmp_path / "jobs.db") as other:
            other.works.cancel([each["id"] for each in _all(other)])

    thread = threading.Thread(target=cancel)
    thread.start()
    (done,) = do("hangs", {"parameters": {"file": str(file)}})
    thread.join()
    assert (done.status, now(queue, done)["status"]) == ("cancelled", "cancelled")
    until(lambda: not any(map(psutil.pid_exists, map(int, file.read_text().split()))))


def test_one_that_was_deleted_meanwhile_is_killed_and_lost(do: Do, queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "pids"

    def delete() -> None:
        until(file.exists)
        with Queue.open(tmp_path / "jobs.db") as other:
            other.works.delete([each["id"] for each in _all(other)])

    thread = threading.Thread(target=delete)
    thread.start()
    (done,) = do("hangs", {"parameters": {"file": str(file)}})
    thread.join()
    assert done.status == "lost"
    assert _all(queue) == []


def test_the_first_signal_lets_it_finish_and_the_second_hands_it_back(do: Do, queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "pids"

    def interrupt() -> None:
        until(file.exists)
        for number in (signal.SIGTERM, signal.SIGINT):  # two of one kind may arrive as one
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    (done,) = do("hangs", {"parameters": {"file": str(file)}}, {"parameters": {"file": str(file)}})
    thread.join()
    work = now(queue, done)
    assert (done.status, work["status"], work["attempt"]) == ("queued", "queued", 0)
    until(lambda: not any(map(psutil.pid_exists, map(int, file.read_text().split()))))


def test_one_that_is_idle_ends_at_the_first_signal(queue: Queue, folder: Path) -> None:
    waits = threading.Event()

    def interrupt() -> None:
        waits.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    class Watched(Works):
        def withdraw(self, *asked: Any, **more: Any) -> Any:
            waits.set()
            return super().withdraw(*asked, **more)

    runner = Runner(Watched(queue), Plan(Asked(("p",)), "steps.nothing", path=(str(folder),)), lambda _: None)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert runner.run() == 0
    finally:
        runner.close()
        thread.join()


def test_what_was_withdrawn_ahead_is_handed_back_where_a_work_lasts(do: Do, queue: Queue, tmp_path: Path) -> None:
    file, found = tmp_path / "pids", {}

    def look() -> None:
        until(file.exists)
        with Queue.open(tmp_path / "jobs.db") as other:
            until(lambda: other.works.status()["queued"] == 1)
            found.update({each["id"]: (each["status"], each["attempt"]) for each in _all(other)})
            other.works.cancel([work_id for work_id, (status, _) in found.items() if status == "running"])

    thread = threading.Thread(target=look)
    thread.start()
    parameters: dict[str, Any] = {"parameters": {"file": str(file)}}
    done = do("hangs_at", *[{"parameters": {"file": ""}}] * 3, parameters, {"parameters": {"file": ""}})
    thread.join()
    assert [each.status for each in done] == ["success", "success", "success", "cancelled", "success"]
    assert sorted(found.values()) == [("queued", 0), ("running", 1), *[("success", 1)] * 3]
    assert [now(queue, each)["attempt"] for each in done if each.status == "success"] == [1] * 4


def test_no_more_are_withdrawn_than_it_does(do: Do, queue: Queue) -> None:
    assert len(do("nothing", *[{}] * 9, lives=5)) == 5
    assert [each["attempt"] for each in _all(queue) if each["status"] == "queued"] == [0] * 4


def test_how_far_it_is_is_in_the_work(do: Do, queue: Queue) -> None:
    (done,) = do("tells", {})
    assert now(queue, done)["progress"] == {"done": 2, "total": 3, "text": "nearly"}
    assert now(queue, done)["status"] == "success"


def test_a_long_output_is_an_artifact(do: Do, queue: Queue) -> None:
    (done,) = do("says", {"parameters": {"count": 100_000}})
    assert named(queue.works.runs(done.id)[0]["stderr"])


def test_files_are_archived_and_noted_in_the_work(do: Do, queue: Queue, folder: Path) -> None:
    plot = folder / "b.png"
    plot.write_bytes(b"\x89PNG\r\n\x1a\n")
    asked = {"archive": {"plots": "move"}, "artifacts": {"forged": 1}}
    (done,) = do("makes", {"parameters": {"product": "a.dat", "plot": "b.png"}, **asked}, archive="kept")
    work = now(queue, done)
    assert (done.status, plot.exists()) == ("success", False)
    assert Path(work["plots"][0]).is_relative_to(folder / "kept")
    assert work["artifacts"].keys() == {"plots", "refused"}
    assert work["artifacts"]["refused"] == [{"kind": "products", "path": "a.dat", "reason": "it is not there"}]
    assert Work.get(done.id, where=queue).artifacts == work["artifacts"]  # type: ignore[union-attr]


def test_it_ends_after_so_many(do: Do, queue: Queue) -> None:
    done = do("nothing", {}, {}, {}, lives=2)
    assert len(done) == 2
    assert queue.works.status()["queued"] == 1


def test_a_program_reads_the_work_and_tells_the_results(do: Do, queue: Queue) -> None:
    (done,) = do(None, {"parameters": {"a": 1}}, command=("cat",))
    assert now(queue, done)["results"] == {"a": 1}
    code = 'import json; print(json.dumps({"results": {"n": 1}, "plots": ["a.png"]}))'
    (done,) = do(None, {}, command=("python3", "-c", code))
    assert (now(queue, done)["results"], now(queue, done)["plots"]) == ({"n": 1}, ["a.png"])
    (done,) = do(None, {"parameters": {"a": "$HOME"}}, command=("sh", "-c", "echo $1; exit 4", "x", "${HOME};*"))
    assert now(queue, done)["error"]["type"] == "CommandFailed"
    assert queue.works.runs(done.id)[0]["stderr"].splitlines()[0] == "${HOME};*"


def test_what_works_name_is_done_only_where_it_is_allowed(do: Do, queue: Queue) -> None:
    allowed = {"modules": ("steps",), "commands": ("echo",)}
    (done,) = do(None, {"function": "steps.add", "parameters": {"a": 1, "b": 2}}, **allowed)
    assert now(queue, done)["results"] == {"result": 3}
    (done,) = do(None, {"command": ["echo", "$HOME", "`id`"]}, **allowed)
    assert queue.works.runs(done.id)[0]["stderr"] == "$HOME `id`\n"
    refused = ["os.system", "steps.system", "steps.os.system", "steps._hidden", "steps.Path", "steps.__init__", "add"]
    for each in refused:
        (done,) = do(None, {"function": each, "parameters": {"command": "touch pwned"}}, **allowed)
        assert now(queue, done)["error"]["type"] == "UsageError", each
    for command in (["sh", "-c", "touch pwned"], ["/bin/echo"], ["./echo"], ["echo;id"]):
        (done,) = do(None, {"command": command}, **allowed)
        assert now(queue, done)["error"]["type"] == "UsageError", command
    (done,) = do(None, {}, **allowed)
    assert "names no function" in now(queue, done)["error"]["message"]
    assert not Path("pwned").exists()


@pytest.mark.parametrize("function", ["trap.go", "steps_.go", "steps.trap.go", "folder.steps.go", "trap", " trap.go"])
def test_nothing_is_imported_of_what_is_not_allowed(do: Do, queue: Queue, folder: Path, function: str) -> None:
    for name in ("trap", "steps_", "folder/__init__", "folder/steps"):
        (folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text("open('pwned', 'w').close()\ndef go(): pass\n")
    (done,) = do(None, {"function": function}, modules=("steps",))
    found = now(queue, done)
    assert (found["status"], found["error"]["type"]) == ("failure", "UsageError")
    assert function in found["error"]["message"]
    assert not (folder / "pwned").exists()


def test_nothing_is_withdrawn_where_the_function_cannot_be_imported(do: Do, queue: Queue) -> None:
    with pytest.raises(UsageError, match="has no ad") as raised:
        do("ad", {})
    assert "Did you mean add" in raised.value.next_step
    assert queue.works.status()["queued"] == 1


def _all(queue: Queue) -> list[dict[str, Any]]:
    from clx.db.works.searching import Search

    return [each.document for each in queue.works.find(Search(())).works]
