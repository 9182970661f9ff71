"""Those who work on a table fire its schedules by themselves."""

from __future__ import annotations

import threading

import pytest
from tests.db.schedules.conftest import Hands

from clx import Consumer, Job, NewJob, Queue, Schedule
from clx.db.clock import now_ms
from clx.errors import DatabaseBusyError


def make_due(queue: Queue) -> None:
    queue.schedules.add(Schedule("n", "@hourly", NewJob("t")))
    queue.database.write("late", lambda tx: tx.execute("UPDATE schedules SET next_at = ?", (now_ms() - 5000,)))


def test_a_consumer_fires_what_is_due_and_does_it(queue: Queue) -> None:
    done = threading.Event()

    def handle(_job: Job) -> None:
        done.set()

    make_due(queue)
    assert Consumer(queue, {"t": handle}, limit=1).run() == 1
    assert done.is_set()
    assert [fire.outcome for fire in queue.schedules.fires("n")] == ["queued"]


@pytest.mark.parametrize("until", ["until_idle", "until_done"])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_consumer_that_ends_when_there_is_nothing_fires_what_is_due_first(
    queue: Queue, until: str, concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_due(queue)
    monkeypatch.setattr(Consumer, "_sweep", lambda _self: None)  # its heartbeat may come as early, or too late
    consumer = Consumer(queue, {"t": lambda _job: None}, concurrency=concurrency)
    assert consumer.run(**{until: True}) == 1


def test_what_holds_up_schedules_is_told_and_jobs_are_done_all_the_same(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_self: object) -> None:
        raise DatabaseBusyError("The table is locked.")

    queue.enqueue(NewJob("t"))
    monkeypatch.setattr("clx.db.schedules.sweep.Sweep.fire_due", refuse)
    monkeypatch.setattr(Consumer, "_sweep", lambda _self: None)
    assert Consumer(queue, {"t": lambda _job: None}).run(until_idle=True) == 1
    assert "The table is locked." in caplog.messages


def test_a_consumer_in_the_middle_of_a_job_fires_as_well(queue: Queue) -> None:
    def handle(_job: Job) -> None:
        while not queue.schedules.fires("n"):
            queue.wait([1], timeout=0.05)

    make_due(queue)
    queue.enqueue(NewJob("long"))
    assert Consumer(queue, {"long": handle}, limit=1).run() == 1


def test_a_clock_that_jumps_back_is_noticed_by_the_one_who_saw_it(queue: Queue, hands: Hands) -> None:
    queue.schedules.add(Schedule("n", "0 6 * * *", NewJob("t"), zone="Europe/Berlin"))
    hands.set("2026-11-25T05:30")
    queue.schedules.fire_due()
    hands.set("2026-11-20T05:30")
    queue.schedules.fire_due()
    hands.set("2026-11-20T06:00")
    assert len(queue.schedules.fire_due()) == 1


@pytest.mark.parametrize("there", [False, True])
def test_a_look_costs_one_read_where_nothing_is_due(queue: Queue, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if there:
        queue.schedules.add(Schedule("n", "@yearly", NewJob("t")))
    queue.schedules.fire_due()
    asked: list[str] = []
    read = queue.database.read

    def note(sql: str, *given: object) -> object:
        asked.append(sql)
        return read(sql, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(queue.database, "read", note)
    assert queue.schedules.fire_due() == []
    assert len(asked) == 1
