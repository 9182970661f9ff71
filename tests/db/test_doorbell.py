"""Rule 9: whoever waits wakes at once, and a bell is never needed for correctness."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clx.db import waiting
from clx.db.clock import now_ms
from clx.db.doorbell import Bell, Doorbell
from clx.db.jobs import Failure, Job, NewJob, Queue, Success
from clx.db.transitions import ENDED, UNWANTED
from clx.db.waiting import SLOW_BEAT, rest


def _rings(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


@pytest.mark.parametrize("name", ["t", "a/b c", "x" * 300])
def test_only_those_who_listen_for_the_name_wake(tmp_path: Path, name: str) -> None:
    door = Doorbell(tmp_path / "bells")
    with door.listen(name) as mine, door.listen("other") as other:
        door.ring(name)
        assert (_rings(mine), _rings(other)) == (True, False)
        mine.silence()
        assert not _rings(mine)
    door.close()
    assert list((tmp_path / "bells").iterdir()) == []


def test_a_long_directory_is_reached_by_a_short_name(tmp_path: Path) -> None:
    door = Doorbell(tmp_path / ("d" * 120) / "bells")
    with door.listen("t") as bell:
        door.ring("t")
        assert _rings(bell)
    door.close()


def test_bells_of_the_dead_are_removed(tmp_path: Path) -> None:
    door = Doorbell(tmp_path / "bells")
    bell = door.listen("t")
    assert bell._listener is not None
    bell._listener.close()  # as a killed process leaves it
    assert len(list((tmp_path / "bells").iterdir())) == 1
    door.ring("t")
    door.close()
    assert list((tmp_path / "bells").iterdir()) == []


def test_a_bell_that_nobody_answers_stops_nobody(tmp_path: Path) -> None:
    door = Doorbell(tmp_path / "bells")
    with door.listen("t"):
        for _ in range(2000):
            door.ring("t")
    door.close()


def test_without_a_place_for_sockets_work_goes_on(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        (tmp_path / ".clx" / "bells").write_text("in the way")
        with queue.database.doorbell.listen("t") as bell:
            assert bell.fileno() == -1
        queue.enqueue(NewJob("t"))
        assert len(queue.claim(["t"])) == 1


def test_what_is_put_in_rings_for_its_type(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        door = queue.database.doorbell
        with door.listen("t") as one, door.listen("u") as other, door.listen("build") as done:
            queue.enqueue(NewJob("t"))
            assert (_rings(one), _rings(other), _rings(done)) == (True, False, False)
            job = queue.claim(["t"])[0]
            queue.finish(job.id, job.run)
            assert _rings(done)


def test_a_worker_that_found_nothing_waits_until_the_next_delayed_job_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert rest(queue) == SLOW_BEAT
        queue.enqueue(NewJob("t", not_before=now_ms() + 3_600_000))
        assert rest(queue) == SLOW_BEAT
        due = now_ms() + 200
        queue.enqueue(NewJob("t", not_before=due))
        monkeypatch.setattr(waiting, "now_ms", lambda: due - 150)
        assert rest(queue) == 0.15


def test_whoever_finds_that_delayed_jobs_are_due_wakes_their_workers(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("other", not_before=2000), now=1000)
        door = queue.database.doorbell
        with door.listen("other") as bell, door.listen("t") as mine:
            assert queue.claim(["t"], now=2000) == []
            assert (_rings(bell), _rings(mine)) == (True, False)


def _held(queue: Queue, **more: Any) -> Job:
    """A running job of another type than the one somebody waits for."""
    queue.enqueue(NewJob("other", **more), now=0)
    return queue.claim(["other"], lease=100, now=0)[0]


def _mine(queue: Queue) -> Job:
    queue.enqueue(NewJob("t", max_runs=5), now=0)
    return queue.claim(["t"], lease=100, now=0)[0]


def _needed(queue: Queue) -> Job:
    job = _held(queue)
    queue.enqueue(NewJob("t", needs=[job.id]), now=0)
    return job


def _last_of_a_batch(queue: Queue) -> Job:
    queue.enqueue_batch([NewJob("other")], NewJob("t"), now=0)
    return queue.claim(["other"], lease=100, now=0)[0]


def _delayed(queue: Queue) -> Job:
    queue.enqueue(NewJob("t", not_before=50), now=0)
    return _held(queue)


def _failed(queue: Queue) -> Job:
    job = _mine(queue)
    queue.fail(job.id, job.run, {"message": "no"}, now=1)
    return job


_CLAIMABLE: dict[str, tuple[Callable[[Queue], Job], Callable[[Queue, Job], Any]]] = {
    "put in": (_held, lambda queue, _job: queue.enqueue(NewJob("t"), now=1)),
    "its need succeeded": (_needed, lambda queue, job: queue.finish(job.id, job.run, now=1)),
    "its need was settled": (_needed, lambda queue, job: queue.settle([Success(job.id, job.run)], now=1)),
    "the last of its batch ended": (_last_of_a_batch, lambda queue, job: queue.finish(job.id, job.run, now=1)),
    "handed back": (_mine, lambda queue, job: queue.release(job.id, job.run, now=1)),
    "handed back with others": (_mine, lambda queue, job: queue.release_many([(job.id, job.run)], now=1)),
    "its worker was ended": (_mine, lambda queue, job: queue.release_worker(job.worker_id or 0, now=1)),
    "failed and tried again": (
        _mine, lambda queue, job: queue.fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0, now=1)
    ),
    "rescued from the silent": (_mine, lambda queue, _job: queue.rescue(now=1000)),
    "rescued from the dead": (_mine, lambda queue, job: queue.rescue_worker(job.worker_id or 0, {}, now=1)),
    "retried": (_failed, lambda queue, job: queue.retry([job.id], now=1)),
    "its delay is over": (_delayed, lambda queue, _job: queue.claim(["other"], now=60)),
}  # fmt: skip


@pytest.mark.parametrize("how", _CLAIMABLE)
def test_whoever_waits_for_a_type_is_woken_when_one_can_be_claimed(queue: Queue, how: str) -> None:
    prepare, step = _CLAIMABLE[how]
    job = prepare(queue)
    with queue.database.doorbell.listen("t") as bell:
        step(queue, job)
        assert _rings(bell)
        assert [found.type for found in queue.claim(["t"], now=2000)] == ["t"]


def _give_up(queue: Queue, job: Job) -> None:
    queue.cancel([job.id])
    queue.end_cancelled(job.id, job.run)


_ENDS: dict[str, Callable[[Queue, Job], Any]] = {
    "finish": lambda queue, job: queue.finish(job.id, job.run),
    "fail": lambda queue, job: queue.fail(job.id, job.run, {"message": "no"}),
    "settle": lambda queue, job: queue.settle([Failure(job.id, job.run, {"message": "no"})]),
    "cancel": lambda queue, _job: queue.cancel([queue.enqueue(NewJob("u"))]),
    "end_cancelled": _give_up,
    "rescue": lambda queue, _job: queue.rescue(now=1000),
}


@pytest.mark.parametrize("how", _ENDS)
def test_whoever_waits_for_results_is_woken_by_every_end(queue: Queue, how: str) -> None:
    job = _held(queue, max_runs=1)
    with queue.database.doorbell.listen(ENDED) as bell:
        _ENDS[how](queue, job)
        assert _rings(bell)


def test_workers_are_woken_when_a_running_job_is_not_wanted_any_more(queue: Queue) -> None:
    job = _held(queue)
    with queue.database.doorbell.listen(UNWANTED) as bell:
        queue.cancel([job.id])
        assert _rings(bell)
