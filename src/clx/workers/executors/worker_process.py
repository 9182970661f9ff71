"""What every executor gives: a handle on a worker it has started."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import msgspec

from clx.db.workers import WorkerRow
from clx.settings.schema import Settings
from clx.workers.executors.spec import WorkerSpec

NOT_STARTED: dict[str, object] = {"kind": "engine", "message": "not started"}
"""The cause of the end of a worker that never ran."""
_TAIL = 4000
"""Bytes that are shown of what a worker said last."""


class Spawn(WorkerSpec, frozen=True, kw_only=True):
    """One worker of that kind, and whose it is.

    Attributes:
        database: the job table.
        batch: the batch it ends with; None for a service.
        service: the service it belongs to.
        lifeline: whether it ends when the process that started it is gone; services do not.
    """

    database: Path
    batch: int | None = None
    service: str | None = None
    lifeline: bool = True


def spawn_of(spec: WorkerSpec, database: Path, **whose: Any) -> Spawn:
    """One worker as *spec* says, and whose it is."""
    return Spawn(**msgspec.structs.asdict(spec), database=database, **whose)


def words_for(spawn: Spawn, database: str, settings: Settings, log_name: str) -> list[str]:
    """What a worker's process is told on its command line.

    Args:
        database: the job table as it is named where the worker runs.
        settings: what holds there.
        log_name: the file that takes its output.
    """
    words = [
        spawn.type, "--db", database, "--pool", spawn.pool, f"--config-source={spawn.source}", "--log", log_name,
        "--settings", msgspec.json.encode(settings).decode(),
    ]  # fmt: skip
    for option, value in (("--batch", spawn.batch), ("--service", spawn.service)):
        words += [] if value is None else [option, str(value)]
    return words


def tail_of(log: Path) -> str:
    """The last lines of a worker's output; empty where it cannot be read."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        return stream.read().decode("utf-8", "replace").strip()
    return ""


class WorkerProcess(Protocol):
    """A worker that was started, whether or not it has registered yet.

    Attributes:
        spawn: what it was started with.
        worker_id: its row's id once it has registered.
        started: when, on the monotonic clock, seconds.
        log: where its output goes.
        identity: which process of this machine it is; empty for a container.
    """

    spawn: Spawn
    worker_id: int | None
    started: float
    log: Path
    identity: str

    def descriptor(self) -> int:
        """What becomes readable when it ends; -1 where there is no such thing."""
        ...

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        ...

    def ended_well(self) -> bool:
        """Whether it ended by itself, in order."""
        ...

    def is_row(self, row: WorkerRow) -> bool:
        """Whether *row* is this worker's."""
        ...

    def tail(self) -> str:
        """The last lines of its output."""
        ...

    def cause(self) -> dict[str, object]:
        """How it ended: ``{"kind": "signal", "signal": "SIGKILL"}``, ``{"kind": "exit", "code": 1}``, ``oom``, …"""
        ...

    def terminate(self) -> None:
        """Ask it to finish its job within the grace period."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for its end; false when it still lives afterwards."""
        ...

    def kill(self) -> None:
        """End it and everything it started now."""
        ...

    def close(self) -> None:
        """Release what belongs to it once it has ended. Idempotent."""
        ...
