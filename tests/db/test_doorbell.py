"""Rule 9: whoever waits wakes at once, and a bell is never needed for correctness."""

from __future__ import annotations

import select
from pathlib import Path

import pytest

from clx.db import waiting
from clx.db.clock import now_ms
from clx.db.doorbell import Bell, Doorbell
from clx.db.jobs import NewJob, Queue
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
