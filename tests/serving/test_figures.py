"""What is said of models while they are served."""

from __future__ import annotations

from clx.serving.figures import BINS, BOUNDS, MOST, Recent
from clx.serving.served import Statistics


def answered(numbers: Statistics, *milliseconds: float) -> None:
    for each in milliseconds:
        numbers.success.add(int(each * 1e6))
        numbers.latest.append(int(each * 1e6))


def test_percentiles_are_of_nearest_rank() -> None:
    recent = Recent(Statistics())
    assert recent.percentiles() == [0, 0, 0]
    answered(recent.numbers, *range(1000, 0, -1))
    recent.look(0)
    assert [each // 10**6 for each in recent.percentiles()] == [500, 990, 999]
    answered(recent.numbers, 7)
    recent.look(1)
    assert recent.percentiles()[0] == 500 * 10**6


def test_they_are_of_the_last_minute_that_had_results_and_not_of_very_many() -> None:
    recent = Recent(Statistics())
    answered(recent.numbers, 1000)
    recent.look(0)
    assert recent.percentiles()[0] == 10**9
    recent.look(600_000)
    assert recent.percentiles()[0] == 10**9  # nothing came since
    answered(recent.numbers, 1, 1)
    recent.look(60_001)
    assert recent.percentiles()[2] == 10**6
    for second in range(10):
        answered(recent.numbers, *[second + 2] * (MOST // 4))
        recent.look(60_002 + second)
    assert recent.percentiles() == [9 * 10**6, 11 * 10**6, 11 * 10**6]


def test_buckets_hold_every_result_once() -> None:
    recent = Recent(Statistics())
    answered(recent.numbers, 0.5, 0.51, 1, 10_000, 10_001)
    recent.look(0)
    answered(recent.numbers, 2)
    recent.look(1)
    assert recent.buckets == [1, 2, 1, *[0] * (len(BOUNDS) - 4), 1, 1]


def test_parts_of_time_count_what_came_in_them() -> None:
    recent = Recent(Statistics())
    answered(recent.numbers, 1, 1)
    recent.numbers.answered_without("refused_late")
    recent.look(4_999)
    recent.look(5_000)  # nothing came
    answered(recent.numbers, 1)
    recent.numbers.answered_without("missed")
    recent.numbers.answered_without("failed")
    recent.look(10_000)
    assert list(recent.bins) == [[0, 2, 1], [2, 1, 2]]
    assert recent.outcomes() == (3, 1, 1, 1)
    for part in range(3, 2 * BINS):
        answered(recent.numbers, 1)
        recent.look(part * 5_000)
    assert (len(recent.bins), recent.bins[-1][0]) == (BINS, 2 * BINS - 1)
