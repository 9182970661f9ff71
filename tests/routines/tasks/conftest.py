"""A table, and workers of tasks that are real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.support.scene import until

from clx.db.jobs import Job, NewJob, Queue
from clx.db.workers import WorkerTable
from clx.settings.schema import PythonSettings, Settings

HERE = Path(__file__).parent


class Shop:
    """A table with workers of the tasks in ``shop.py``."""

    def __init__(self, folder: Path, where: str = "") -> None:
        self.folder = folder
        (folder / ".clx").mkdir()
        self.queue = Queue.open(where or folder / ".clx" / "jobs.db")
        self.processes: list[subprocess.Popen[str]] = []

    def settings(self, **python: Any) -> Settings:
        found = PythonSettings(**{"modules": ("shop",), "path": (str(HERE),), **python})
        return msgspec.structs.replace(Settings(), python=found)

    def start(
        self, settings: Settings | None = None, *, kind: str = "python", wait: bool = True, **variables: str
    ) -> subprocess.Popen[str]:
        words = [sys.executable, "-P", "-m", "clx.routines.worker", kind, "--db", str(self.queue.database.path)]
        words += ["--settings", msgspec.json.encode(settings or self.settings()).decode(), "--lifeline"]
        before = len(WorkerTable(self.queue.database).list(live=False))
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **variables},
        )  # fmt: skip
        self.processes.append(process)
        if wait:
            until(lambda: len(WorkerTable(self.queue.database).list(live=False)) > before or process.poll() is not None)
            assert process.poll() is None, process.stderr and process.stderr.read()
        return process

    def put(self, name: str, *, options: dict[str, Any] | None = None, **arguments: Any) -> int:
        return self.queue.enqueue(
            NewJob(f"task:{name}:1.0.0", {"arguments": arguments}, **{"max_runs": 3, **(options or {})})
        )

    def end(self, job_id: int) -> Job:
        (found,) = self.queue.wait([job_id], timeout=60)
        return found

    def do(self, name: str, *, options: dict[str, Any] | None = None, **arguments: Any) -> Job:
        return self.end(self.put(name, options=options, **arguments))

    def value(self, name: str, **arguments: Any) -> Any:
        found = self.do(name, **arguments)
        assert found.state == "succeeded", found.error
        return found.result["value"]

    def said(self, job: Job) -> str:
        return str(self.queue.runs(job.id)[-1]["stderr"])

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stderr):
                if stream is not None:
                    stream.close()
        self.queue.close()


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def await_gone(pids: Iterable[int]) -> None:
    awaited = list(pids)
    until(lambda: all(map(is_gone, awaited)))


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Keeper and child of a worker."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A table without workers yet."""
    found = Shop(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A table with one worker, which every test of a module shares: nothing that a task does may end it."""
    found = Shop(tmp_path_factory.mktemp("shop"))
    worker = found.start()
    yield found
    assert worker.poll() is None
    found.close()
    assert worker.returncode == 0
