"""Moving the time of a database: for one call, or for as long as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from clx.db import results, retention
from clx.db.clock import Clock
from clx.db.database import Database
from clx.db.retention import Policy, Pruned


class _Kept(Protocol):
    """A queue or another table of a database."""

    database: Database


T = TypeVar("T", bound=_Kept)
R = TypeVar("R")


class SetClock(Clock):
    """Shows what it is set to.

    Args:
        now: milliseconds UTC.
        steady: milliseconds of the clock that is never set; None: leases that are over by *now* are over.
    """

    def __init__(self, now: int, steady: int | None = None) -> None:
        self.is_certain = steady is None
        self._now, self._steady = now, steady or 0

    def now(self) -> int:
        """Milliseconds UTC."""
        return self._now

    def steady(self) -> int:
        """Milliseconds."""
        return self._steady


class _At:
    def __init__(self, table: _Kept, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._table, name)
        return lambda *given, **named: during(self._table.database, self._clock, lambda: method(*given, **named))


def at(table: T, now: int, steady: int | None = None) -> T:
    """*table*, of which a method is called at *now*: ``at(queue, 100).claim(["t"])``."""
    return cast("T", _At(table, SetClock(now, steady)))


def during(database: Database, clock: Clock, call: Callable[[], R]) -> R:
    """What *call* returns while *database* is kept by *clock*."""
    usual, database.clock = database.clock, clock
    try:
        return call()
    finally:
        database.clock = usual


def prune(database: Database, policy: Policy, *, now: int) -> Pruned:
    """:func:`clx.db.retention.prune` at *now*."""
    return during(database, SetClock(now), lambda: retention.prune(database, policy))


def find_results(database: Database, keys: Sequence[str], type: str | None = None, *, now: int) -> dict[str, Any]:  # noqa: A002
    """:func:`clx.db.results.find_results` at *now*."""
    return during(database, SetClock(now), lambda: results.find_results(database, keys, type))
