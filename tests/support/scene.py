"""A project on disk, the real ``clx`` run in it, and a look at the processes that belong to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
import pytest
from tests.support.clock import at
from tests.support.containers import containers_of_clx, left_in
from tests.support.courses import SPEC, Course

from clx import __version__
from clx.db.apart import state_directory
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerRow, WorkerTable
from clx.workers.lock_probe import look
from clx.workers.supervision.service_state import locked

T = TypeVar("T")

QUICK_SPEC = SPEC.replace("{de: Mein Kurs, en: My Course}", "My Course").replace("{de: Woche 1, en: Week 1}", "Week 1")

BOTH = pytest.mark.parametrize("mode", ["direct", "docker"], indirect=True)
"""Runs a test that uses ``scene`` with workers as subprocesses, and again with workers in containers."""
_SOAK = bool(os.environ.get("CLX_SOAK"))
STORM = pytest.mark.parametrize(
    ("mode", "seed"),
    [("direct", seed) for seed in range(20 if _SOAK else 2)] + [("docker", seed) for seed in range(20 if _SOAK else 1)],
    indirect=["mode"],
)
"""Runs a test that rolls dice several times, with containers once; many times when soaking."""
IN_CONTAINERS = {
    "CLX_WORKERS__DEFAULT_EXECUTION_MODE": "docker",
    **{
        f"CLX_WORKERS__{type_.upper()}__IMAGE": f"clx-{type_}:{__version__}"
        for type_ in ("notebook", "plantuml", "drawio")
    },
}
"""The settings of docker mode, as variables: every command and every program of the test takes them."""
BROKEN_IMAGE = "clx-test:broken"
WAITS = "import pathlib, time\nwhile not pathlib.Path('{go}').exists(): time.sleep(0.01)\nprint('went')"
"""A cell that goes on once the file *go* is there; see :meth:`Scene.seen`."""
ONLY_DECKS = ("--plantuml-workers", "0", "--drawio-workers", "0")

CONTAINER_SETTINGS = "CLX_WORKERS__DEFAULT_EXECUTION_MODE, CLX_WORKERS__NOTEBOOK__IMAGE"
"""Where a container's mode and image come from here."""


PATIENCE = 60.0
"""Seconds after which something that ought to happen counts as never happening: a machine may be slow and busy."""
GONE_IN = 10.0
"""Seconds within which what was killed, and all it had started, must be gone; cells sleep far longer."""


def until(what: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true value of *what*; fails when there is none in time.

    *what* looks once, at one snapshot: what it sees in a second look may have moved since the first.
    """
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return value


@dataclass
class Scene:
    """A course, its database, and everything that runs on it.

    Attributes:
        course: the course; its root is where commands run.
        database: the job table.
        client: a connection to the container engine where workers run in containers, else None.
    """

    course: Course
    database: Path
    client: Any = None
    engine_before: set[str] = field(default_factory=set)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note what others have in the engine."""
        if self.client is not None:
            self.engine_before = left_in(self.client)

    @property
    def mode(self) -> Literal["direct", "docker"]:
        """``direct`` or ``docker``."""
        return "direct" if self.client is None else "docker"

    def seen(self, name: str) -> str:
        """The path by which a cell finds the file *name* that lies beside the database."""
        return str(self.shared / name) if self.client is None else f"/clx/.clx/{name}"

    @property
    def state(self) -> Path:
        """The state directory."""
        return state_directory(self.database)

    @property
    def shared(self) -> Path:
        """The directory of the database, which containers see."""
        return self.database.parent

    def decks(self, *names: str, cell: str = "print('done')") -> None:
        """A course in one language with these decks, each with one code cell."""
        for name in names:
            self.course.deck(name, f"# %% tags=['keep']\n{cell}\n".replace("'keep'", '"keep"'))
        self.course.write("course.yaml", QUICK_SPEC % "\n".join(f"      - {name}" for name in names))

    def settings(self, text: str) -> None:
        """The project's settings file."""
        self.course.write(".clx/config.toml", text)

    def command(self, *arguments: str) -> list[str]:
        """A command line of ``clx``."""
        return [sys.executable, "-m", "clx", *arguments]

    def clx(self, *arguments: str, code: int = 0, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the project to its end and check its exit code; no user error shows a traceback."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.course.root,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback (most recent call last)" not in done.stderr
        return done

    def json(self, *arguments: str, **variables: Any) -> Any:
        """The JSON document that a command prints."""
        return json.loads(self.clx(*arguments, "--format", "json", **variables).stdout)

    def begin(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command and go on."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.course.root,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def build(self, *options: str, code: int = 0, **variables: Any) -> subprocess.CompletedProcess[str]:
        """``clx build`` of the course, notebook workers only where nothing else is said."""
        return self.clx("build", "course.yaml", *options, code=code, **variables)

    # -- looking ----------------------------------------------------------------------------------

    def open(self) -> Database:
        """The database."""
        return Database.open(self.database)

    def workers(self, *, live: bool = True) -> list[WorkerRow]:
        """Rows of workers."""
        if not self.database.exists():
            return []
        with self.open() as database:
            return WorkerTable(database).list(live=live)

    def jobs(self, state: Any = None) -> list[Any]:
        """Jobs, newest first."""
        if not self.database.exists():
            return []
        with self.open() as database:
            return Queue(database).search(state=state)

    def runs(self, job_id: int) -> list[dict[str, Any]]:
        """Ended runs of a job."""
        with self.open() as database:
            return Queue(database).runs(job_id)

    def running(self) -> Any:
        """Some job that runs right now, or None."""
        return next(iter(self.jobs("running")), None)

    def executing(self) -> Any:
        """Some job that runs the cells of a deck right now, or None."""
        return next((job for job in self.jobs("running") if job.payload["task"] == "execute"), None)

    def processes(self) -> list[psutil.Process]:
        """Every process that names this project or its database, zombies left out; not this one."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if process.pid == os.getpid():
                continue
            try:
                words = " ".join(process.cmdline())
                inside = process.cwd().startswith(str(self.course.root))
                if (str(self.course.root) in words or inside) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def pids_of(self, word: str) -> list[int]:
        """Processes of this project with *word* in their command line."""
        found = []
        for process in self.processes():
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def supervisor(self) -> int:
        """The pid of the supervisor."""
        found = self.pids_of("clx.workers.supervision.supervisor")
        # what it starts has its command line until it begins to be another program
        [pid] = [pid for pid in found if psutil.pid_exists(pid) and psutil.Process(pid).ppid() not in found]
        return pid

    def log(self) -> list[dict[str, Any]]:
        """What was logged."""
        paths = dict.fromkeys(folder / "logs" / "clx.jsonl" for folder in (self.state, self.shared))
        lines = [line for path in paths if path.exists() for line in path.read_text().splitlines()]
        return sorted(map(json.loads, lines), key=lambda entry: float(entry["at"]))

    def enqueue(self, pool: str, *, source: str = "print(1)", timeout: int | None = None, max_runs: int = 3) -> int:
        """Queue a notebook job that runs *source*."""
        from clx.artifacts.store import ArtifactStore

        with self.open() as database:
            text = f'# %% tags=["keep"]\n{source}\n'
            digest = ArtifactStore(database.state.shared / "artifacts").put_bytes(text.encode())
            payload = {
                "task": "execute", "source": "slides_x.py", "topic": ".", "lang": "en", "prog_lang": "python",
                "course": "C", "section": "S", "files": [["slides_x.py", digest]], "cell_timeout": 60.0,
            }  # fmt: skip
            return at(Queue(database), now_ms()).enqueue(
                NewJob("notebook", payload, pool=pool, timeout=timeout, max_runs=max_runs)
            )

    # -- workers, whatever they run in -----------------------------------------------------------

    def container(self, row: WorkerRow) -> Any:
        """The container of a worker."""
        return self.client.containers.get(row.container_id)

    def containers(self) -> list[Any]:
        """The running containers of workers; none in direct mode."""
        return (
            [] if self.client is None else [each for each in containers_of_clx(self.client) if each.status == "running"]
        )

    def kill_worker(self, row: WorkerRow) -> None:
        """SIGKILL to a worker that may just have ended."""
        if self.client is None:
            self.kill(row.pid)
            return
        from docker.errors import APIError

        with contextlib.suppress(APIError):
            self.container(row).kill("SIGKILL")

    def freeze_worker(self, row: WorkerRow) -> None:
        """Stop it where it is, in no moment in which it holds a lock: that would stop everybody."""
        if self.client is None:
            self.freeze(row.pid)
        else:
            container = self.container(row)
            self._freeze(container.pause, container.unpause)

    def freeze(self, pid: int) -> None:
        """The same for a process."""
        self._freeze(lambda: self.kill(pid, signal.SIGSTOP), lambda: self.kill(pid, signal.SIGCONT))

    def _freeze(self, freeze: Callable[[], object], thaw: Callable[[], object]) -> None:
        freeze()
        while not self._is_free():
            thaw()
            freeze()

    def _is_free(self) -> bool:
        with locked(self.state, "services-state", wait=False) as free:
            return free and look(self.database) == "FREE"

    def lives(self, row: WorkerRow) -> bool:
        """Whether its process or container runs."""
        if self.client is None:
            return is_alive(row.pid)
        return row.container_id in {
            each.id for each in containers_of_clx(self.client) if each.status in {"running", "paused"}
        }

    def broken_workers(self, code: str) -> dict[str, Any]:
        """Variables with which every notebook worker runs *code* before anything else.

        *code* finds the worker's command line in ``sys.orig_argv``.
        """
        folder = self.course.write("broken/sitecustomize.py", code).parent
        if self.client is None:
            return {"PYTHONPATH": str(folder)}
        (folder / "Dockerfile").write_text(
            f"FROM clx-notebook:{__version__}\nCOPY sitecustomize.py /broken/\nENV PYTHONPATH=/broken\n"
        )
        self.client.images.build(path=str(folder), tag=BROKEN_IMAGE, rm=True)
        return {"CLX_WORKERS__NOTEBOOK__IMAGE": BROKEN_IMAGE}

    def left(self) -> list[str]:
        """What runs or lies about though no command does: processes, containers, networks."""
        found = [" ".join(each.info["cmdline"] or []) for each in self.processes()]
        if self.client is not None:
            found += sorted(left_in(self.client) - self.engine_before)
        return found

    def await_nothing_left(self) -> None:
        """What somebody killed, and all it had started, must be gone soon; so must the rows of live workers."""
        until(lambda: self.left() == [], GONE_IN)
        assert self.workers() == []

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process that may just have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def end(self) -> None:
        """End what is left, and fail when the project's own commands would have left something."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        until(lambda: not self._kill_all(), GONE_IN)
        if self.client is not None:
            self._end_containers()

    def _kill_all(self) -> list[psutil.Process]:
        found = self.processes()
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):  # a helper may just have noticed that its worker is gone
                each.kill()
        return found

    def _end_containers(self) -> None:
        from docker.errors import APIError

        for each in containers_of_clx(self.client):
            with contextlib.suppress(APIError):  # a reaper may be at it
                each.remove(force=True, v=True)
        for network in self.client.networks.list():
            if network.name in left_in(self.client) - self.engine_before:
                with contextlib.suppress(APIError):
                    network.remove()
        if self.client.images.list(BROKEN_IMAGE):
            self.client.images.remove(BROKEN_IMAGE, force=True)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
