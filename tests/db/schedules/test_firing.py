"""Whoever looks fires what is due: each time once, late ones as wanted, beside a live job as wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.db.schedules.conftest import Hands, ms, noted, told

from clx import NewJob, Queue, Schedule
from clx.db.schedules.firing import SLICE
from clx.db.schedules.sweep import Sweep


def nightly(**values: Any) -> Schedule:
    return Schedule(**{"name": "n", "cron": "0 6 * * *", "job": NewJob("t"), "zone": "Europe/Berlin", **values})


def dates(queue: Queue) -> list[str]:
    """The dates that jobs were told, in the order of their ids."""
    return [job.payload["schedule"]["data_date"][5:] for job in reversed(queue.search(limit=10_000))]


def do_one(queue: Queue) -> None:
    [job] = queue.claim(["t"])
    queue.finish(job.id, job.run)


def test_a_time_is_fired_once_whoever_looks(open_queue: Callable[[], Queue]) -> None:
    one, other = open_queue(), open_queue()
    one.database.clock = other.database.clock = hands = Hands()
    one.schedules.add(nightly())
    hands.set("2026-11-25T05:59", 59.9)
    assert one.schedules.fire_due() == []
    hands.set("2026-11-25T06:00")
    assert told(one.schedules.fire_due()) == ["11-25 06:00 queued"]
    assert one.schedules.fire_due() == other.schedules.fire_due() == []
    [job] = one.search()
    assert (job.type, job.payload["schedule"]["fire_at"]) == ("t", "2026-11-25T06:00:00+01:00")
    assert one.schedules.get("n").next_at == ms("2026-11-26T06:00")


def test_nothing_due_is_one_read(queue: Queue, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.schedules.add(nightly())
    sweep = Sweep(queue.database)
    sweep.fire_due()
    asked = noted(monkeypatch, queue, "read")
    monkeypatch.setattr(queue.database, "write", None)
    assert sweep.fire_due() == []
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("catch_up", "outcomes"),
    [
        ("last", ["11-25 06:00 missed", "11-26 06:00 missed", "11-27 06:00 queued"]),
        ("none", ["11-25 06:00 missed", "11-26 06:00 missed", "11-27 06:00 missed"]),
        ("all", ["11-25 06:00 queued"]),
    ],
)
def test_after_a_time_without_anybody(queue: Queue, hands: Hands, catch_up: Any, outcomes: list[str]) -> None:
    queue.schedules.add(nightly(catch_up=catch_up))
    hands.set("2026-11-27T06:02")
    assert told(queue.schedules.fire_due()) == outcomes
    assert told(queue.schedules.fires("n")) == outcomes[::-1]


def test_all_are_caught_up_in_order_one_after_the_other(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(catch_up="all"))
    hands.set("2026-11-28T07:00")
    for day in ("11-25", "11-26", "11-27", "11-28"):
        assert told(queue.schedules.fire_due()) == [f"{day} 06:00 queued"]
        assert queue.schedules.fire_due() == []  # its job waits
        [job] = queue.claim(["t"])
        assert queue.schedules.fire_due() == []  # and runs
        queue.finish(job.id, job.run)
    assert queue.schedules.fire_due() == []
    assert dates(queue) == ["11-25", "11-26", "11-27", "11-28"]


def test_on_time_is_no_catching_up(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(catch_up="none"))
    hands.set("2026-11-25T06:00", 59)
    assert told(queue.schedules.fire_due()) == ["11-25 06:00 queued"]
    hands.set("2026-11-26T06:00", 61)
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 missed"]


def test_what_is_older_than_the_window_is_missed_and_told_by_its_first(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(catch_up="all", window=2 * 86_400_000))
    hands.set("2026-12-25T06:30")
    assert told(queue.schedules.fire_due()) == ["11-25 06:00 missed", "12-24 06:00 queued"]
    hands.set("2027-12-25T06:30")
    do_one(queue)
    queue.schedules.add(nightly(catch_up="last", window=0), replace=True)
    assert told(queue.schedules.fire_due()) == ["12-25 06:00 missed"]
    assert queue.schedules.get("n").next_at == ms("2027-12-26T06:00")


def test_very_many_are_looked_at_in_slices(queue: Queue, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.schedules.add(nightly(cron="* * * * *"))
    hands.set("2026-11-29T05:00")  # 5760 minutes
    writes = noted(monkeypatch, queue, "write")
    found = queue.schedules.fire_due()
    assert (len(found), len(writes)) == (4 * SLICE, 4)
    while more := queue.schedules.fire_due():
        found += more
    assert len(found) == 5760
    assert {fire.outcome for fire in found[:-1]} == {"missed"}
    assert told(found[-1:]) == ["11-29 05:00 queued"]


def test_skip_leaves_out_what_would_run_beside_the_last(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    [job] = queue.claim(["t"], lease=10**10)
    hands.set("2026-11-26T06:00")
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 skipped"]
    queue.finish(job.id, job.run)
    hands.set("2026-11-27T06:00")
    assert told(queue.schedules.fire_due()) == ["11-27 06:00 queued"]


def test_queue_waits_for_the_last_and_then_fires_the_newest(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(overlap="queue"))
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    hands.set("2026-11-27T06:00")
    assert queue.schedules.fire_due() == []
    do_one(queue)
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 missed", "11-27 06:00 queued"]


def test_who_waits_for_the_last_takes_no_lock(queue: Queue, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.schedules.add(nightly(overlap="queue"))
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    hands.set("2026-11-26T06:00")
    monkeypatch.setattr(queue.database, "write", None)
    assert queue.schedules.fire_due() == []


@pytest.mark.parametrize("begun", [False, True])
def test_cancel_ends_the_last_first(queue: Queue, hands: Hands, begun: bool) -> None:
    queue.schedules.add(nightly(overlap="cancel"))
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    jobs = queue.claim(["t"], lease=10**10) if begun else []
    hands.set("2026-11-26T06:00")
    fired = queue.schedules.fire_due()
    for job in jobs:
        assert fired == queue.schedules.fire_due() == []  # it runs still
        assert queue.heartbeat(job.id, job.run) == "cancel"
        queue.end_cancelled(job.id, job.run)
        fired = queue.schedules.fire_due()
    assert told(fired) == ["11-26 06:00 queued"]
    assert [job.state for job in queue.search()] == ["queued", "cancelled"]


def test_a_live_job_of_its_key_skips_a_time(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(job=NewJob("t", key="{data_date}")))
    queue.enqueue(NewJob("t", {"by": "hand"}, key="2026-11-25"))
    hands.set("2026-11-25T06:00")
    assert told(queue.schedules.fire_due()) == ["11-25 06:00 skipped"]
    hands.set("2026-11-26T06:00")
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 queued"]


def test_a_clock_that_is_set_back_fires_nothing_twice_and_keeps_nothing_waiting(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(overlap="queue"))
    hands.set("2026-11-25T06:00")
    queue.schedules.fire_due()
    do_one(queue)
    hands.set("2027-11-25T06:00")  # wrongly
    assert "11-25 06:00 queued" in told(queue.schedules.fire_due())
    do_one(queue)
    hands.set("2026-11-25T05:59")
    assert queue.schedules.fire_due() == []
    hands.set("2026-11-25T06:01")
    assert queue.schedules.fire_due() == []  # this one was fired
    assert dates(queue) == ["11-25", "11-25"]
    hands.set("2026-11-26T06:00")
    assert told(queue.schedules.fire_due()) == ["11-26 06:00 queued"]


def test_a_time_that_a_wrong_clock_missed_is_fired_when_it_comes(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly())
    hands.set("2026-11-28T07:00")
    assert told(queue.schedules.fire_due())[0] == "11-25 06:00 missed"
    hands.set("2026-11-25T05:59")
    queue.schedules.fire_due()
    hands.set("2026-11-25T06:00")
    assert told(queue.schedules.fire_due()) == ["11-25 06:00 queued"]


def test_a_process_that_begins_mends_what_a_wrong_clock_left(open_queue: Callable[[], Queue]) -> None:
    one = open_queue()
    one.database.clock = hands = Hands()
    one.schedules.add(nightly(ends_at=ms("2026-12-24T00:00")))
    one.schedules.add(nightly(name="p", paused=True))
    hands.set("2028-01-01T00:00")
    one.schedules.fire_due()
    assert one.schedules.get("n").next_at is None
    hands.set("2026-11-25T05:00")
    other = open_queue()
    other.database.clock = hands
    Sweep(other.database).fire_due()
    assert other.schedules.get("n").next_at == ms("2026-11-25T06:00")


def test_after_its_end_it_fires_no_more(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(nightly(ends_at=ms("2026-11-25T06:00")))
    hands.set("2026-11-27T07:00")
    assert told(queue.schedules.fire_due()) == ["11-25 06:00 queued"]
    assert queue.schedules.get("n").next_at is None
    assert queue.schedules.fire_due() == []


def test_one_whose_limit_is_gone_is_told_once_and_stays_due(
    queue: Queue, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    queue.set_limit("two", concurrency=2)
    queue.schedules.add(nightly(name="a", job=NewJob("t", limit="two", delay=5000)))
    queue.schedules.add(nightly(name="b"))
    queue.database.write("odd", lambda tx: tx.execute("DELETE FROM limits"))
    hands.set("2026-11-25T06:00")
    with caplog.at_level(logging.WARNING, "clx.schedules"):
        fired = [(fire.schedule, fire.outcome) for fire in queue.schedules.fire_due()]
        assert fired == [("a", "missed"), ("b", "queued")]
        assert queue.schedules.fire_due() == []
    assert len(caplog.messages) == 1
    assert 'The schedule "a" cannot queue its job' in caplog.text
    assert [fire.outcome for fire in queue.schedules.fires("a")] == ["missed"]
    queue.set_limit("two", concurrency=2)
    assert [fire.schedule for fire in queue.schedules.fire_due()] == ["a"]
    assert [fire.outcome for fire in queue.schedules.fires("a")] == ["queued"]
    assert queue.search(limit=1)[0].not_before == hands.now() + 5000


def test_one_that_cannot_be_used_is_told_once_and_stops_no_other(
    queue: Queue, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    queue.schedules.add(nightly(name="a"))
    queue.schedules.add(nightly(name="b"))
    queue.database.write("odd", lambda tx: tx.execute("UPDATE schedules SET zone = 'Mars/Base' WHERE name = 'a'"))
    hands.set("2026-11-25T06:00")
    with caplog.at_level(logging.WARNING, "clx.schedules"):
        assert [fire.schedule for fire in queue.schedules.fire_due()] == ["b"]
        queue.schedules.fire_due()
    assert caplog.messages == ['The schedule "a" cannot be used: There is no time zone "Mars/Base".']
