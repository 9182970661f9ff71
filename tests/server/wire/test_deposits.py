"""A deposit that comes in twice is one, unless its client cannot have sent it again by itself."""

from __future__ import annotations

import pytest
from tests.support.workflow import OF_2

from clx.server.wire.deposits import Deposits

HERE, THERE = "127.0.0.1", "192.0.2.1"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("answered", "looked", "arrived", "is_core", "meant"),
    [
        (100.0, 100.1, 100.2, False, True),
        (100.0, 100.1, 100.6, False, False),  # so late a client may have sent it again
        (100.0, None, 100.05, True, True),
        (100.0, 100.01, 100.2, True, False),
        (100.0, None, 100.2, False, False),  # it has not looked
        (100.0, 99.9, 100.2, False, False),  # it has looked before the first one
        (None, 100.1, 100.2, False, False),  # the answer was broken
    ],
)
def test_what_is_meant(
    clock: Clock, answered: float | None, looked: float | None, arrived: float, is_core: bool, meant: bool
) -> None:
    deposits = Deposits(clock)
    for at, note in sorted((at, note) for at, note in ((answered, "answered"), (looked, "looked")) if at is not None):
        clock.now = at
        if note == "answered":
            deposits.note_answered([OF_2])
        else:
            deposits.note_looked(HERE)
    assert deposits.meant([OF_2], HERE, arrived, is_core=is_core) == ({0} if meant else set())
    assert is_core or deposits.meant([OF_2], THERE, arrived, is_core=is_core) == set()
    assert deposits.meant([{**OF_2, "parameters": {"x": 1}}], HERE, arrived, is_core=is_core) == set()


@pytest.mark.slow
def test_what_is_remembered_is_forgotten_in_time(clock: Clock) -> None:
    deposits = Deposits(clock)
    deposits.note_answered([{**OF_2, "creation": float(index)} for index in range(30_000)])
    assert len(deposits._answered) == 20_000
    clock.now += 61
    deposits.note_answered([OF_2])
    assert len(deposits._answered) == 1
