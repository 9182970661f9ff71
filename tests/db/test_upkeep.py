"""Once a day somebody prunes, by himself."""

from __future__ import annotations

import logging

import pytest
from tests.support.clock import SetClock, at
from tests.support.scene import until

from clx.db import upkeep
from clx.db.check import check
from clx.db.consumer import Consumer
from clx.db.jobs import NewJob, Queue
from clx.db.upkeep import Upkeep, take_turn
from clx.errors import QueueError

_NOW = 10**12
_DAY = 86_400_000


def test_once_a_day_it_is_somebodys_turn(queue: Queue) -> None:
    queue.database.clock = SetClock(_NOW)
    assert [take_turn(queue.database) for _ in range(3)] == [True, False, False]
    queue.database.clock = SetClock(_NOW + _DAY - 1)
    assert not take_turn(queue.database)
    queue.database.clock = SetClock(_NOW + _DAY)
    assert take_turn(queue.database)
    assert check(queue.database) == []


def _old_job(queue: Queue) -> int:
    job_id = at(queue, _NOW).enqueue(NewJob("old"))
    at(queue, _NOW).cancel([job_id])
    return job_id


def test_a_consumer_prunes_while_it_works(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_FIRST_AFTER", 0.0)
    old = _old_job(queue)
    queue.enqueue(NewJob("t"))

    Consumer(queue, {"t": lambda _job: until(lambda: queue.get(old) is None)}).run(until_idle=True)

    assert queue.get(old) is None


def test_none_does_where_it_is_not_wanted(queue: Queue) -> None:
    old = _old_job(queue)
    keeper = Upkeep(queue.database, None)
    keeper._look_at = 0.0

    keeper.prune_if_due()

    assert keeper._thread is None
    assert queue.get(old) is not None
    assert take_turn(queue.database)


def test_other_days_where_wanted_and_soon_after_its_start_nobody(queue: Queue) -> None:
    old = _old_job(queue)
    keeper = Upkeep(queue.database, {"failed": 10**5})
    keeper.prune_if_due()
    assert take_turn(queue.database)
    queue.database.write("forget", lambda tx: tx.execute("DELETE FROM recent_keys"))
    keeper._look_at = 0.0

    keeper.prune_if_due()
    until(lambda: keeper._thread is not None and not keeper._thread.is_alive())

    assert queue.get(old) is not None
    with pytest.raises(QueueError):
        Consumer(queue, {"t": print}, retention={"sucseeded": 1})


def test_whoever_ends_leaves_the_rest_for_another_day(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clx.upkeep")
    old = _old_job(queue)
    keeper = Upkeep(queue.database, {})
    keeper._look_at = 0.0
    keeper._over.set()

    keeper.prune_if_due()
    keeper.end()

    assert queue.get(old) is not None
