"""What the tests of this room do to a real engine, and what they look at."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docker.errors import NotFound
from tests.support.containers import containers_of_clx, left_in
from tests.support.courses import HEADER, Course

from clx import __version__
from clx.db.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import DatabaseError
from clx.settings.schema import Settings
from clx.workers.executors.spec import Spawn, WorkerSpec, spawn_of

SLOW = {"CLX_JOBS__LEASE": "3", "CLX_JOBS__HEARTBEAT": "0.5", "CLX_WORKERS__GRACE_PERIOD": "1"}
"""Leases short enough for a test to wait for their end."""


def deck(*cells: str) -> str:
    """A deck of code cells."""
    return HEADER % ("Titel", "Title") + "".join(f'# %% tags=["keep"]\n{cell}\n\n' for cell in cells)


def one_deck(course: Course, *cells: str) -> Course:
    """A course with one deck, built in one language and one variant that runs it."""
    course.deck("slow", deck(*cells))
    course.spec("slow")
    return course


ONE = ("--language", "en", "--kind", "completed", "--format", "html")
"""Options that make one executing job out of :func:`one_deck`."""


class Process:
    """A ``clx`` command that runs beside the test."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        command = [sys.executable, "-m", "clx", *arguments]
        env = {**os.environ, **variables}
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)

    def ends(self, code: int, *, seconds: float = 120) -> str:
        """Wait for its end; returns what it said."""
        said, _ = self.popen.communicate(timeout=seconds)
        assert self.popen.returncode == code, f"exit {self.popen.returncode}\n{said}"
        assert "Traceback (most recent call last)" not in said
        return said

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self.popen.kill()
        self.popen.communicate()


class Machine:
    """The engine and one database.

    Args:
        client: a connection to the engine.
        root: a directory for this test.
    """

    def __init__(self, client: Any, root: Path) -> None:
        self.client = client
        self.root = root
        self.database = root / "course" / ".clx" / "shared" / "jobs.db"
        self._processes: list[Process] = []

    @property
    def state(self) -> Path:
        """The state directory, of which containers see only the part with the database."""
        return self.database.parent.parent

    def clx(self, *arguments: str, **variables: str) -> Process:
        """Start a command; it is killed at the end of the test if it still runs."""
        process = Process(*arguments, **variables)
        self._processes.append(process)
        return process

    def build(self, course: Course, *options: str, **variables: str) -> Process:
        """Start a build with container workers."""
        return self.clx("build", str(course.root / "course.yaml"), "--workers", "docker", *options, **variables)

    def end_processes(self) -> None:
        """Kill what still runs."""
        for process in self._processes:
            if process.popen.poll() is None:
                process.kill()

    def spawn(self, database: Path | None = None) -> Spawn:
        """What one notebook worker is started with, that is not to end with this process."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        spec = WorkerSpec("notebook", 1, "docker:test", "default", "docker", IMAGE, Settings())
        return spawn_of(spec, database or self.database, service="test")

    # -- looking ----------------------------------------------------------------------------------

    def containers(self, **labels: str) -> list[Any]:
        """Containers of CLX, running or not."""
        return containers_of_clx(self.client, **labels)

    def left(self) -> set[str]:
        """Everything of CLX in the engine, and every network that is not the engine's own."""
        return left_in(self.client)

    def container(self, type_: str = "notebook", seconds: float = 60) -> Any:
        """The container of a worker, once it runs."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [each for each in self.containers(worker=type_) if each.status == "running"]
            return bool(found)

        self.wait_until(look, f"no {type_} container runs", seconds)
        return found[0]

    def wait_until(self, happened: Callable[[], object], message: str, seconds: float = 60) -> None:
        """Look again and again until *happened*, or fail with *message*."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(NotFound, DatabaseError):  # gone meanwhile; not made yet
                if happened():
                    return
            assert time.monotonic() < deadline, message
            time.sleep(0.05)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Database]:
        """The database, to look into."""
        with Database.open(self.database, readonly=True) as database:
            yield database

    def rows(self, *, live: bool = True) -> list[WorkerRow]:
        """The workers' rows."""
        if not self.database.exists():
            return []
        with self.opened() as database:
            return WorkerTable(database).list(live=live)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of one query."""
        with self.opened() as database:
            return database.read(sql)

    def job_runs(self, seconds: float = 60) -> None:
        """Wait until a worker has a job in hand."""

        def look() -> bool:
            return self.database.exists() and bool(self.query("SELECT 1 FROM jobs WHERE state = 'running'"))

        self.wait_until(look, "no job runs", seconds)

    def marked(self) -> None:
        """Wait until a deck has left its mark in the state directory."""
        self.wait_until((self.database.parent / "mark").exists, "no deck has come as far as its mark")

    def causes(self) -> list[str]:
        """The causes of all runs that were taken from their worker."""
        return [row[0] for row in self.query("SELECT cause FROM runs WHERE outcome = 'rescued'")]

    def reaper(self) -> int:
        """The pid of the reaper of this database's build."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and self._reaps(each)]
            return bool(found)

        self.wait_until(look, "there is no reaper")
        return found[0]

    def _reaps(self, process: Path) -> bool:
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            return False
        return b"docker.reaper" in line and str(self.database).encode() in line


def kill_process(pid: int) -> None:
    """SIGKILL."""
    os.kill(pid, signal.SIGKILL)


IMAGE = f"clx-notebook:{__version__}"
