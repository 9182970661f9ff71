"""Which workers are wanted, and what they are started with."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from clx.settings.schema import ROUTINE_WORKERS, Settings

Key = tuple[str, str]
"""Type and pool: what tells one kind of worker from another."""


class WorkerSpec(msgspec.Struct, frozen=True):
    """Workers of one type and pool that somebody wants, and what they are started with.

    Builds, programs and services ask for workers by it, executors start one by it, the state file of services keeps it.
    """

    type: str
    count: int
    pool: str
    """Whose jobs they take."""
    config_source: str
    """Where *count* came from: ``file:line``, a variable, an option or ``default``; so with the other sources."""
    mode: str
    """``direct`` or ``docker``."""
    image: str | None
    """The container image; docker only."""
    settings: Settings
    """What they need of the settings, the journal mode resolved."""
    image_id: str | None = None
    """What *image* was when *pool* was named after it, whatever it is called by then."""
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
    """One worker of that kind, and whose it is."""

    database: Path
    batch: int | None = None
    """The batch it ends with."""
    service: str | None = None
    """The service it belongs to; any other worker ends when the process that started it is gone."""


def spawn_of(spec: WorkerSpec, database: Path, **whose: Any) -> Spawn:
    """One worker as *spec* says, and whose it is."""
    return Spawn(**msgspec.structs.asdict(spec), database=database, **whose)


def program_of(spawn: Spawn) -> list[str]:
    """The Python and the module that a worker is started with on this machine."""
    if spawn.type not in ROUTINE_WORKERS:
        return [sys.executable, "-P", "-m", "clx.workers"]
    return [spawn.settings.python.interpreter or sys.executable, "-P", "-m", "clx.routines.worker"]


def words_for(spawn: Spawn, database: str, settings: Settings, log_name: str) -> list[str]:
    """What a worker's process is told on its command line: *database* and *settings* as they are where it runs."""
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


def count_by_type(specs: Iterable[WorkerSpec]) -> dict[str, int]:
    """Worker type → how many are asked for."""
    found: Counter[str] = Counter()
    for each in specs:
        found[each.type] += each.count
    return dict(found)


def are_there(specs: Iterable[WorkerSpec], keys: Iterable[Key]) -> bool:
    """Whether workers of *keys* are all that *specs* ask for."""
    there = Counter(keys)
    return all(there[each.key] >= each.count for each in specs)
