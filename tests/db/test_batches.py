"""Rows of batches: what they say, who owns them, and what a build cancels of its own."""

from __future__ import annotations

from itertools import count

import pytest
from tests.support.clock import at

from clx.db.batches import Batch, BatchTable
from clx.db.identity import process_identity
from clx.db.jobs import NewJob, Queue


@pytest.fixture
def queue(kept: Queue) -> Queue:
    return kept


@pytest.fixture
def batches(queue: Queue) -> BatchTable:
    return BatchTable(queue.database)


def open_one(batches: BatchTable, *, identity: str = "elsewhere", now: int = 1000) -> int:
    return at(batches, now).open("build", host="h", pid=7, identity=identity, lease=100)


def test_a_batch_says_who_opened_it_and_until_when_it_is_theirs(batches: BatchTable) -> None:
    id_ = open_one(batches)
    assert batches.get(id_) == Batch(id_, "build", "live", "h", 7, "elsewhere", 1100, 1000, None, None)
    assert batches.get(id_ + 1) is None


@pytest.mark.parametrize(("abandoned", "state"), [(False, "done"), (True, "abandoned")])
def test_a_batch_that_ended_says_how_and_when(batches: BatchTable, abandoned: bool, state: str) -> None:
    id_, other = open_one(batches), open_one(batches)
    at(batches, 1050).close(id_, abandoned=abandoned)
    found = batches.get(id_)
    assert found is not None
    assert (found.state, found.finished_at) == (state, 1050)
    assert [batch.id for batch in batches.live()] == [other]


@pytest.mark.parametrize(("now", "is_owned"), [(1000, True), (1099, True), (1100, False)])
def test_a_batch_is_owned_within_its_lease(batches: BatchTable, now: int, is_owned: bool) -> None:
    assert at(batches, now).is_owned(open_one(batches)) is is_owned


def test_a_lease_is_renewed_from_now_and_not_after_the_end(batches: BatchTable) -> None:
    id_ = open_one(batches)
    assert at(batches, 1500).renew(id_, lease=100)
    assert (at(batches, 1599).is_owned(id_), at(batches, 1600).is_owned(id_)) == (True, False)
    at(batches, 1550).close(id_)
    assert not at(batches, 1560).renew(id_, lease=100)
    assert not at(batches, 1560).is_owned(id_)
    assert not at(batches, 1560).renew(id_ + 1, lease=100)


def test_only_those_named_are_cancelled_and_only_where_nobody_else_wants_them(
    queue: Queue, batches: BatchTable
) -> None:
    mine, theirs = open_one(batches), open_one(batches)
    a, b, shared = queue.enqueue_many([NewJob("t", key="a"), NewJob("t", key="b"), NewJob("t", key="s")], batch=mine)
    queue.enqueue_many([NewJob("t", key="s")], batch=theirs)
    foreign = queue.enqueue(NewJob("t"))
    assert batches.cancel(mine, [a, shared, foreign]) == [a]
    assert {job.id: job.state for job in queue.search()} == {
        a: "cancelled", b: "queued", shared: "queued", foreign: "queued",
    }  # fmt: skip
    assert [batch.id for batch in batches.live()] == [mine, theirs]


@pytest.mark.parametrize(
    ("identity", "is_gone", "now", "swept"),
    [
        ("elsewhere", False, 1099, False),
        ("elsewhere", False, 1100, True),  # cannot be judged from here: its lease tells
        ("elsewhere", True, 1000, True),
        ("", False, 9999, False),  # this process: known to live, however silent
    ],
)
def test_a_batch_is_swept_when_its_owner_is_gone_or_silent_elsewhere(
    queue: Queue, batches: BatchTable, identity: str, is_gone: bool, now: int, swept: bool
) -> None:
    id_ = open_one(batches, identity=identity or process_identity())
    (job,) = queue.enqueue_many([NewJob("t")], batch=id_)
    assert at(batches, now).sweep(lambda _: is_gone, spare=[id_]) == []
    assert at(batches, now).sweep(lambda _: is_gone) == ([id_] if swept else [])
    found = queue.get(job)
    assert found is not None
    assert found.state == ("cancelled" if swept else "queued")


def test_after_a_wait_for_the_lock_nobody_is_judged_by_his_lease(
    batches: BatchTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, gone = open_one(batches, identity="silent"), open_one(batches, identity="gone")
    clock = count(0.0, 0.2)
    monkeypatch.setattr("clx.db.batches.time.monotonic", lambda: next(clock))
    assert at(batches, 9999).sweep(lambda identity: identity == "gone") == [gone]
    assert [batch.id for batch in batches.live()] == [silent]
