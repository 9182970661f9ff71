"""A real worker process with a converter the test made: timeouts, cancelling, a locked table, SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from clx.db.jobs import NewJob, Queue

_WORKER = """
import subprocess, sys, time
from pathlib import Path
from clx.db.database import Database
from clx.db.workers import register_this_process
from clx.settings.schema import JobsSettings
from clx.workers.process.loop import Worker
from clx.workers.process.watchdog import Assignment

class Helped:
    def convert(self, payload, inputs, outputs, warn):
        if payload["sleep"]:
            subprocess.run(["sleep", str(payload["sleep"])])
        print("done", flush=True)
        time.sleep(payload.get("linger", 0))
        return {}
    def close(self):
        pass

with Database.open(Path(sys.argv[1]), busy_timeout=0.05) as database:
    assignment = Assignment(register_this_process(database, "t"), "t", "", 5.0)
    Worker(database, assignment, Helped, JobsSettings(lease=3.0, heartbeat=0.1)).run()
"""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as queue:
        yield queue


@pytest.fixture
def worker(queue: Queue) -> Iterator[Any]:
    command = [sys.executable, "-c", _WORKER, str(queue.database.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def _sleeper(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "sleep"]


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("end", ["timeout", "cancel"])
def test_a_job_that_must_end_takes_everything_it_started_with_it(queue: Queue, worker: Any, end: str) -> None:
    job_id = queue.enqueue(NewJob("t", {"files": [], "sleep": 600}, timeout=5000 if end == "timeout" else None))
    (sleeper,) = _until(lambda: _sleeper(worker))
    if end == "cancel":
        queue.cancel([job_id])

    (job,) = queue.wait([job_id], timeout=60)

    assert job.state == ("failed" if end == "timeout" else "cancelled")
    if end == "timeout":
        assert job.error is not None
        assert job.error["type"] == "Timeout"
    assert worker.wait(60) == 0
    _until(lambda: _has_ended(sleeper))


def test_a_result_is_reported_as_soon_as_the_table_takes_it(queue: Queue, worker: Any) -> None:
    """Locked at the worst moment: the job was done, and is not done again."""
    job_id = queue.enqueue(NewJob("t", {"files": [], "sleep": 0, "linger": 0.3}))
    assert worker.stdout.readline() == "done\n"
    connection = queue.database.connection()
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(1.5)  # longer than every retry of one report
    connection.execute("COMMIT")

    (job,) = queue.wait([job_id], timeout=60)

    assert (job.state, job.run, [run["outcome"] for run in queue.runs(job_id)]) == ("succeeded", 1, ["succeeded"])


def test_a_stopped_worker_hands_its_job_back_uncounted(queue: Queue, worker: Any) -> None:
    job_id = queue.enqueue(NewJob("t", {"files": [], "sleep": 600}))
    (sleeper,) = _until(lambda: _sleeper(worker))
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    job = queue.get(job_id)
    assert job is not None
    assert (job.state, job.released) == ("queued", 1)
    _until(lambda: _has_ended(sleeper))


def test_a_worker_reports_and_claims_the_next_job_in_one_transaction(queue: Queue) -> None:
    """Killed right after its first report was committed, it has the second job already."""
    ids = queue.enqueue_many([NewJob("t", {"files": [], "sleep": 0}) for _ in range(2)])
    command = [sys.executable, "-c", _WORKER, str(queue.database.path)]
    environment = {**os.environ, "CLX_CRASH": "settle.after_commit:1"}
    died = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [job.state for job in queue.get_many(ids)] == ["succeeded", "running"]
