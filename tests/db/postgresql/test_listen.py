"""How seldom a process tells others of what it has done."""

from __future__ import annotations

import pytest

from clx.db.postgresql import listen
from clx.db.postgresql.listen import WINDOW, PostgresDoorbell


class _Time:
    """The monotonic clock of the room, set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("rings", "pause"), [(1, WINDOW), (4, WINDOW), (5, 0.05)])
def test_who_has_much_to_say_says_it_seldomer(rings: int, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Time()
    monkeypatch.setattr(listen, "time", clock)
    monkeypatch.setattr(PostgresDoorbell, "_start", lambda _: None)  # nobody sends what waits but the next ring
    told: list[float] = []
    doorbell = PostgresDoorbell(lambda: None, lambda _: told.append(clock.now))
    doorbell.ring("t")
    clock.now += 0.001
    for _ in range(rings - 1):
        doorbell.ring("t")
    second = clock.now = 100.0 + WINDOW
    doorbell.ring("t")

    for _ in range(60):
        clock.now += 0.001
        doorbell.ring("t")

    assert told[:2] == [100.0, second]
    assert told[2] == pytest.approx(second + pause, abs=0.0011)
