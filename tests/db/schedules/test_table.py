"""Schedules are put in, changed, looked at, run at once and filled up."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.schedules.conftest import Hands, ms, noted, told
from tests.db.schedules.test_firing import dates, do_one, nightly

from clx import NewJob, Queue, QueueError
from clx.db.schedules import table


def test_what_was_put_in_is_there(queue: Queue, hands: Hands) -> None:
    added = queue.schedules.add(nightly())
    assert added == nightly()
    assert (added.next_at, added.created_at) == (ms("2026-11-25T06:00"), hands.now())
    queue.schedules.add(nightly(name="a"))
    assert [each.name for each in queue.schedules.list()] == ["a", "n"]
    assert queue.schedules.get("n") == added
    queue.schedules.remove("a")
    assert [each.name for each in queue.schedules.list()] == ["n"]


def test_a_name_is_taken_unless_it_is_to_be_replaced(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    with pytest.raises(QueueError, match='There is a schedule "n" already'):
        queue.schedules.add(nightly(cron="@daily"))
    assert queue.schedules.add(nightly(cron="@daily"), replace=True).next_at == ms("2026-11-26T00:00")
    assert queue.schedules.add(nightly(name="new"), replace=True).name == "new"


def test_a_program_that_adds_it_whenever_it_starts_catches_up(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-27T07:00")
    queue.schedules.add(nightly(job=NewJob("t", {"version": 2})), replace=True)
    assert told(queue.schedules.fire_due())[-1] == "11-27 06:00 queued"
    queue.schedules.pause("n")
    assert queue.schedules.add(nightly(), replace=True).paused


def test_what_never_fires_is_refused(queue: Queue, hands: Hands) -> None:
    with pytest.raises(QueueError, match="would never fire"):
        queue.schedules.add(nightly(ends_at=hands.now()))
    with pytest.raises(QueueError, match="goes in as a Schedule"):
        queue.schedules.add("n")  # type: ignore[arg-type]


def test_a_limit_that_is_not_set_is_refused_before_anything_is_due(queue: Queue, hands: Hands) -> None:
    with pytest.raises(QueueError, match="There is no limit 'two'") as raised:
        queue.schedules.add(nightly(job=NewJob("t", limit="two")))
    assert raised.value.next_step.startswith("Set it first: clx limits set ")
    assert raised.value.next_step.endswith(' --concurrency 2 (in Python: queue.set_limit("two", concurrency=2)).')
    queue.set_limit("two", concurrency=2)
    queue.schedules.add(nightly(job=NewJob("t", limit="two")))


def test_a_text_that_not_every_database_takes_is_refused(queue: Queue, hands: Hands) -> None:
    with pytest.raises(QueueError, match=r"The key .* of a job is not possible"):
        queue.schedules.add(nightly(job=NewJob("t", key="a\0b")))


def test_what_falls_into_a_pause_is_not_caught_up(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    queue.schedules.pause("n")
    hands.set("2026-11-27T07:00")
    assert queue.schedules.fire_due() == []
    assert queue.schedules.resume("n").next_at == ms("2026-11-28T06:00")
    hands.set("2026-11-28T06:01")
    assert queue.schedules.resume("n").next_at == ms("2026-11-28T06:00")  # it is not paused: nothing is lost
    assert told(queue.schedules.fire_due()) == ["11-28 06:00 queued"]


def test_running_one_now_leaves_its_times_alone(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    queue.schedules.pause("n")
    fire = queue.schedules.run("n")
    assert (fire.fire_at, fire.outcome) == (hands.now(), "queued")
    assert queue.schedules.get("n").next_at == ms("2026-11-25T06:00")
    with pytest.raises(QueueError, match=f"Job {fire.job_id} of this schedule waits still"):
        queue.schedules.run("n")
    do_one(queue)
    assert queue.schedules.run("n").fire_at == hands.now() + 1
    assert dates(queue) == ["11-25", "11-25"]


def test_running_one_whose_key_is_taken_says_so(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(job=NewJob("t", key="k")))
    queue.enqueue(NewJob("t", key="k"))
    with pytest.raises(QueueError, match="key"):
        queue.schedules.run("n")
    assert queue.schedules.fires("n") == []


def test_times_that_are_over_are_filled_up_oldest_first(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-25T12:00")
    queue.schedules.fire_due()
    start = ms("2026-11-22T00:00")
    done = queue.schedules.backfill("n", start, ms("2026-12-24T00:00"))
    assert told(done.queued) == ["11-22 06:00 queued", "11-23 06:00 queued", "11-24 06:00 queued"]
    assert (done.there, done.left) == (1, 0)  # today's job waits; tomorrow is not over
    assert dates(queue) == ["11-25", "11-22", "11-23", "11-24"]
    assert queue.schedules.backfill("n", start, hands.now()).there == 4
    assert queue.schedules.backfill("n", ms("2026-11-26T00:00"), ms("2026-11-27T00:00")).queued == []
    assert queue.schedules.get("n").next_at == ms("2026-11-26T06:00")


def test_only_what_is_missing_is_filled_up(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-28T07:00")
    assert [fire.outcome for fire in queue.schedules.fire_due()] == ["missed", "missed", "missed", "queued"]
    start = ms("2026-11-24T00:00")
    first = queue.schedules.backfill("n", start, hands.now(), at_most=2)
    assert (told(first.queued), first.left) == (["11-24 06:00 queued", "11-25 06:00 queued"], 2)
    for job in queue.claim(["t"], 3):
        if job.payload["schedule"]["data_date"].endswith("24"):
            queue.fail(job.id, job.run, {"message": "no"})
        else:
            queue.finish(job.id, job.run)
    rest = queue.schedules.backfill("n", start, hands.now(), only_missing=True)
    assert told(rest.queued) == ["11-24 06:00 queued", "11-26 06:00 queued", "11-27 06:00 queued"]
    assert (rest.there, rest.left) == (2, 0)
    assert queue.schedules.counts("n") == {"queued": 5}


def test_filling_up_again_does_what_has_succeeded_again(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    do_one(queue)
    assert len(queue.schedules.backfill("n", hands.now(), hands.now()).queued) == 1
    assert dates(queue) == ["11-25", "11-25"]
    [fire] = queue.schedules.fires("n")
    assert (fire.job_id, fire.state) == (2, "queued")


def test_jobs_that_are_filled_up_keep_no_time_from_firing(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    do_one(queue)
    queue.schedules.backfill("n", ms("2026-11-20T00:00"), hands.now(), only_missing=True)
    hands.set("2026-11-26T06:00")
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 queued"]


def test_filling_up_goes_in_slices_and_has_an_end(queue: Queue, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.schedules.add(nightly(cron="* * * * *"))
    monkeypatch.setattr(table, "MOST", 500)
    writes = noted(monkeypatch, queue, "write")
    assert len(queue.schedules.backfill("n", hands.now() - 499 * 60_000, hands.now()).queued) == 500
    assert writes == ["change_schedule"] * 3
    with pytest.raises(QueueError, match="more than 500 times"):
        queue.schedules.backfill("n", 0, hands.now())


@pytest.mark.parametrize("call", ["get", "remove", "pause", "resume", "run", "backfill"])
def test_an_unknown_name_is_told_with_the_one_that_was_meant(queue: Queue, hands: Hands, call: str) -> None:
    given: list[Any] = ["nightli", 0, hands.now()] if call == "backfill" else ["nightli"]
    with pytest.raises(QueueError) as raised:
        getattr(queue.schedules, call)(*given)
    assert (raised.value.fact, raised.value.next_step[:9]) == ('There is no schedule "nightli".', "There are")
    queue.schedules.add(nightly(name="nightly"))
    with pytest.raises(QueueError) as raised:
        getattr(queue.schedules, call)(*given)
    assert raised.value.next_step == 'Did you mean "nightly"?'


def test_a_schedule_takes_what_is_told_of_its_fires_along(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    queue.schedules.run("n")
    queue.schedules.remove("n")
    queue.schedules.add(nightly())
    assert queue.schedules.fires("n") == []
    assert len(queue.search()) == 1
