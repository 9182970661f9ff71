"""A clock that is set, or a machine that slept, is not a silent worker."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from tests.support.clock import at

from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.leases import Lease, LeaseWatch

_DAY = 24 * 3600 * 1000
_LEASE = 30_000


class _Machine:
    """A sweeper and a worker on a clock that can be set."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.wall = 10 * _DAY
        self.steady = 0
        at(queue, self.wall).enqueue(NewJob("t"))
        self.job = at(queue, self.wall).claim(["t"], lease=_LEASE)[0]

    def passes(self, milliseconds: int) -> list[int]:
        """Time passes; returns what the sweep at its end rescues."""
        self.wall += milliseconds
        self.steady += milliseconds
        return at(self.queue, self.wall, self.steady).rescue()

    def beats(self) -> None:
        at(self.queue, self.wall).heartbeat(self.job.id, self.job.run, lease=_LEASE)


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    machine = _Machine(Queue.open("memory:"))
    assert machine.passes(1000) == []
    return machine


@pytest.mark.parametrize("step", [_DAY, -_DAY, 3 * _LEASE, -3 * _LEASE])
def test_a_living_worker_keeps_its_job_when_the_clock_is_set(machine: _Machine, step: int) -> None:
    machine.wall += step
    for _ in range(60):
        assert machine.passes(1000) == []
        if machine.steady % 5000 == 0:
            machine.beats()


@pytest.mark.parametrize("step", [0, _DAY, -_DAY])
def test_a_silent_worker_is_noticed_within_its_lease_whatever_the_clock_does(machine: _Machine, step: int) -> None:
    machine.wall += step
    for second in range(1, 120):
        if machine.passes(1000):
            assert second <= _LEASE / 1000 + 2
            return
    pytest.fail("it was never noticed")


def test_a_fresh_sweeper_recognises_a_lease_from_before_the_clock_was_set_back(machine: _Machine) -> None:
    machine.wall -= _DAY
    machine.queue.database.leases = LeaseWatch()
    rescued_after = next(second for second in range(1, 120) if machine.passes(1000))
    assert rescued_after <= _LEASE / 1000 + 2


def test_without_a_step_the_clock_is_believed() -> None:
    watch, lease = LeaseWatch(), Lease(1, 1, until=500, length=400)
    assert watch.over([], [], now=100, monotonic=0) == []
    assert watch.over([lease], [], now=500, monotonic=400) == [lease]


def test_after_a_step_a_renewed_lease_counts_again_at_its_end() -> None:
    watch, before = LeaseWatch(), Lease(1, 1, until=500, length=400)
    watch.over([], [], now=100, monotonic=0)
    assert watch.over([before], [], now=100_000, monotonic=10) == []
    renewed = Lease(1, 1, until=100_600, length=400)
    assert watch.over([], [], now=100_300, monotonic=310) == []
    assert watch.over([renewed], [], now=100_600, monotonic=610) == [renewed]


def test_a_suspect_is_given_its_whole_lease_again_when_nobody_could_renew_meanwhile() -> None:
    watch, lease = LeaseWatch(), Lease(1, 1, until=500, length=400)
    watch.distrust(math.inf)
    assert watch.over([lease], [], now=1000, monotonic=1000) == []
    watch.distrust(math.inf)
    assert watch.over([lease], [], now=1300, monotonic=1300) == []
    assert watch.over([lease], [], now=1699, monotonic=1699) == []
    assert watch.over([lease], [], now=1700, monotonic=1700) == [lease]


def test_a_lease_that_was_renewed_between_two_looks_is_watched_anew() -> None:
    watch, before, renewed = LeaseWatch(), Lease(1, 1, until=500, length=400), Lease(1, 1, until=1500, length=400)
    watch.distrust(math.inf)
    assert watch.over([before], [], now=1000, monotonic=1000) == []
    watch.distrust(math.inf)
    assert watch.over([renewed], [], now=1600, monotonic=1600) == []
    assert watch.over([renewed], [], now=1999, monotonic=1999) == []
    assert watch.over([renewed], [], now=2000, monotonic=2000) == [renewed]


def test_only_what_was_seen_unrenewed_for_its_whole_length_is_over_whatever_was_waited_since() -> None:
    watch, suspect, sure = LeaseWatch(), Lease(1, 1, until=500, length=400), Lease(2, 1, until=1400, length=400)
    watch.distrust(math.inf)
    assert watch.over([suspect], [], now=1000, monotonic=1000) == []
    assert sorted(watch.over([suspect, sure], [], now=1400, monotonic=1400), key=str) == [suspect, sure]
    watch.distrust(math.inf)
    assert [watch.is_still_over(suspect), watch.is_still_over(sure)] == [True, False]


class _Clock:
    """Stands in for the module :mod:`time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("open_queue", ["wal", "delete", "memory"], indirect=True)
def test_who_has_to_wait_for_the_lock_after_his_look_takes_no_jobs(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself waited: no error told of it before the transaction began."""
    clock = _Clock()
    at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], lease=_LEASE)[0]
    monkeypatch.setattr("clx.db.sqlite.database.time", clock)

    def wait(statement: str) -> None:
        clock.now += 3.0 * (statement == "BEGIN IMMEDIATE")

    queue.database.connection().set_trace_callback(wait)
    assert at(queue, _LEASE, 0).rescue() == []

    queue.database.connection().set_trace_callback(None)
    assert at(queue, _LEASE, 0).rescue() == []  # what is over now may be renewed now
    assert at(queue, _LEASE).heartbeat(job.id, job.run) == "go on"


def test_after_a_time_in_which_nobody_could_write_others_get_the_time_to_renew(machine: _Machine) -> None:
    """A full disk or a lock longer than a lease: the first to write again must not take everybody's jobs."""
    machine.queue.distrust_leases()
    assert machine.passes(2 * _LEASE) == []
    machine.beats()
    for _ in range(25):
        assert machine.passes(1000) == []


def test_after_such_a_time_one_that_stays_silent_is_noticed_within_its_lease(machine: _Machine) -> None:
    machine.queue.distrust_leases()
    assert machine.passes(2 * _LEASE) == []
    assert machine.passes(_LEASE) == [machine.job.id]


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_sweeper_that_was_kept_waiting_takes_no_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: Literal["wal", "delete"]
) -> None:
    """Who would have renewed was kept waiting too; without a write-ahead log reading waits as well."""
    monkeypatch.setattr("clx.db.leases.HELD_UP", 0.1)
    path = tmp_path / "jobs.db"
    with Database.open(path, journal_mode=journal) as database, Database.open(path) as other:
        queue = Queue(database)
        before = now_ms() - 2 * _LEASE
        at(queue, before).enqueue(NewJob("t"))
        job = at(queue, before).claim(["t"], lease=_LEASE)[0]
        holder = other.connection()
        holder.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor() as threads:
            rescued = threads.submit(lambda: [taken for _ in range(5) for taken in queue.rescue()])
            with pytest.raises(TimeoutError):
                rescued.result(0.6)
            holder.execute("COMMIT")
            assert rescued.result(10) == []
        assert queue.heartbeat(job.id, job.run, lease=_LEASE) == "go on"
