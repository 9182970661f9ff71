"""Fleets: many models, many workers, cold ones; no clock, no worker."""

from __future__ import annotations

from clx.serving.bench.fleets import Ask, Fleet, Kind, total

MS = 1_000_000


def test_what_is_asked_is_done_or_refused_and_counted() -> None:
    fleet = Fleet([Kind("a", MS), Kind("b", 3 * MS)], 2)
    asks = [Ask(n * MS // 2, "ab"[n % 2], (4 + n % 90) * MS) for n in range(400)]
    fleet.run(asks)
    told = total(fleet.told.values())
    assert told.offered == 400
    assert 0 < told.refused < 400
    assert told.kept + told.missed + told.refused == 400
    assert not fleet.scheduler.asked()


def test_a_cold_model_is_loaded_for_who_has_time_and_takes_the_place_of_the_least_asked() -> None:
    kinds = [Kind(name, MS, load=30 * MS) for name in "abc"]
    fleet = Fleet(kinds, 1, held=2)
    fleet.run([Ask(MS, "a", 0), Ask(10 * MS, "c", 5 * MS), Ask(11 * MS, "c", 90 * MS), Ask(80 * MS, "b", 9 * MS)])
    assert (fleet.told["c"].cold, fleet.told["c"].refused, fleet.told["c"].kept) == (2, 1, 1)
    assert fleet.told["b"].refused == 1  # it had to go, since it was never asked for
    assert fleet.scheduler.holders("c") == [0]


def test_what_has_requests_is_never_given_up() -> None:
    fleet = Fleet([Kind("a", 500 * MS, load=MS), Kind("b", MS, load=MS)], 1, held=1)
    fleet.run([Ask(0, "a", 0), Ask(MS, "b", 900 * MS)])
    assert fleet.evicted == 0
    assert (fleet.told["a"].kept, fleet.told["b"].refused) == (1, 1)


def test_the_first_ones_are_left_out_where_that_is_asked_for() -> None:
    fleet = Fleet([Kind("a", MS)], 1)
    fleet.run([Ask(n * 10 * MS, "a", 0) for n in range(30)], skipped=11)
    assert fleet.told["a"].offered == 20
