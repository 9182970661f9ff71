"""A consumer ends in order at signals, in time, whatever its function does and whoever holds the table."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clx.db.check import check
from clx.db.jobs import NewJob, Queue

_PROGRAM = """
import signal, sys, time
from clx import Consumer, Queue
def work(job):
    print("begun", flush=True)
    {body}
with Queue.open(sys.argv[1], **{options}) as queue:
    {before}
    done = Consumer(queue, {{"t": work}}, lease=60_000, stop_after={grace}).run()
print("done", done, flush=True)
"""


class _Program:
    def __init__(self, path: Path, body: str, *, grace: float = 60, before: str = "pass", options: str = "{}") -> None:
        code = _PROGRAM.format(body=body, grace=grace, before=before, options=options)
        self.process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)

    def begun(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n"

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_job_at_hand_end(tmp_path: Path, number: signal.Signals) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t") for _ in range(2)])
        program = _Program(queue.database.path, "time.sleep(1)")
        program.begun()
        program.process.send_signal(number)

        assert program.end() == (0, "done 1")
        assert [(job.state, job.kills, job.run - job.released) for job in queue.get_many(ids)] == [
            ("succeeded", 0, 1), ("queued", 0, 0),
        ]  # fmt: skip
        assert check(queue.database) == []


@pytest.mark.parametrize(
    ("body", "second"),
    [("time.sleep(3600)", False), ("time.sleep(3600)", True), ("while True:\n        pass", False)],
    ids=["sleeping", "told twice", "busy"],
)
def test_a_job_that_takes_too_long_is_handed_back_uncounted(tmp_path: Path, body: str, second: bool) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        program = _Program(queue.database.path, body, grace=3600 if second else 0.5)
        program.begun()
        program.process.send_signal(signal.SIGTERM)
        if second:
            time.sleep(0.3)  # two signals at once would be one
            program.process.send_signal(signal.SIGTERM)

        assert program.end() == (0, "done 0")
        (job,) = queue.get_many([job_id])
        assert (job.state, job.kills, job.run - job.released) == ("queued", 0, 0)
        assert [run["outcome"] for run in queue.runs(job_id)] == ["released"]


def test_a_function_that_catches_everything_is_not_waited_for_with_its_job(tmp_path: Path) -> None:
    """Others get it at the end of the grace; the process may go on until somebody kills it."""
    body = "\n    ".join(["", "while True:", "    try: time.sleep(3600)", "    except BaseException: pass"])
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        program = _Program(queue.database.path, body, grace=0.2)
        program.begun()
        program.process.send_signal(signal.SIGTERM)
        try:
            deadline = time.monotonic() + 30
            while queue.get_many([job_id])[0].state != "queued":
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            program.process.kill()
            program.process.communicate()


def test_a_programs_own_handler_is_left_alone_and_may_end_it(tmp_path: Path) -> None:
    """A SystemExit that it raises in the middle of a job is the program's, not the job's."""
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        program = _Program(queue.database.path, "time.sleep(3600)", before=before)
        program.begun()
        program.process.send_signal(signal.SIGTERM)

        assert program.end() == (7, "")
        (job,) = queue.get_many([job_id])
        assert (job.state, job.error, job.run - job.released) == ("queued", None, 0)


def test_stopping_under_somebodys_lock_takes_seconds(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        program = _Program(queue.database.path, "time.sleep(0.5)")
        program.begun()
        connection = queue.database.connection()
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(1)  # it is done, and cannot report that
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        try:
            code, _ = program.end()
        finally:
            connection.execute("ROLLBACK")

        assert code == 0
        assert time.monotonic() - began < 20  # five attempts of ten seconds, three times over, were 154


_AROUND = """
import os, signal, sys
from clx import Consumer, Queue
from clx.db.consumer import Consumer as Of
def tell(_job=None):
    os.kill(os.getpid(), int(sys.argv[3]))
where, leave = sys.argv[2], Of._leave
if where == "leaving":
    Of._leave = lambda self: (tell(), leave(self))
with Queue.open(sys.argv[1]) as queue:
    consumer = Consumer(queue, {"t": tell if where == "within" else lambda job: None})
    if where == "before":
        tell()
    consumer.run(until_idle=True)
    print("ended", flush=True)
    if where == "after":
        tell()
    print("goes on", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("where", "said", "state"),
    [
        ("before", "", "queued"),
        ("within", "ended\ngoes on\n", "succeeded"),
        ("leaving", "", "succeeded"),
        ("after", "ended\n", "succeeded"),
    ],
)
def test_a_signal_around_a_run_ends_the_program_as_always(
    tmp_path: Path, number: signal.Signals, where: str, said: str, state: str
) -> None:
    """Within it one ends the run; where the run ends anyway it is not swallowed, and what was done is reported."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        command = [sys.executable, "-c", _AROUND, str(queue.database.path), where, str(int(number))]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)

        assert ended.stdout == said
        assert ended.returncode == (0 if where == "within" else -number), ended.stderr
        assert queue.get_many([job_id])[0].state == state


def test_a_stop_while_idle_is_heard_at_once(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        program = _Program(queue.database.path, "pass")
        program.begun()
        queue.wait([job.id for job in queue.search()])
        program.process.send_signal(signal.SIGTERM)

        assert program.end() == (0, "done 1")
