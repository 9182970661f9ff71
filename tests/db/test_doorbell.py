"""Rule 9: whoever waits wakes at once, and a bell is never needed for correctness."""

from __future__ import annotations

import os
import select
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import SetClock, at
from tests.support.tools import skip_or_fail

from clx.db import doorbell
from clx.db.clock import now_ms
from clx.db.doorbell import ENDED, UNWANTED, Bell, Doorbell, for_ends_of, of_end
from clx.db.jobs import Failure, Job, NewJob, Queue, Success
from clx.db.wait import SLOW_BEAT, rest


def _sockets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]


def _die(bell: Bell) -> None:
    """Leave the socket as a killed process leaves it."""
    assert bell._listener is not None
    bell._listener.close()


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
    _die(bell)
    assert len(_sockets(tmp_path)) == 1
    door.ring("t")
    door.close()
    assert _sockets(tmp_path) == []


def test_ringing_looks_only_at_those_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Doorbell(tmp_path / "bells")
    for n in range(20):
        _die(door.listen(f"other{n}"))
    looked: list[str] = []
    plain = os.listdir

    def noted(path: str) -> list[str]:
        looked.append(path)
        return plain(path)

    monkeypatch.setattr(os, "listdir", noted)
    with door.listen("t") as bell:
        door.ring("t", of_end(7))
        assert _rings(bell)
    assert looked == [str(tmp_path / "bells" / "t")]
    door.close()


def test_whoever_listens_sweeps_the_sockets_of_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "_LOOK_EVERY", 0)
    door = Doorbell(tmp_path / "bells")
    for name in ("t", "other", "a/b c", of_end(7)):
        _die(door.listen(name))
    note = tmp_path / "bells" / "note"
    note.write_text("nobody's socket")
    with door.listen("t") as mine, door.listen("alive") as alive:
        mine.silence()
        assert len(_sockets(tmp_path)) == 2
        assert not _rings(alive)
        assert sorted(path.name for path in (tmp_path / "bells").iterdir()) == ["alive", "note", "t"]
        _die(door.listen("other"))
        mine.silence()
        assert len(_sockets(tmp_path)) == 3  # not each time
    door.close()


@pytest.mark.parametrize("folder", ["state", "d" * 120])
@pytest.mark.parametrize("what", ["all", "one", "moved"])
def test_a_bell_that_is_removed_is_hung_anew(
    tmp_path: Path, folder: str, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As cleaners of temporary files and ``git clean`` do; whoever selects keeps the descriptor."""
    monkeypatch.setattr(doorbell, "_LOOK_EVERY", 0)
    bells = tmp_path / folder / "bells"
    door, ringer = Doorbell(bells), Doorbell(bells)
    with door.listen("t") as bell, ringer.listen("u"):
        for _ in range(2):
            descriptor = bell.fileno()
            if what == "all":
                shutil.rmtree(bells)
            elif what == "one":
                _sockets(bells / "t")[0].unlink()
            else:
                bells.rename(tmp_path / f"away{time.monotonic_ns()}")
            ringer.ring("t")
            assert not _rings(bell)
            assert bell.silence()
            ringer.ring("t")
            assert (_rings(bell), bell.fileno()) == (True, descriptor)
            assert not bell.silence()
        assert [record.getMessage() for record in caplog.records] == [
            f"{bells / 't'} was removed, so nobody could ring; this process listens anew"
        ]
    assert _sockets(bells / "t") == []
    door.close()
    ringer.close()


def test_a_bell_that_found_no_place_is_hung_when_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "_LOOK_EVERY", 0)
    (tmp_path / "bells").write_text("in the way")
    door = Doorbell(tmp_path / "bells")
    with door.listen("t") as bell:
        bell.silence()
        assert bell.fileno() == -1
        (tmp_path / "bells").unlink()
        bell.silence()
        door.ring("t")
        assert _rings(bell)
    door.close()


def test_threads_that_ring_for_the_first_time_at_once_share_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []
    make = doorbell._datagrams

    def slowly() -> socket.socket:
        time.sleep(0.05)
        made.append(make())
        return made[-1]

    monkeypatch.setattr(doorbell, "_datagrams", slowly)
    door = Doorbell(tmp_path / "bells")
    with door.listen("t"):
        threads = [threading.Thread(target=door.ring, args=("t",)) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(made) == 1
        door.close()
        door.ring("t")  # of a thread that has committed while another closed the queue
        assert len(made) == 1
        assert made[0].fileno() == -1


def test_a_bell_that_is_closed_meanwhile_takes_no_strangers_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Doorbell(tmp_path / "bells").listen("t")
    hang = Doorbell.hang

    def hang_while_another_thread_closes(door: Doorbell, name: str) -> tuple[socket.socket, str]:
        found = hang(door, name)
        bell.close()
        return found

    monkeypatch.setattr(Doorbell, "hang", hang_while_another_thread_closes)
    assert not bell.renew()
    assert bell.fileno() == -1
    assert _sockets(tmp_path / "bells") == []


@pytest.mark.parametrize(("beside", "file"), [(0o777, 0o666), (0o2770, 0o660), (0o700, 0o600), (0o1777, 0o666)])
def test_who_may_write_to_the_database_may_ring(
    tmp_path: Path, beside: int, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLite gives its own files the mode of the database, whatever this user's mask."""
    monkeypatch.setattr(doorbell, "_LOOK_EVERY", 0)
    path = tmp_path / "here" / "jobs.db"
    with Queue.open(path) as queue:
        path.parent.chmod(beside)
        path.chmod(file)
        before = os.umask(0o077)
        try:
            with queue.database.doorbell.listen("t") as bell, queue.database.doorbell.listen(of_end(1)):
                _assert_modes(path, beside, file)
                path.parent.chmod(0o755)
                path.chmod(0o664)
                bell.silence()
                assert _sockets(path.parent / ".clx" / "bells" / "t")[0].stat().st_mode & 0o7777 == 0o664
        finally:
            os.umask(before)


def _assert_modes(database: Path, beside: int, file: int) -> None:
    bells = database.parent / ".clx" / "bells"
    found = {stat.S_IMODE(path.stat().st_mode) for path in _sockets(bells)}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (bells, *bells.rglob("*")) if path.is_dir()}
    assert (found, folders) == ({file}, {beside})


_ANSWER = """
import sys
from clx.db.jobs import Queue
from clx.db.wait import Bells

with Queue.open(sys.argv[1]) as queue, Bells(queue.database, ["answer"]) as bells:
    print("ready", flush=True)
    bells.wait(60)
    queue.database.doorbell.ring("heard")
"""


def test_another_user_rings_and_is_rung(shared: Path) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        skip_or_fail("root", "another user cannot be played here: that takes root and setpriv")
    with Queue.open(shared / "jobs.db") as queue, queue.database.doorbell.listen("heard") as heard:
        for each in shared.glob("jobs.db*"):
            each.chmod(0o666)
        heard._look_at = 0
        heard.silence()
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [*nobody, sys.executable, "-c", _ANSWER, str(shared / "jobs.db")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"ready\n"
            queue.database.doorbell.ring("answer")
            assert select.select([heard], [], [], 30)[0]


def test_nothing_that_a_link_leads_to_gets_another_mode(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as queue:
        tmp_path.chmod(0o775)
        path.chmod(0o666)
        secret = tmp_path / "secret"
        secret.mkdir(mode=0o700)
        (tmp_path / ".clx" / "bells").mkdir()
        (tmp_path / ".clx" / "bells" / "t").symlink_to(secret)
        with queue.database.doorbell.listen("t"):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o700


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


def test_a_worker_that_found_nothing_waits_until_the_next_delayed_job_is_due(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert rest(queue) == SLOW_BEAT
        queue.enqueue(NewJob("t", not_before=now_ms() + 3_600_000))
        assert rest(queue) == SLOW_BEAT
        due = now_ms() + 200
        queue.enqueue(NewJob("t", not_before=due))
        queue.database.clock = SetClock(due - 150)
        assert rest(queue) == 0.15


def test_whoever_finds_that_delayed_jobs_are_due_wakes_their_workers(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        at(queue, 1000).enqueue(NewJob("other", not_before=2000))
        door = queue.database.doorbell
        with door.listen("other") as bell, door.listen("t") as mine:
            assert at(queue, 2000).claim(["t"]) == []
            assert (_rings(bell), _rings(mine)) == (True, False)


def _held(queue: Queue, **more: Any) -> Job:
    """A running job of another type than the one somebody waits for."""
    at(queue, 0).enqueue(NewJob("other", **more))
    return at(queue, 0).claim(["other"], lease=100)[0]


def _mine(queue: Queue) -> Job:
    at(queue, 0).enqueue(NewJob("t", max_runs=5))
    return at(queue, 0).claim(["t"], lease=100)[0]


def _needed(queue: Queue) -> Job:
    job = _held(queue)
    at(queue, 0).enqueue(NewJob("t", needs=[job.id]))
    return job


def _last_of_a_batch(queue: Queue) -> Job:
    at(queue, 0).enqueue_batch([NewJob("other")], NewJob("t"))
    return at(queue, 0).claim(["other"], lease=100)[0]


def _delayed(queue: Queue) -> Job:
    at(queue, 0).enqueue(NewJob("t", not_before=50))
    return _held(queue)


def _failed(queue: Queue) -> Job:
    job = _mine(queue)
    at(queue, 1).fail(job.id, job.run, {"message": "no"})
    return job


_CLAIMABLE: dict[str, tuple[Callable[[Queue], Job], Callable[[Queue, Job], Any]]] = {
    "put in": (_held, lambda queue, _job: at(queue, 1).enqueue(NewJob("t"))),
    "its need succeeded": (_needed, lambda queue, job: at(queue, 1).finish(job.id, job.run)),
    "its need was settled": (_needed, lambda queue, job: at(queue, 1).settle([Success(job.id, job.run)])),
    "the last of its batch ended": (_last_of_a_batch, lambda queue, job: at(queue, 1).finish(job.id, job.run)),
    "handed back": (_mine, lambda queue, job: at(queue, 1).release(job.id, job.run)),
    "handed back with others": (_mine, lambda queue, job: at(queue, 1).release_many([(job.id, job.run)])),
    "its worker was ended": (_mine, lambda queue, job: at(queue, 1).release_worker(job.worker_id or 0)),
    "failed and tried again": (
        _mine, lambda queue, job: at(queue, 1).fail(job.id, job.run, {"message": "no"}, retry=True, backoff=0)
    ),
    "rescued from the silent": (_mine, lambda queue, _job: at(queue, 1000).rescue()),
    "rescued from the dead": (_mine, lambda queue, job: at(queue, 1).rescue_worker(job.worker_id or 0, {})),
    "retried": (_failed, lambda queue, job: at(queue, 1).retry([job.id])),
    "its delay is over": (_delayed, lambda queue, _job: at(queue, 60).claim(["other"])),
}  # fmt: skip


@pytest.mark.parametrize("how", _CLAIMABLE)
def test_whoever_waits_for_a_type_is_woken_when_one_can_be_claimed(queue: Queue, how: str) -> None:
    prepare, step = _CLAIMABLE[how]
    job = prepare(queue)
    with queue.database.doorbell.listen("t") as bell:
        step(queue, job)
        assert _rings(bell)
        assert [found.type for found in at(queue, 2000).claim(["t"])] == ["t"]


def _give_up(queue: Queue, job: Job) -> None:
    queue.cancel([job.id])
    queue.end_cancelled(job.id, job.run)


_ENDS: dict[str, Callable[[Queue, Job], Any]] = {
    "finish": lambda queue, job: queue.finish(job.id, job.run),
    "fail": lambda queue, job: queue.fail(job.id, job.run, {"message": "no"}),
    "settle": lambda queue, job: queue.settle([Failure(job.id, job.run, {"message": "no"})]),
    "cancel": lambda queue, _job: queue.cancel([queue.enqueue(NewJob("u"))]),
    "end_cancelled": _give_up,
    "rescue": lambda queue, _job: at(queue, 1000).rescue(),
}


@pytest.mark.parametrize("how", _ENDS)
def test_whoever_waits_for_results_is_woken_by_every_end(queue: Queue, how: str) -> None:
    job = _held(queue, max_runs=1)
    with queue.database.doorbell.listen(ENDED) as bell:
        _ENDS[how](queue, job)
        assert _rings(bell)


def _await_listener(door: Any, bells: list[Bell]) -> None:
    """A connection that has just begun to listen rings for all: of what was said before it heard nothing."""
    while not getattr(door, "_is_heard", True):
        time.sleep(0.01)
    for bell in bells:
        bell.silence()


@pytest.mark.parametrize("how", _ENDS)
def test_an_end_wakes_those_who_wait_for_that_job_and_nobody_else(queue: Queue, how: str) -> None:
    job = _held(queue, max_runs=1)
    mine = job.id + 1 if how == "cancel" else job.id  # that one is put in and cancelled
    [own] = for_ends_of([mine])
    [others] = for_ends_of([mine + 2])
    many = for_ends_of(range(1, 1000))
    door = queue.database.doorbell
    with door.listen(own) as bell, door.listen(others) as other, ExitStack() as stack:
        blocks = [stack.enter_context(door.listen(name)) for name in many]
        _await_listener(door, [bell, other, *blocks])
        _ENDS[how](queue, job)
        assert (_rings(bell), _rings(other)) == (True, False)
        assert any(map(_rings, blocks))


def test_what_ends_with_another_wakes_those_who_wait_for_it(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"))
    last = queue.enqueue(NewJob("t", needs=[queue.enqueue(NewJob("t", needs=[first]))]))
    with queue.database.doorbell.listen(*for_ends_of([last])) as bell:
        queue.cancel([first])
        assert _rings(bell)


def test_many_ends_at_once_ring_for_the_few_that_are_awaited(tmp_path: Path) -> None:
    door = Doorbell(tmp_path / "bells")
    with door.listen(*for_ends_of([70])) as mine, door.listen(*for_ends_of([5000])) as other:
        door.ring(*map(of_end, range(1, 100)))
        assert (_rings(mine), _rings(other)) == (True, False)
    door.ring(*map(of_end, range(1, 100)))
    door.close()
    assert list((tmp_path / "bells").iterdir()) == []


def test_however_many_jobs_one_waits_for_few_bells_are_hung() -> None:
    assert [len(for_ends_of(range(1, n))) for n in (2, 9, 200, 10_000)] == [1, 8, 4, 3]
    assert for_ends_of(range(1, 10**6, 10_000)) == []


def test_workers_are_woken_when_a_running_job_is_not_wanted_any_more(queue: Queue) -> None:
    job = _held(queue)
    with queue.database.doorbell.listen(UNWANTED) as bell:
        queue.cancel([job.id])
        assert _rings(bell)
