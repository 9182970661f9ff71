"""Keys: one live job per pool, type and key, and one behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import Job, NewJob, Queue
from clx.errors import JobExistsError, LostRunError, QueueError


def _index(version: int, **options: object) -> NewJob:
    return NewJob("index", {"version": version}, key="document", **options)  # type: ignore[arg-type]


def _take(queue: Queue) -> Job:
    (job,) = queue.claim(["index"])
    return job


def test_a_change_that_comes_while_the_job_runs_is_not_missed(queue: Queue) -> None:
    first = queue.enqueue(_index(1))
    running = _take(queue)

    second = queue.enqueue(_index(2), on_conflict="after")

    assert second != first
    assert queue.claim(["index"]) == []  # behind it, not beside it
    assert check(queue.database) == []
    queue.finish(running.id, running.run)
    assert _take(queue).payload == {"version": 2}


def test_the_last_word_counts(queue: Queue) -> None:
    queue.enqueue(_index(1))
    running = _take(queue)

    ids = [queue.enqueue(_index(version), on_conflict="after") for version in (2, 3, 4)]

    assert len(set(ids)) == 1
    queue.finish(running.id, running.run)
    assert _take(queue).payload == {"version": 4}
    assert queue.claim(["index"]) == []


def test_one_that_has_not_begun_becomes_what_is_wanted_now(queue: Queue) -> None:
    first = queue.enqueue(_index(1))

    assert queue.enqueue(_index(2), on_conflict="after") == first
    assert _take(queue).payload == {"version": 2}


def _end_cancelled(queue: Queue, job: Job) -> None:
    queue.cancel([job.id])
    queue.end_cancelled(job.id, job.run)


_ENDS: dict[str, Callable[[Queue, Job], object]] = {
    "succeeds": lambda queue, job: queue.finish(job.id, job.run),
    "fails": lambda queue, job: queue.fail(job.id, job.run, {"message": "no"}),
    "is cancelled": _end_cancelled,
    "kills its worker": lambda queue, job: queue.rescue_worker(job.worker_id or 0, {"kind": "gone"}),
}


@pytest.mark.parametrize("end", _ENDS)
def test_however_the_first_one_ends_the_one_behind_it_goes_on(queue: Queue, end: str) -> None:
    queue.enqueue(_index(1, max_runs=1))
    running = _take(queue)
    second = queue.enqueue(_index(2), on_conflict="after")

    _ENDS[end](queue, running)

    assert _take(queue).id == second
    assert check(queue.database) == []


def test_it_waits_for_the_next_run_of_the_first_one_too(queue: Queue) -> None:
    first = queue.enqueue(_index(1))
    running = _take(queue)
    second = queue.enqueue(_index(2), on_conflict="after")
    queue.fail(running.id, running.run, {"message": "again"}, retry=True, backoff=0)

    again = _take(queue)
    assert again.id == first
    assert queue.claim(["index"]) == []
    queue.finish(again.id, again.run)
    assert _take(queue).id == second


def test_it_waits_for_its_needs_as_well(queue: Queue) -> None:
    need = queue.enqueue(NewJob("t"))
    queue.enqueue(_index(1))
    running = _take(queue)
    queue.enqueue(_index(2, needs=[need]), on_conflict="after")
    assert check(queue.database) == []

    queue.finish(running.id, running.run)
    assert queue.claim(["index"]) == []
    (job,) = queue.claim(["t"])
    queue.finish(job.id, job.run)
    assert _take(queue).payload == {"version": 2}


def test_it_waits_for_its_time_as_well(queue: Queue) -> None:
    at(queue, 1).enqueue(_index(1))
    (running,) = at(queue, 2).claim(["index"])
    second = at(queue, 3).enqueue(_index(2, not_before=500), on_conflict="after")

    at(queue, 4).finish(running.id, running.run)

    assert at(queue, 499).claim(["index"]) == []
    assert [job.id for job in at(queue, 500).claim(["index"])] == [second]


def test_it_can_be_cancelled_and_tried_again(queue: Queue) -> None:
    queue.enqueue(_index(1))
    running = _take(queue)
    second = queue.enqueue(_index(2), on_conflict="after")
    assert queue.cancel([second]) == [second]
    third = queue.enqueue(_index(3), on_conflict="after")
    with pytest.raises(JobExistsError):
        queue.retry([second])
    queue.finish(running.id, running.run)
    assert _take(queue).id == third
    assert check(queue.database) == []


def test_types_do_not_share_keys(queue: Queue) -> None:
    mail, removal = (queue.enqueue(NewJob(type_, key="user:1")) for type_ in ("mail", "remove"))

    assert mail != removal
    for type_, result in (("mail", "sent"), ("remove", "gone")):
        (job,) = queue.claim([type_])
        queue.finish(job.id, job.run, result)
    assert queue.results(["user:1"], type="remove") == {"user:1": "gone"}
    assert queue.results(["user:1"], type="mail") == {"user:1": "sent"}
    assert queue.results(["user:1"], type="other") == {}
    with pytest.raises(QueueError, match="several types"):
        queue.results(["user:1"])


def test_the_last_word_counts_after_the_first_job_came_back_too(queue: Queue) -> None:
    queue.enqueue(_index(1))
    running = _take(queue)
    behind = queue.enqueue(_index(2), on_conflict="after")
    queue.fail(running.id, running.run, {"message": "again"}, retry=True, backoff=0)

    assert queue.enqueue(_index(3), on_conflict="after") == behind

    seen = []
    while found := queue.claim(["index"]):
        seen.append(found[0].payload["version"])
        queue.finish(found[0].id, found[0].run)
    assert seen == [1, 3]


def test_a_job_never_waits_for_what_waits_behind_it(queue: Queue) -> None:
    queue.enqueue(_index(1))
    running = _take(queue)
    behind = queue.enqueue(_index(2), on_conflict="after")
    queue.release(running.id, running.run)

    with pytest.raises(QueueError, match="would wait for itself"):
        queue.enqueue(_index(3, needs=[behind]), on_conflict="replace")


@pytest.mark.parametrize("way", ["replace", "after"])
def test_a_late_success_does_not_end_what_has_replaced_its_job(queue: Queue, way: Literal["replace", "after"]) -> None:
    at(queue, 1).enqueue(_index(1))
    (late,) = at(queue, 1).claim(["index"], lease=10)
    at(queue, 100).rescue()
    at(queue, 101).enqueue(_index(2), on_conflict=way)

    with pytest.raises(LostRunError):
        at(queue, 102).finish(late.id, late.run, "of the first")
    assert at(queue, 103).claim(["index"])[0].payload == {"version": 2}


def test_a_late_success_does_not_replace_a_newer_result(queue: Queue) -> None:
    at(queue, 1).enqueue(_index(1, max_runs=1))
    (late,) = at(queue, 1).claim(["index"], lease=10)
    at(queue, 100).rescue()
    at(queue, 101).enqueue(_index(2))
    (newer,) = at(queue, 102).claim(["index"])
    at(queue, 103).finish(newer.id, newer.run, "newer")

    at(queue, 104).finish(late.id, late.run, "older")

    assert queue.results(["document"]) == {"document": "newer"}
