"""Starting the programs of the queues, and what they did: jobs per second, seconds until a job began."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.queues.postgres import Server

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "asyncpg==0.32.0",
    "dbos==3.4.0",
    "huey==3.5.4",
    "litequeue==0.9",
    "persist-queue==1.1.0",
    "pgqueuer==1.6.0",
    "procrastinate==3.10.0",
    "psycopg[binary,pool]==3.3.9",
)
LIMIT = 120
"""Seconds after which a drain counts as failed."""
PAUSES = (0.1, 0.5)
"""Seconds an idle worker stays idle before the next job: any, so that no place in its polling is preferred."""


class DrainError(Exception):
    """A queue did not do what it was given; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A queue to measure.

    Attributes:
        name: its name on PyPI.
        module: its program.
        keeps: a job stays until it is finished, so that a killed worker loses none.
        crowd: it serves several processes.
        share: of the jobs; slow queues get fewer. A shallower queue favours them.
        rounds: drains, whose median counts.
        waits: how an idle worker waits.
        sqlite: it works in a SQLite file.
    """

    name: str
    module: str
    waits: str
    keeps: bool = True
    crowd: bool = True
    share: float = 1.0
    rounds: int = 3
    sqlite: bool = True

    @property
    def fair(self) -> bool:
        """Whether it promises what CLX promises: the comparison that counts."""
        return self.name != "clx" and self.sqlite and self.keeps and self.crowd

    def command(self, mode: str, where: str, *rest: str) -> list[str]:
        """The command line of its program."""
        python = sys.executable if self.name == "clx" else str(peers.environment("bench-queue-peers", PACKAGES))
        return [python, "-m", f"benchmarks.queues.{self.module}", mode, where, *rest]


@dataclass(frozen=True)
class Drain:
    """What became of one drain: jobs per second, and how often the queue's own loop met a lock."""

    rate: float
    locked: int


def drain(peer: Peer, where: str, processes: int, jobs: int) -> Drain:
    """Fill a queue and have *processes* empty it; what counts is the time from the first start to the last report.

    Raises:
        DrainError: a process failed, jobs are missing, or it took longer than :data:`LIMIT`.
    """
    filled = subprocess.run(peer.command("fill", where, str(jobs)), cwd=ROOT, capture_output=True, text=True)
    if filled.returncode:
        raise DrainError(_last_line(filled.stderr))
    with _programs(peer, [("drain", where)] * processes) as crowd:
        for process in crowd:
            _tell(process)
        end = time.monotonic() + LIMIT
        tallies = [json.loads(_answer(process, end)) for process in crowd]
    done = sum(tally["done"] for tally in tallies)
    if done != jobs:
        raise DrainError(f"{done:,} of {jobs:,} jobs done")
    first = min(tally["first"] for tally in tallies if tally["done"])
    last = max(tally["last"] for tally in tallies if tally["done"])
    return Drain(jobs / (last - first), sum(tally["locked"] for tally in tallies))


def pick_ups(peer: Peer, where: str, jobs: int) -> list[float]:
    """Seconds from putting a job to its start in an idle process, sorted; one more job before warms both up."""
    modes = [("put", where), ("serve", where)] if peer.crowd else [("put", where)]
    with _programs(peer, modes) as crowd:
        found = [_pick_up(crowd[0], crowd[-1]) for _ in range(jobs + 1)]
    return sorted(found[1:])


def _pick_up(producer: subprocess.Popen[str], worker: subprocess.Popen[str]) -> float:
    time.sleep(random.uniform(*PAUSES))
    _tell(producer)
    assert producer.stdout is not None
    assert worker.stdout is not None
    times = sorted((float(producer.stdout.readline()), float(worker.stdout.readline())))
    return times[1] - times[0]


@contextmanager
def _programs(peer: Peer, modes: list[tuple[str, str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that are ready; those that still run afterwards are killed."""
    with tempfile.TemporaryFile("w+") as complaints:
        crowd: list[subprocess.Popen[str]] = []
        try:
            for mode in modes:
                crowd.append(
                    subprocess.Popen(
                        peer.command(*mode),
                        cwd=ROOT,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=complaints,
                        text=True,
                    )
                )
                if mode[0] == "put":  # makes the tables
                    _ready(crowd[-1])
            for process, mode in zip(crowd, modes, strict=True):
                if mode[0] != "put":
                    _ready(process)
            yield crowd
        except (DrainError, ValueError, OSError) as error:
            complaints.seek(0)
            raise DrainError(_last_line(complaints.read()) or str(error)) from error
        finally:
            for process in crowd:
                process.kill()
                process.communicate()


def _ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise DrainError("it did not start")


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str], end: float) -> str:
    try:
        told, _ = process.communicate(timeout=max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise DrainError(f"not empty after {LIMIT} s") from None
    if process.returncode or not told:
        raise DrainError(f"ended with exit code {process.returncode}")
    return told


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


@contextmanager
def new_queue(peer: Peer, server: Server | None) -> Iterator[str]:
    """Where a new queue of *peer* is to be: a file on the disk of the current directory, or a database."""
    if not peer.sqlite:
        assert server is not None
        yield server.database()
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield f"{folder}/jobs.db"
