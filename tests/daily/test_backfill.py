"""Days that go into the queue: which of them, in what order, and that nobody puts one in twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clx import NewJob, Queue
from clx.artifacts.store import ArtifactStore
from clx.daily import Flow, Step
from clx.daily.backfill import Backfill, Entered, days_between
from clx.routines import registry

DAYS = days_between(date(2026, 11, 28), date(2026, 12, 1))


def arrive(data_date: date) -> str:
    return str(data_date)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(registry, "_known", dict(registry.known()), raising=True)
    Flow("small", [Step("arrive", arrive)])
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


def enter(queue: Queue, tmp_path: Path, **options: Any) -> list[Entered]:
    return list(Backfill(queue, "small", DAYS, **options).enter(ArtifactStore(tmp_path / "store"), ""))


def end(queue: Queue, failed: bool = False) -> None:
    (claimed,) = queue.claim(["workflow:small"], 1)
    if failed:
        queue.fail(claimed.id, claimed.run, {"type": "ValueError", "message": "bad"})
    else:
        queue.finish(claimed.id, claimed.run, {"value": {"missing": {}, "errors": {}}})


def test_a_row_for_each_day_and_again_the_same_rows(queue: Queue, tmp_path: Path) -> None:
    first = enter(queue, tmp_path)
    assert [(each.day, each.joined) for each in first] == [(day, False) for day in DAYS]
    assert [each.key for each in queue.get_many([each.job for each in first])] == [str(day) for day in DAYS]
    assert enter(queue, tmp_path) == [each._replace(joined=True) for each in first]


def test_what_is_left_out(queue: Queue, tmp_path: Path) -> None:
    enter(queue, tmp_path)
    end(queue)
    end(queue, failed=True)
    queue.cancel([enter(queue, tmp_path, only=["missing"])[1].job])
    for only, found in (
        (("failed",), [DAYS[1], DAYS[2]]),  # the third lives, and is joined whatever is asked for
        (("missing",), [DAYS[2], DAYS[3]]),
        (("failed", "missing"), DAYS[1:]),
        (("partial",), [DAYS[2]]),
        ((), DAYS),
    ):
        asked = Backfill(queue, "small", DAYS, only=only)
        assert [day for day in DAYS if day not in asked.left_out] == found, only


def test_in_order_one_can_be_claimed_at_a_time_and_a_failure_ends_those_behind(queue: Queue, tmp_path: Path) -> None:
    found = enter(queue, tmp_path, in_order=True)
    (claimed,) = queue.claim(["workflow:small"], 10)
    assert claimed.id == found[0].job
    queue.finish(claimed.id, claimed.run, {"value": {}})
    end(queue, failed=True)
    assert [job.state for job in queue.get_many([each.job for each in found])] == ["succeeded", *["failed"] * 3]


def test_so_many_can_be_claimed_at_a_time(queue: Queue, tmp_path: Path) -> None:
    enter(queue, tmp_path, at_most=3)
    assert len(queue.claim(["workflow:small"], 10)) == 3
    assert queue.enqueue(NewJob("workflow:small", {})) == len(DAYS) + 1  # of another one's days nothing is held back
    assert len(queue.claim(["workflow:small"], 10)) == 1
