"""After a time in which the table took nothing, nobody's silence says anything: here with real locks.

Who could not write for a while must leave the others, who could not either, the time to renew their leases.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clock import at

from clx.db.clock import now_ms
from clx.db.consumer import Consumer
from clx.db.jobs import Job, NewJob, Queue
from clx.db.leases import HELD_UP
from clx.errors import DatabaseBusyError, DatabaseFullError

_LEASE = 60_000
_BEAT = 1000
"""Milliseconds: a sixth of a consumer's lease."""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Queue]:
    """Another program at the same file: it locks, and holds jobs."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        yield queue


@contextmanager
def _locked(other: Queue) -> Iterator[Callable[[], None]]:
    """The table takes no writes until what this gives is called, or the end."""
    connection = other.database.connection()
    connection.execute("BEGIN IMMEDIATE")

    def free() -> None:
        if connection.in_transaction:
            connection.execute("COMMIT")

    try:
        yield free
    finally:
        free()


def _held_by_one_who_lives(other: Queue, type_: str = "t", lease: int = _LEASE) -> Job:
    """A job whose lease has been over for as long as it lasts; its worker has only been kept from renewing it."""
    before = now_ms() - 2 * lease
    at(other, before).enqueue(NewJob(type_))
    return at(other, before).claim([type_], lease=lease)[0]


def test_who_could_not_write_leaves_others_the_time_to_renew(tmp_path: Path, other: Queue) -> None:
    job = _held_by_one_who_lives(other)
    with Queue.open(tmp_path / "jobs.db", busy_timeout=0.05) as looker:
        with _locked(other), pytest.raises(DatabaseBusyError):
            looker.enqueue(NewJob("u"))

        assert looker.rescue() == []

    assert other.heartbeat(job.id, job.run, lease=_LEASE) == "go on"


@pytest.mark.slow
def test_who_had_to_wait_to_write_leaves_others_the_time_to_renew(tmp_path: Path, other: Queue) -> None:
    job = _held_by_one_who_lives(other)
    with Queue.open(tmp_path / "jobs.db") as looker:
        begins = threading.Event()
        rescued: list[list[int]] = []

        def write_and_look() -> None:
            begins.set()
            looker.enqueue(NewJob("u"))
            rescued.append(looker.rescue())

        with _locked(other) as free:
            thread = threading.Thread(target=write_and_look)
            thread.start()
            assert begins.wait(60)
            time.sleep(HELD_UP + 1)  # longer than what shows that others waited too, shorter than a wait may be
            free()
            thread.join(60)

    assert rescued == [[]]
    assert other.heartbeat(job.id, job.run, lease=_LEASE) == "go on"


class _Looker(Queue):
    """Notes what each look for silent workers took, and tells that it has looked."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue.database)
        self.looks: list[list[int]] = []
        self.looked = threading.Event()

    def rescue(self, **how: int | None) -> list[int]:
        self.looks.append(super().rescue(**how))
        self.looked.set()
        return self.looks[-1]


class _Warned(logging.Handler):
    """Tells that the thread of that name has warned."""

    def __init__(self, thread: str) -> None:
        super().__init__()
        self.happened = threading.Event()
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == self._thread:
            self.happened.set()


@pytest.fixture
def heartbeat_warned() -> Iterator[threading.Event]:
    """Set once a consumer's heartbeat has told that the table takes nothing."""
    handler = _Warned("heartbeat")
    logging.getLogger("clx.consumer").addHandler(handler)
    yield handler.happened
    logging.getLogger("clx.consumer").removeHandler(handler)


@pytest.mark.slow
def test_a_consumer_that_could_not_tell_that_it_lives_takes_nobodys_jobs(
    tmp_path: Path, other: Queue, heartbeat_warned: threading.Event
) -> None:
    """It is at a job for all that time: only the thread that renews its leases meets the lock."""
    with Queue.open(tmp_path / "jobs.db", busy_timeout=0.05) as queue:
        looker = _Looker(queue)
        looker.enqueue(NewJob("long"))
        other.enqueue(NewJob("of another"))

        def long(_job: Job) -> str:
            held = other.claim(["of another"], lease=2000)[0]
            with _locked(other):
                assert heartbeat_warned.wait(60)
                while now_ms() <= (held.lease_until or 0):
                    time.sleep(0.05)
                looker.looks.clear()
                looker.looked.clear()
            assert looker.looked.wait(60)
            return other.heartbeat(held.id, held.run, lease=_LEASE)

        Consumer(looker, {"long": long}, lease=6000).run(until_idle=True)
        (job,) = looker.search(type="long")

    assert (job.result, looker.looks[0]) == ("go on", [])


@pytest.mark.slow
def test_a_consumer_that_had_to_wait_to_tell_that_it_lives_takes_nobodys_jobs(tmp_path: Path, other: Queue) -> None:
    """One lock longer than a lease and shorter than a wait: nothing fails, and it is the first who can write again."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        looker = _Looker(queue)
        looker.enqueue(NewJob("long"))
        other.enqueue(NewJob("of another"))

        def long(_job: Job) -> str:
            held = other.claim(["of another"], lease=2000)[0]
            with _locked(other):
                time.sleep(_BEAT / 1000 + HELD_UP + 1)  # until it beats, and what shows that others waited too
                looker.looks.clear()
                looker.looked.clear()
            assert looker.looked.wait(60)
            return other.heartbeat(held.id, held.run, lease=_LEASE)

        Consumer(looker, {"long": long}, lease=6 * _BEAT).run(until_idle=True)
        (job,) = looker.search(type="long")

    assert (job.result, looker.looks[0]) == ("go on", [])


def test_a_consumer_whose_heartbeat_stood_still_takes_nobodys_jobs(
    tmp_path: Path, other: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen group of processes, or Python's lock held for long: those that it finds silent stood still with it."""
    monkeypatch.setattr("clx.db.leases.HELD_UP", 0.1)
    job = _held_by_one_who_lives(other)
    with Queue.open(tmp_path / "jobs.db") as queue:
        consumer = Consumer(queue, {"u": lambda _job: None})
        assert at(queue, now_ms() - 3 * _LEASE).rescue() == []  # its first look
        monkeypatch.setattr(consumer._claimed, "wait", lambda seconds: time.sleep(seconds + 0.5))
        consumer._rest(0.0)

        assert queue.rescue() == []

    assert other.heartbeat(job.id, job.run, lease=_LEASE) == "go on"


def test_who_kept_everybody_waiting_himself_leaves_them_the_time_to_renew(
    tmp_path: Path, other: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Putting in very many jobs is one transaction."""
    monkeypatch.setattr("clx.db.leases.HELD_UP", 0.1)
    job = _held_by_one_who_lives(other)
    with Queue.open(tmp_path / "jobs.db") as looker:
        looker.database.write("many", lambda _: time.sleep(0.5))

        assert looker.rescue() == []

    assert other.heartbeat(job.id, job.run, lease=_LEASE) == "go on"


@pytest.mark.parametrize("refusal", [DatabaseBusyError, DatabaseFullError])
def test_a_table_that_refuses_takes_no_writes(queue: Queue, monkeypatch: pytest.MonkeyPatch, refusal: type) -> None:
    def refuse() -> float:
        raise refusal("It takes nothing.", "Wait.")

    assert queue.takes_writes()
    monkeypatch.setattr(queue.database, "require_writable", refuse)
    assert not queue.takes_writes()


def test_a_table_that_somebody_keeps_locked_takes_no_writes(tmp_path: Path, other: Queue) -> None:
    with Queue.open(tmp_path / "jobs.db", busy_timeout=0.05) as looker:
        with _locked(other):
            assert not looker.takes_writes()
        assert looker.takes_writes()


@pytest.mark.parametrize(("waited", "takes"), [(HELD_UP, True), (HELD_UP + 0.1, False)])
def test_a_table_that_keeps_everybody_waiting_takes_no_writes(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, waited: float, takes: bool
) -> None:
    monkeypatch.setattr(queue.database, "require_writable", lambda: waited)

    assert queue.takes_writes() is takes
