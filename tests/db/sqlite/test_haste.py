"""Who writes at once waits for nobody, and leaves to others what takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clx.db.jobs import Queue
from clx.db.leases import Lease
from clx.db.models import NewJob
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import driver
from clx.db.sqlite.haste import Hasty
from clx.db.transaction import Transaction
from clx.errors import DatabaseBusyError


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as opened:
        yield opened


def test_a_write_at_once_is_one(queue: Queue) -> None:
    with queue.database.at_once():
        assert queue.enqueue(NewJob("t")) == 1
    assert not queue.database.is_in_haste
    assert [each.type for each in queue.search()] == ["t"]


def test_where_another_writes_it_is_refused_without_waiting_and_without_distrust(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue(NewJob("t"))
    database = queue.database
    assert isinstance(database, SqliteDatabase)
    before = database.connection().execute("PRAGMA busy_timeout").fetchone()
    monkeypatch.setattr("clx.db.sqlite.driver.locked_by", lambda _: pytest.fail("it takes longer than to wait"))
    with closing(driver.connect(str(database.path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with database.at_once(), pytest.raises(DatabaseBusyError):
            queue.enqueue(NewJob("t"))
        assert time.monotonic() - begun < database.patience
    assert database.leases.is_still_over(Lease(1, 1, 0, 60_000)), "a wait for nobody explains no silence"
    assert database.connection().execute("PRAGMA busy_timeout").fetchone() == before
    assert len(queue.search()) == 1


def test_what_ends_a_step_of_a_pipeline_is_left_to_who_has_time(queue: Queue) -> None:
    def body(tx: Transaction) -> None:
        tx.steps.add(1)
        tx.execute("UPDATE jobs SET priority = 5")

    queue.enqueue(NewJob("t"))
    with queue.database.at_once(), pytest.raises(DatabaseBusyError):
        queue.database.write("test", body)
    assert queue.search()[0].priority != 5


@pytest.mark.slow
def test_a_long_log_is_copied_back_by_who_has_time(queue: Queue) -> None:
    log = queue.database.path.with_name("jobs.db-wal")
    assert isinstance(queue.database, Hasty)
    with queue.database.at_once():
        for _ in range(40):
            queue.enqueue_many([NewJob("t", {"text": "x" * 4000})] * 100)
    queue.database.see_to_log()
    queue.enqueue(NewJob("t"))  # begins the log anew, so that it grows no more
    size = log.stat().st_size
    queue.enqueue_many([NewJob("t", {"text": "x" * 4000})] * 100)
    assert log.stat().st_size == size
