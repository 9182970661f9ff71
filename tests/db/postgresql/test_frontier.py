"""Claims that begin above what is over take what a look from the beginning would take, and read little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.support.clock import at

from clx.db.jobs import NewJob, Queue
from clx.db.postgresql import frontier

_NOW = 10_000


@pytest.fixture
def queue(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue whose frontier moves whenever somebody looks, and never back."""
    monkeypatch.setattr(frontier, "_AT_FIRST", 0.0)
    monkeypatch.setattr(frontier, "_OFTEN", 0.0)
    monkeypatch.setattr(frontier, "_CLAIMS", 0)
    monkeypatch.setattr(frontier, "_SELDOM", 3600.0)
    with Queue.open(postgresql) as queue:
        yield queue


def _settle(queue: Queue) -> list[int]:
    """Have the frontier move as far as it can; returns it."""
    for _ in range(3):
        _marks(queue)
        queue.database.find_marks("", ["t"])
    return _marks(queue)


def _marks(queue: Queue) -> list[int]:
    text = queue.database.frontiers.marks("", "t")  # type: ignore[attr-defined]
    return [int(mark) for mark in text[1:-1].split(",")]


def _done(queue: Queue, jobs: int = 5) -> int:
    """Some jobs that are over; returns the id of the last."""
    ids = at(queue, _NOW).enqueue_many([NewJob("t") for _ in range(jobs)])
    for job in at(queue, _NOW).claim(["t"], jobs):
        at(queue, _NOW).finish(job.id, job.run)
    return ids[-1]


def test_the_frontier_follows_what_is_done(queue: Queue) -> None:
    last = _done(queue)
    assert _settle(queue) == [last] * 5

    urgent, usual = queue.enqueue_many([NewJob("t", priority=5), NewJob("t")])

    assert _settle(queue) == [urgent, usual, usual, usual, usual]


def _failed(queue: Queue, job: int) -> None:
    [claimed] = at(queue, _NOW).claim(["t"])
    _settle(queue)
    at(queue, _NOW).fail(claimed.id, claimed.run, {"message": "no"}, retry=True, backoff=0)


def _released(queue: Queue, job: int) -> None:
    [claimed] = at(queue, _NOW).claim(["t"])
    _settle(queue)
    at(queue, _NOW).release(claimed.id, claimed.run)


def _rescued(queue: Queue, job: int) -> None:
    at(queue, _NOW).claim(["t"], lease=1)
    _settle(queue)
    at(queue, _NOW + 10).rescue()


def _retried(queue: Queue, job: int) -> None:
    queue.cancel([job])
    _settle(queue)
    at(queue, _NOW).retry([job])


def _replaced(queue: Queue, job: int) -> None:
    queue.cancel([at(queue, _NOW).enqueue(NewJob("t"))])
    _settle(queue)
    at(queue, _NOW).enqueue(NewJob("t", {"new": 1}, key="k", priority=4), on_conflict="replace")


def _resumed(queue: Queue, job: int) -> None:
    queue.pause("t")
    assert queue.claim(["t"]) == []
    _settle(queue)
    queue.resume("t")


_PLAIN: dict[str, Callable[[Queue, int], None]] = {
    "fail": _failed,
    "release": _released,
    "rescue": _rescued,
    "retry": _retried,
    "replace": _replaced,
    "resume": _resumed,
}


@pytest.mark.parametrize("how", _PLAIN)
def test_what_is_queued_once_more_comes_before_what_went_in_later(queue: Queue, how: str) -> None:
    _done(queue)
    _settle(queue)
    job = at(queue, _NOW).enqueue(NewJob("t", key="k"))
    if how not in {"replace", "resume"}:
        _settle(queue)

    _PLAIN[how](queue, job)
    later = at(queue, _NOW).enqueue_many([NewJob("t"), NewJob("t")])
    queue.database.find_marks("", ["t"])

    assert [job.id for job in at(queue, _NOW + 20).claim(["t"], 9)] == [job, *later]


_WAITING: dict[str, tuple[Callable[[Queue, int], int], Callable[[Queue, int], object]]] = {
    "needs": (
        lambda queue, first: at(queue, _NOW).enqueue(NewJob("t", needs=[first])),
        lambda queue, first: at(queue, _NOW).finish(first, 1),
    ),
    "behind": (
        lambda queue, _: at(queue, _NOW).enqueue(NewJob("t", key="first"), on_conflict="after"),
        lambda queue, first: at(queue, _NOW).finish(first, 1),
    ),
    "delayed": (
        lambda queue, _: at(queue, _NOW).enqueue(NewJob("t", delay=5)),
        lambda *_: None,
    ),
    "held": (
        lambda queue, _: at(queue, _NOW).enqueue(NewJob("t", limit="one")),
        lambda queue, first: at(queue, _NOW).finish(first, 1),
    ),
}


@pytest.mark.parametrize("how", _WAITING)
def test_what_had_to_wait_comes_before_what_went_in_later(queue: Queue, how: str) -> None:
    put, let_go = _WAITING[how]
    queue.set_limit("one", concurrency=1)
    first = at(queue, _NOW).enqueue(NewJob("t", key="first", limit="one" if how == "held" else None))
    assert [job.id for job in at(queue, _NOW).claim(["t"])] == [first]
    waiting = put(queue, first)
    assert at(queue, _NOW).claim(["t"]) == []
    last = _done(queue)
    assert _settle(queue) == [last] * 5 > [waiting] * 5

    let_go(queue, first)
    later = at(queue, _NOW).enqueue(NewJob("t"))

    assert [job.id for job in at(queue, _NOW + 10).claim(["t"], 2)] == [waiting, later]


def test_deadlines_and_priorities_come_first_whatever_lies_between(queue: Queue) -> None:
    for priority in (1, 3, 5):
        at(queue, _NOW).enqueue(NewJob("t", priority=priority))
        [job] = at(queue, _NOW).claim(["t"])
        at(queue, _NOW).finish(job.id, job.run)
    _settle(queue)
    new = [NewJob("t", priority=1), NewJob("t", deadline=_NOW + 9), NewJob("t"), NewJob("t", priority=5)]
    last, soon, usual, urgent = at(queue, _NOW).enqueue_many(new)
    _settle(queue)
    sooner, most = at(queue, _NOW).enqueue_many([NewJob("t", deadline=_NOW + 5), NewJob("t", priority=5, deadline=1)])

    found = [job.id for n in (1, 2, 9) for job in at(queue, _NOW).claim(["t"], n)]

    assert found == [most, urgent, sooner, soon, usual, last]


def test_who_has_an_id_and_has_not_committed_is_waited_for(queue: Queue, postgresql: str) -> None:
    _done(queue)
    before = _settle(queue)
    with psycopg.connect(postgresql) as connection:
        early = queue.within(connection).enqueue(NewJob("t"))
        later = queue.enqueue(NewJob("t"))
        assert [job.id for job in queue.claim(["t"])] == [later]
        assert _done(queue) > early
        assert _settle(queue) == before

    last = queue.enqueue(NewJob("t"))
    assert _settle(queue)[2] == early
    assert [job.id for job in queue.claim(["t"], 2)] == [early, last]
    assert _settle(queue) == [last] * 5


def test_a_claim_that_is_undone_gives_its_jobs_back(queue: Queue, postgresql: str) -> None:
    _done(queue)
    first, second = queue.enqueue_many([NewJob("t"), NewJob("t")])

    with Queue.open(postgresql) as other:

        def undone(tx: Any) -> None:
            taken = "state = 'running', run = 1, worker_id = 1, lease = 1, lease_until = 1"
            tx.execute(f"UPDATE jobs SET {taken} WHERE id = ?", (first,))
            assert [job.id for job in other.claim(["t"])] == [second]
            other.finish(second, 1)
            _settle(other)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            queue.database.write("claim", undone)
        _settle(other)

        assert [job.id for job in other.claim(["t"], 2)] == [first]


def test_what_another_program_puts_back_is_found_in_time(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    last = _done(queue)
    assert _settle(queue) == [last] * 5
    back = "UPDATE jobs SET state = 'queued', run = 0, released = 0, finished_at = NULL WHERE id = 1"
    queue.database.write("fill", lambda tx: tx.execute(back))
    assert queue.claim(["t"]) == []

    monkeypatch.setattr(frontier, "_SELDOM", 0.0)
    queue.database.frontiers._known["", "t"].sweep_at = 0.0  # type: ignore[attr-defined]

    assert not queue.may_claim(["t"])  # it looks through all for the next time
    assert [job.id for job in queue.claim(["t"])] == [1]


def test_an_idle_worker_asks_seldom(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    _settle(queue)
    asked: list[Any] = []
    monkeypatch.setattr(queue.database.frontiers, "_ask", lambda *them: asked.append(them))  # type: ignore[attr-defined]

    for _ in range(5):
        assert not queue.may_claim(["t"])

    assert asked == []
