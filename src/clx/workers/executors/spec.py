"""Which workers are wanted, and what they are started with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from clx.settings.schema import Settings

Key = tuple[str, str]
"""Type and pool: what tells one kind of worker from another."""


class WorkerSpec(msgspec.Struct, frozen=True):
    """Workers of one type and pool that somebody wants, and what they are started with.

    Builds, programs and services ask for workers by it, executors start one by it, the state file of services keeps it.

    Attributes:
        type: their job type.
        count: how many.
        pool: whose jobs they take.
        config_source: where *count* came from: ``file:line``, a variable, an option or ``default``.
        mode: ``direct`` or ``docker``.
        image: the container image; docker only.
        settings: what they need of the settings, the journal mode resolved.
        image_id: what *image* was when *pool* was named after it, whatever it is called by then.
        mode_source: where *mode* came from, as with *config_source*.
        image_source: where *image* came from.
    """

    type: str
    count: int
    pool: str
    config_source: str
    mode: str
    image: str | None
    settings: Settings
    image_id: str | None = None
    mode_source: str = "default"
    image_source: str = "default"

    @property
    def key(self) -> Key:
        """What tells one kind of worker from another."""
        return (self.type, self.pool)

    @property
    def source(self) -> str:
        """Where what these workers are was set: number, mode and image, each place once (REQ-8.1).

        Of a plain subprocess whose number was set that is where the number was.
        """
        contained = [self.mode_source, self.image_source] if self.mode == "docker" else []
        parts = [each for each in dict.fromkeys([self.config_source, *contained]) if each != "default"]
        return ", ".join(parts) or self.mode_source


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


def images_of(specs: Iterable[WorkerSpec]) -> dict[str, str | None]:
    """Worker type → container image; None for a worker that is a subprocess."""
    return {each.type: each.image if each.mode == "docker" else None for each in specs}


def are_there(specs: Iterable[WorkerSpec], keys: Iterable[Key]) -> bool:
    """Whether workers of *keys* are all that *specs* ask for."""
    there = Counter(keys)
    return all(there[each.key] >= each.count for each in specs)
