"""Nothing is queued again within a time, even after the job has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.clock import at, prune

from clx.db.jobs import NewJob, Queue
from clx.db.retention import Policy
from clx.errors import JobExistsError, QueueError

_NOW = 10**12


def _tick(**options: object) -> NewJob:
    return NewJob("tick", key="10:00", unique_for=timedelta(minutes=1), **options)  # type: ignore[arg-type]


def test_the_earlier_id_comes_back_even_after_it_has_ended(queue: Queue) -> None:
    first = at(queue, _NOW).enqueue(_tick())
    (job,) = at(queue, _NOW).claim(["tick"])
    at(queue, _NOW).finish(job.id, job.run)

    assert at(queue, _NOW + 59_999).enqueue(_tick()) == first
    assert at(queue, _NOW + 59_999).claim(["tick"]) == []
    assert at(queue, _NOW + 60_000).enqueue(_tick()) != first


def test_the_time_counts_from_the_one_that_went_in(queue: Queue) -> None:
    first = at(queue, _NOW).enqueue(_tick())
    at(queue, _NOW + 30_000).enqueue(_tick())
    queue.cancel([first])

    assert at(queue, _NOW + 60_000).enqueue(_tick()) != first


def test_without_a_key_the_payload_is_what_must_be_unique(queue: Queue) -> None:
    def put(payload: dict[str, object], type_: str = "t", pool: str = "") -> int:
        return queue.enqueue(NewJob(type_, payload, pool=pool, unique_for=60_000))

    first = put({"a": 1, "b": [1, 2]})

    assert put({"b": (1, 2), "a": 1}) == first
    assert len({first, put({"a": 1}), put({"a": 1}, "u"), put({"a": 1}, "u", "p")}) == 4
    assert queue.enqueue(NewJob("t", {"a": 1})) > first  # who does not ask for it is not held up
    assert [job.key for job in queue.get_many([first])] == [None]


def test_one_that_is_still_live_under_the_key_is_found_too(queue: Queue) -> None:
    first = queue.enqueue(NewJob("tick", key="10:00"))

    assert queue.enqueue(_tick()) == first


def test_who_wants_to_know_is_told(queue: Queue) -> None:
    first = queue.enqueue(_tick())
    (job,) = queue.claim(["tick"])
    queue.finish(job.id, job.run)

    with pytest.raises(JobExistsError, match="less than unique_for ago") as caught:
        queue.enqueue(_tick(), on_conflict="raise")
    assert caught.value.job_id == first


@pytest.mark.parametrize("on_conflict", ["replace", "after"])
def test_what_would_need_another_job_is_refused(queue: Queue, on_conflict: str) -> None:
    with pytest.raises(QueueError, match="unique for a time"):
        queue.enqueue(_tick(), on_conflict=on_conflict)  # type: ignore[arg-type]


def test_a_callback_cannot_be(queue: Queue) -> None:
    with pytest.raises(QueueError, match="callback"):
        queue.enqueue_batch([NewJob("t")], _tick())


def test_a_job_that_could_not_go_in_takes_no_key(queue: Queue) -> None:
    with pytest.raises(QueueError):
        queue.enqueue(_tick(needs=[99]))

    assert queue.get(queue.enqueue(_tick())) is not None


def test_many_at_once_one_goes_in(open_queue: Callable[[], Queue]) -> None:
    found: list[int] = []
    begin = threading.Barrier(4)

    def put(queue: Queue) -> None:
        begin.wait()
        found.extend(queue.enqueue_many([_tick(), NewJob("t", {"n": 1}, unique_for=60_000)]))

    threads = [threading.Thread(target=put, args=(open_queue(),)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(found) == 8
    assert len(set(found)) == 2
    assert 0 not in found
    assert len(open_queue().search()) == 2


def test_keys_that_are_free_again_are_pruned(queue: Queue) -> None:
    at(queue, _NOW).enqueue(_tick())

    prune(queue.database, Policy(), now=_NOW + 59_000)
    assert queue.sql("SELECT count(*) AS n FROM recent_keys") == [{"n": 1}]
    prune(queue.database, Policy(), now=_NOW + 61_000)
    assert queue.sql("SELECT count(*) AS n FROM recent_keys") == [{"n": 0}]
