"""The numbers of a build while it runs."""

from __future__ import annotations

import pytest

from clx.course.display import Progress, TypeProgress


@pytest.mark.parametrize(
    ("history", "seconds", "mean"),
    [
        (None, [], None),
        (None, [4.0], 4.0),
        (None, [4.0, 15.0], 5.0),  # the first one weighs as much as ten, lest the estimate jump
        (4.0, [15.0], 5.0),
        (4.0, [15.0, 17.0], 6.0),
    ],
)
def test_the_mean_of_history_weighs_as_much_as_its_first_ten_jobs(
    history: float | None, seconds: list[float], mean: float | None
) -> None:
    progress = TypeProgress("t", mean_seconds=history)
    for each in seconds:
        progress.add_duration(each)
    assert progress.mean_seconds == mean


def test_the_total_is_all_jobs_wherever_they_are() -> None:
    assert TypeProgress("t", queued=1, running=2, done=4, failed=8, workers=16).total == 15


@pytest.mark.parametrize(
    ("queued", "running", "workers", "mean", "left"),
    [(4, 2, 2, 3.0, 9.0), (4, 2, 0, 3.0, 18.0), (0, 0, 2, 3.0, 0.0), (4, 2, 2, None, None)],
)
def test_the_time_left_is_what_waits_and_runs_shared_by_the_workers(
    queued: int, running: int, workers: int, mean: float | None, left: float | None
) -> None:
    progress = TypeProgress("t", queued=queued, running=running, workers=workers, mean_seconds=mean)
    assert progress.seconds_left() == left


@pytest.mark.parametrize(("means", "left"), [([], None), ([None], None), ([None, 2.0], 2.0), ([1.0, 3.0], 3.0)])
def test_types_run_side_by_side_so_the_slowest_tells(means: list[float | None], left: float | None) -> None:
    types = {str(mean): TypeProgress(str(mean), queued=1, workers=1, mean_seconds=mean) for mean in means}
    assert Progress(types).seconds_left() == left
