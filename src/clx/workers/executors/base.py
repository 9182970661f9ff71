"""What every executor gives: a handle on a worker it has started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clx.db.workers import WorkerRow
from clx.settings.schema import Settings

NOT_STARTED: dict[str, object] = {"kind": "engine", "message": "not started"}
"""The cause of the end of a worker that never ran."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """What a worker is started with.

    Attributes:
        type: its job type.
        mode: ``direct`` or ``docker``.
        database: the job table.
        pool: whose jobs it takes.
        settings: what it needs of the settings.
        image: the container image; docker only.
        batch: the batch it ends with; None for a service.
        service: the service it belongs to.
        config_source: where its number and mode were set.
        lifeline: whether it ends when the process that started it is gone; services do not.
        image_id: the very image of that name that *pool* and the jobs' keys are of; docker only.
    """

    type: str
    mode: str
    database: Path
    pool: str
    settings: Settings
    image: str | None = None
    batch: int | None = None
    service: str | None = None
    config_source: str = "default"
    lifeline: bool = True
    image_id: str | None = None


class Handle(Protocol):
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
