"""A queue whose clock a test moves."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clx.db.clock import Clock
from clx.db.jobs import Queue
from clx.db.schedules.models import Fire

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str, zone: str = "Europe/Berlin") -> int:
    """A moment on the clock of *zone* as milliseconds UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def told(fires: list[Fire]) -> list[str]:
    """Fires in few words, on the clock of Berlin: ``11-25 06:00 queued``."""
    return [f"{datetime.fromtimestamp(fire.fire_at / 1000, BERLIN):%m-%d %H:%M} {fire.outcome}" for fire in fires]


def noted(monkeypatch: pytest.MonkeyPatch, queue: Queue, method: str) -> list[str]:
    """The first argument of every call of that method of the queue's database, from now on."""
    found: list[str] = []
    call = getattr(queue.database, method)

    def note(*given: Any) -> Any:
        found.append(given[0])
        return call(*given)

    monkeypatch.setattr(queue.database, method, note)
    return found


class Hands(Clock):
    """A clock that is set by hand; its steady half stands still."""

    is_certain = True

    def __init__(self) -> None:
        self.at = ms("2026-11-25T05:00")

    def now(self) -> int:
        return self.at

    def steady(self) -> int:
        return 0

    def set(self, text: str, seconds: float = 0) -> None:
        """To a moment in Berlin, and so many seconds more."""
        self.at = ms(text) + round(seconds * 1000)


@pytest.fixture
def hands(queue: Queue) -> Hands:
    """The hands of the queue's clock: 5:00 on Wednesday, 25 November 2026, in Berlin."""
    queue.database.clock = Hands()
    return queue.database.clock
