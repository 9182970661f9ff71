"""Strikes of models: how long each rests, when it is out, and what is taken for hung."""

from __future__ import annotations

import pytest

from clx.serving.faults import FACTOR, MEMORY, MOST, RESTS, UNWAITED, Faults, hangs

SECOND = 1_000_000_000


def test_each_strike_has_a_model_rest_for_longer() -> None:
    faults, now = Faults(), 0
    for place, rest in enumerate(RESTS):
        assert faults.strike(now, "bad") == place + 1
        assert faults.rest(now, "bad") == rest
        assert faults.rest(now + rest - 1, "bad") == 1
        assert faults.rest(now + rest, "bad") == 0
        assert faults.rest(now, "good") == 0
        now += rest
    assert faults.is_out("bad") == (len(RESTS) >= MOST)
    assert not faults.is_out("good")


def test_strikes_are_forgotten_by_time_and_by_whoever_wants_it_loaded_again() -> None:
    faults = Faults()
    assert [faults.strike(now, "bad") for now in (0, 1, MEMORY + 1)] == [1, 2, 2]
    faults.forgive("bad")
    assert faults.rest(MEMORY + 1, "bad") == 0
    assert faults.strike(MEMORY + 2, "bad") == 1


@pytest.mark.parametrize(
    ("took", "expected", "is_awaited", "found"),
    [
        (31, 1, True, True),
        (29, 1, True, False),
        (31, 4, True, False),
        (4 * FACTOR + 1, 4, True, True),
        (30 // UNWAITED + 1, 0, False, True),
        (30 // UNWAITED + 1, 0, True, False),
        (30 // UNWAITED + 1, 1, False, False),
    ],
)
def test_what_takes_long_hangs_and_sooner_if_nobody_waits(
    took: int, expected: int, is_awaited: bool, found: bool
) -> None:
    assert hangs(took * SECOND, expected * SECOND, 30 * SECOND, is_awaited=is_awaited) is found
