"""How workers are kept up: when the next is started."""

from __future__ import annotations

from clx.workers.supervision.restart_policy import pause


def test_pauses_double_and_stay_bounded_however_long_an_engine_is_away() -> None:
    """Half a minute each, for days: the number of failures may be any."""
    assert [pause(0.25, failures) for failures in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause(0.25, 5_000) == 30
