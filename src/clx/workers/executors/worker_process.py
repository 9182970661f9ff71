"""A worker that was started: what every executor gives."""

from __future__ import annotations

import contextlib
import os
import time
from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path

from clx.db.workers import WorkerRow
from clx.platforms import system
from clx.workers.executors.spec import Spawn

NOT_STARTED: dict[str, object] = {"kind": "engine", "message": "not started"}
"""The cause of the end of a worker that never ran."""
_numbers = count(1)
_TAIL = 4000
"""Bytes that are shown of what a worker said last."""


class WorkerProcess(ABC):
    """A worker that was started, whether or not it has registered yet."""

    def __init__(self, spawn: Spawn, log: Path, identity: str = "") -> None:
        self.spawn = spawn
        self.worker_id: int | None = None  # its row's, once it has registered
        self.started = time.monotonic()
        self.log = log  # where its output goes; an empty path when nowhere
        self.identity = identity  # which process of this machine it is; empty for a container
        self.descriptor = -1  # what becomes readable when it ends, where there is such a thing

    @abstractmethod
    def is_alive(self) -> bool:
        """Whether it has not ended."""

    @abstractmethod
    def ended_well(self) -> bool:
        """Whether it ended by itself, in order."""

    @abstractmethod
    def is_row(self, row: WorkerRow) -> bool:
        """Whether *row* is this worker's."""

    def tail(self) -> str:
        """The last lines of its output."""
        return tail_of(self.log)

    @abstractmethod
    def cause(self) -> dict[str, object]:
        """How it ended: ``{"kind": "signal", "signal": "SIGKILL"}``, ``{"kind": "exit", "code": 1}``, ``oom``, …"""

    @abstractmethod
    def terminate(self) -> None:
        """Ask it to finish its job within the grace period."""

    def wait(self, seconds: float) -> bool:
        """Wait for its end; false when it still lives afterwards."""
        return self.descriptor < 0 or bool(system.wait_readable([self.descriptor], max(0.0, seconds)))

    @abstractmethod
    def kill(self) -> None:
        """End it and everything it started now."""

    def close(self) -> None:
        """Release what belongs to it once it has ended, and the log of one that ended well. Idempotent."""
        well = self.ended_well()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if well and self.log.name:
            self.log.unlink(missing_ok=True)


def new_log(spawn: Spawn, state_dir: Path) -> Path:
    """Where the output of a worker is to go; each that this process starts has its own."""
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{spawn.type}-{os.getpid()}-{next(_numbers)}.log"


def tail_of(log: Path) -> str:
    """The last lines of a worker's output; empty where it cannot be read."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        return stream.read().decode("utf-8", "replace").strip()
    return ""
