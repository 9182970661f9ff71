"""`clx worker`: processes for anybody's functions are kept, and end in order, whatever ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.scene import until

from clx.db.check import check
from clx.db.identity import is_gone
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerRow, WorkerTable
from clx.workers.supervision import function_workers

_JOBS = """
import asyncio, os, time
from clx import Job, task

@task
def double(n: int) -> int:
    return 2 * n

@task
def die(job: Job) -> str:
    if job.run == 1:
        os._exit(9)
    return "lived"

@task
def always(job: Job) -> None:
    os._exit(9)

@task
def where() -> str:
    return os.getcwd()

@task
def long(job: Job, seconds: float) -> str:
    job.progress("begun")
    time.sleep(seconds)
    return "done"

@task
async def together(n: int) -> int:
    await asyncio.sleep(0.5)
    return n
"""


class Command:
    """`clx worker`, in a directory of its own."""

    def __init__(self, folder: Path, where: str = "jobs.db") -> None:
        self.folder = folder
        self.where = where
        self.queue = Queue.open(where if "://" in where else folder / where)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "clx", "worker", *words, "--db", self.where]
        process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    def rows(self, count: int) -> list[WorkerRow]:
        return until(lambda: found if len(found := WorkerTable(self.queue.database).list()) == count else [])

    def begun(self, count: int) -> None:
        until(lambda: sum(job.progress == "begun" for job in self.queue.search(state="running")) == count)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        until(lambda: all(is_gone(row.identity) for row in WorkerTable(self.queue.database).list()))
        self.queue.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Command]:
    (tmp_path / "shop_jobs.py").write_text(_JOBS)
    found = Command(tmp_path)
    yield found
    found.end()


def test_jobs_are_done_until_there_are_none(worker: Command) -> None:
    ids = worker.queue.enqueue_many([NewJob("double", {"n": n}) for n in range(20)])
    place = worker.queue.enqueue(NewJob("where"))
    other = worker.queue.enqueue(NewJob("unknown"))
    code, said = worker.run("shop_jobs", "-n", "2", "--until-idle")
    assert (code, [worker.queue.result(id_, 0) for id_ in ids]) == (0, [2 * n for n in range(20)])
    assert "2 worker(s) for double, die, always, where, long, together" in said
    assert worker.queue.result(place, 0) == str(worker.folder)
    assert worker.queue.search(state="queued")[0].id == other
    assert WorkerTable(worker.queue.database).list() == []
    assert check(worker.queue.database) == []


def test_jobs_of_a_server_are_done(tmp_path: Path, postgresql: str) -> None:
    (tmp_path / "shop_jobs.py").write_text(_JOBS)
    worker = Command(tmp_path, postgresql)
    try:
        ids = worker.queue.enqueue_many([NewJob("double", {"n": n}) for n in range(5)])
        died = worker.queue.enqueue(NewJob("die"))
        process = worker.start("shop_jobs", "-n", "2")
        assert [worker.queue.result(id_, 60) for id_ in ids] == [2 * n for n in range(5)]
        assert worker.queue.result(died, 60) == "lived"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert WorkerTable(worker.queue.database).list() == []
    finally:
        worker.end()


def test_one_that_dies_is_replaced_and_its_job_goes_to_another(worker: Command) -> None:
    job_id = worker.queue.enqueue(NewJob("die"))
    code, said = worker.run("shop_jobs", "--until-idle", "--types", "die")
    assert (code, worker.queue.result(job_id, 0)) == (0, "lived")
    assert f"died (exit code 9); job {job_id} is given to another." in said


def test_one_that_is_killed_is_replaced(worker: Command) -> None:
    process = worker.start("shop_jobs:double", "-n", "2")
    first, second = worker.rows(2)
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: first.id not in {row.id for row in worker.rows(2)})
    assert second.id in {row.id for row in worker.rows(2)}
    assert worker.queue.result(worker.queue.enqueue(NewJob("double", {"n": 4})), 60) == 8
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert WorkerTable(worker.queue.database).list() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_jobs_end(worker: Command, number: signal.Signals) -> None:
    job_id = worker.queue.enqueue(NewJob("long", {"seconds": 1.0}))
    waiting = worker.queue.enqueue(NewJob("long", {"seconds": 0.0}, priority=1))
    process = worker.start("shop_jobs", "--timeout", "60")
    worker.begun(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"{number.name}: the workers finish their jobs" in said
    assert [job.state for job in worker.queue.get_many([job_id, waiting])] == ["succeeded", "queued"]


@pytest.mark.parametrize("twice", [True, False], ids=["told twice", "in time"])
def test_jobs_that_take_too_long_are_handed_back_uncounted(worker: Command, twice: bool) -> None:
    job_id = worker.queue.enqueue(NewJob("long", {"seconds": 3600}))
    process = worker.start("shop_jobs", "--timeout", "3600" if twice else "0.5")
    worker.begun(1)
    process.send_signal(signal.SIGTERM)
    if twice:
        assert process.stderr is not None
        until(lambda: "once more gives them up" in process.stderr.readline())  # type: ignore[union-attr]
        until(lambda: [row for row in WorkerTable(worker.queue.database).list() if row.state == "stopping"])
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    (job,) = worker.queue.get_many([job_id])
    assert (job.state, job.run - job.released, job.kills) == ("queued", 0, 0)


def test_workers_end_with_the_process_that_keeps_them(worker: Command) -> None:
    ids = worker.queue.enqueue_many([NewJob("long", {"seconds": 3600})] * 2)
    process = worker.start("shop_jobs", "-n", "2", "--timeout", "0.5")
    worker.begun(2)
    rows = worker.rows(2)
    process.kill()
    process.wait()
    until(lambda: all(is_gone(row.identity) for row in rows))
    assert WorkerTable(worker.queue.database).list() == []
    found = worker.queue.get_many(ids)
    assert [(job.state, job.run - job.released, job.kills) for job in found] == [("queued", 0, 0)] * 2


def test_those_that_die_again_and_again_are_given_up(worker: Command) -> None:
    worker.queue.enqueue_many([NewJob("always", max_runs=10) for _ in range(3)])
    code, said = worker.run("shop_jobs:always")
    assert code == 3
    assert "The shop_jobs:always workers died 6 times in 60 s, the last one: exit code 9" in said
    assert "Traceback" not in said


def test_a_process_does_several_jobs_at_a_time(worker: Command) -> None:
    ids = worker.queue.enqueue_many([NewJob("together", {"n": n}) for n in range(30)])
    code, _ = worker.run("shop_jobs:together", "--concurrency", "30", "--until-idle")
    assert (code, [worker.queue.result(id_, 0) for id_ in ids]) == (0, list(range(30)))
    begun, ended = zip(
        *((run["started_at"], run["ended_at"]) for id_ in ids for run in worker.queue.runs(id_)), strict=True
    )
    assert max(begun) < min(ended)


def test_it_is_listed_stopped_and_has_a_log(worker: Command) -> None:
    process = worker.start("shop_jobs:double", "--pool", "p")
    (row,) = worker.rows(1)
    assert (row.type, row.pool) == ("double", "p")
    assert "double" in _clx(worker.folder, "workers", "list").stdout
    assert _clx(worker.folder, "workers", "stop", str(row.id)).returncode == 0
    assert process.wait(30) == 0  # nobody is left, and nobody else was asked for
    assert f"worker {row.id} started: double" in _clx(worker.folder, "workers", "logs", str(row.id)).stdout


def _clx(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "clx", *words, "--db", "jobs.db"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["shop_jobs:nothing"], 2, "has no nothing"),
        (["no_such_module"], 2, "There is no module no_such_module"),
        (["shop_jobs", "--types", "dubble"], 2, "Did you mean double?"),
        (["dies"], 3, "Python ended with exit code 9"),
    ],
)
def test_what_cannot_be_imported_is_told_before_anything_is_started(
    worker: Command, words: list[str], code: int, told: str
) -> None:
    (worker.folder / "dies.py").write_text("import os; os._exit(9)\n")
    found, said = worker.run(*words)
    assert (found, told in said) == (code, True)
    assert len(said.splitlines()) == 2
    assert WorkerTable(worker.queue.database).list(live=False) == []


def test_a_disk_that_is_full_or_a_lock_is_waited_for(
    worker: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from clx.errors import DatabaseBusyError
    from clx.settings.schema import Settings

    refusals = iter([DatabaseBusyError("It is locked.", "Wait.")])
    tend = function_workers.FunctionWorkers.tend

    def refuse(self: Any) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        tend(self)

    monkeypatch.setattr(function_workers.FunctionWorkers, "tend", refuse)
    monkeypatch.chdir(worker.folder)
    wanted = function_workers.Functions(target="shop_jobs:double", until_idle=True)
    assert function_workers.keep(worker.queue.database, Settings(), wanted, lambda _text: None) == 0
    assert "It is locked." in caplog.text
