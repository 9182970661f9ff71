"""Nobody is judged by who was held up himself: behind a lock of the table, frozen with the others, or by Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at

from clx.db.batches import BatchTable
from clx.db.check import check
from clx.db.clock import now_ms
from clx.db.consumer import Consumer
from clx.db.identity import process_identity
from clx.db.jobs import NewJob, Queue
from clx.db.mark_dead import mark_worker_dead
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import DatabaseError

_CONSUMER = """
import sys, time
from clx import Consumer, Queue
def work(job):
    print("begun", flush=True)
    {work}
with Queue.open(sys.argv[1]) as queue:
    Consumer(queue, {{"t": work}}, lease={lease}).run(until_idle=True)
"""


@contextmanager
def _consumers(
    path: Path, count: int, lease: int, work: str = "time.sleep(8)"
) -> Iterator[list[subprocess.Popen[str]]]:
    """So many, in a process group of their own, each in the middle of a job."""
    code = _CONSUMER.format(lease=lease, work=work)
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, process_group=first.pid
        )
        for _ in range(count - 1)
    ]
    all_ = [first, *others]
    try:
        for each in all_:
            assert each.stdout is not None
            assert each.stdout.readline() == "begun\n"
        yield all_
        for each in all_:
            each.communicate(timeout=90)
    finally:
        for each in all_:
            each.kill()
            each.communicate()


def _assert_each_ran_once(queue: Queue, ids: list[int]) -> None:
    queue.wait(ids, timeout=60)
    assert [(job.state, job.run, job.kills) for job in queue.get_many(ids)] == [("succeeded", 1, 0)] * len(ids)
    assert {row.state for row in WorkerTable(queue.database).list(live=False)} == {"stopped"}
    assert check(queue.database) == []


@pytest.mark.parametrize("lock", [1.5, 2.5])
def test_locks_longer_than_a_lease_cost_no_job(tmp_path: Path, lock: float) -> None:
    """Several in a row: who could not renew during the first may not be judged by its time after the second."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t") for _ in range(3)])
        with _consumers(queue.database.path, 3, lease=1200):
            connection = queue.database.connection()
            for _ in range(2):
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(lock)
                connection.execute("ROLLBACK")
                time.sleep(0.1)
        _assert_each_ran_once(queue, ids)


def test_a_frozen_group_of_processes_loses_no_job(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t") for _ in range(3)])
        with _consumers(queue.database.path, 3, lease=1500) as consumers:
            for _ in range(2):
                os.killpg(consumers[0].pid, signal.SIGSTOP)
                time.sleep(2.5)
                os.killpg(consumers[0].pid, signal.SIGCONT)
                time.sleep(0.3)
        _assert_each_ran_once(queue, ids)


def test_a_function_that_keeps_pythons_lock_is_no_killer(tmp_path: Path) -> None:
    """One pattern that backtracks for longer than a lease; its result counts where nobody has begun anew."""
    work = "import re; re.match('(a*)*b', 'a' * 26); print('ended', flush=True)"
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t", max_runs=1))
        with _consumers(queue.database.path, 1, lease=300, work=work):
            deadline = time.monotonic() + 60
            while queue.get_many([job_id])[0].state == "running" and time.monotonic() < deadline:
                queue.rescue()
                time.sleep(0.05)
        (job,) = queue.get_many([job_id])
        assert (job.state, job.run, job.kills) == ("succeeded", 1, 0)
        assert check(queue.database) == []


def test_what_is_stored_carries_the_time_when_it_was_stored(tmp_path: Path) -> None:
    """Taken before the wait for the lock, a lease would be over when it begins."""
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db") as other:
        batches, workers = BatchTable(queue.database), WorkerTable(queue.database)
        queue.enqueue(NewJob("t"))
        opened = batches.open("before", host="h", pid=1, identity="elsewhere/1/1", lease=1000)
        worker = register_this_process(queue.database, "t")
        connection = other.database.connection()
        connection.execute("BEGIN IMMEDIATE")
        calls = {
            "enqueue": lambda: queue.enqueue(NewJob("t")),
            "claim": lambda: queue.claim(["t"], lease=1000),
            "open": lambda: batches.open("b", host="h", pid=1, identity="elsewhere/1/1", lease=1000),
            "renew": lambda: batches.renew(opened, lease=1000),
            "register": lambda: register_this_process(queue.database, "t"),
            "beat": lambda: workers.beat(worker),
        }
        threads = [threading.Thread(target=call) for call in calls.values()]
        for thread in threads:
            thread.start()
        time.sleep(1)
        released = now_ms()
        connection.execute("ROLLBACK")
        for thread in threads:
            thread.join(30)

        (running,) = queue.search(state="running")
        assert running.started_at is not None
        assert running.started_at >= released
        assert (running.lease_until or 0) >= released + 1000
        assert max(job.created_at for job in queue.search()) >= released
        assert min(batch.lease_until for batch in batches.live()) >= released + 1000
        assert {row.heartbeat_at >= released for row in workers.list() if row.id >= worker} == {True}


def test_a_build_does_not_sweep_its_own_batch_nor_one_whose_process_it_sees(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        batches = BatchTable(queue.database)
        own, far = (
            at(batches, 1).open("b", host="h", pid=1, identity=identity, lease=1)
            for identity in ("elsewhere/1/1", "elsewhere/2/2")
        )
        here = at(batches, 1).open("b", host="h", pid=os.getpid(), identity=process_identity(), lease=1)

        assert batches.sweep(lambda _identity: False, spare=[own]) == [far]
        assert [batch.id for batch in batches.live()] == [own, here]


def test_a_sweeper_that_waited_for_the_lock_abandons_no_batch(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db") as other:
        batches = BatchTable(queue.database)
        batch = at(batches, 1).open("b", host="h", pid=1, identity="elsewhere/1/1", lease=1)
        connection = other.database.connection()
        connection.execute("BEGIN IMMEDIATE")
        swept: list[list[int]] = []
        thread = threading.Thread(target=lambda: swept.append(batches.sweep(lambda _identity: False)))
        thread.start()
        time.sleep(0.5)
        connection.execute("ROLLBACK")
        thread.join(30)

        assert swept == [[]]
        assert batches.sweep(lambda _identity: False) == [batch]


def test_a_silent_worker_that_speaks_up_before_it_is_struck_off_stays(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        workers = WorkerTable(queue.database)
        worker = register_this_process(queue.database, "t")
        heard = workers.list()[0].heartbeat_at
        at(workers, heard + 5).beat(worker)

        assert not mark_worker_dead(queue.database, worker, {"kind": "silent"}, "it was silent", heard=heard)
        assert [row.id for row in workers.list()] == [worker]
        assert mark_worker_dead(queue.database, worker, {"kind": "silent"}, "it was silent", heard=heard + 5)
        assert workers.list() == []


def test_a_second_transaction_of_a_thread_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    """As a signal handler or a finalizer would begin it in the middle of the first."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        refused: list[DatabaseError] = []

        def whole(connection: object) -> None:
            connection.execute("INSERT INTO jobs (type, payload, created_at) VALUES ('t', '{}', 1)")  # type: ignore[attr-defined]
            with pytest.raises(DatabaseError, match="in the middle of a transaction") as error:
                queue.enqueue(NewJob("inner"))
            refused.append(error.value)
            connection.execute("INSERT INTO jobs (type, payload, created_at) VALUES ('t', '{}', 1)")  # type: ignore[attr-defined]

        queue.database.write("outer", whole)

        assert len(refused) == 1
        assert queue.stats() == {"t": {"queued": 2}}


def test_bulk_calls_leave_the_table_to_others_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db") as other:
        ids = queue.enqueue_many([NewJob("t") for _ in range(3000)])
        transactions: list[str] = []
        write = queue.database.write

        def noted(name: str, body: Callable[[Any], Any]) -> Any:
            transactions.append(name)
            return write(name, body)

        monkeypatch.setattr(queue.database, "write", noted)
        assert queue.cancel(ids) == ids
        assert sorted(queue.retry(ids)) == ids

        assert transactions == ["cancel"] * 6 + ["retry"] * 6
        assert other.stats() == {"t": {"queued": 3000}}


def test_many_jobs_are_queued_again_with_their_needs(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = [queue.enqueue(NewJob("t"))]
        for _ in range(1200):
            ids.append(queue.enqueue(NewJob("t", needs=[ids[-1]])))
        assert queue.cancel(ids[:1]) == ids[:1]
        assert queue.stats() == {"t": {"cancelled": 1201}}

        assert sorted(queue.retry(list(reversed(ids)))) == ids

        assert check(queue.database) == []
        assert [job.id for job in queue.claim(["t"], 9)] == ids[:1]


def test_very_many_jobs_due_at_once_are_let_in_by_slices(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        at(queue, 1).enqueue_many([NewJob("t", not_before=1000) for _ in range(2500)])
        ready = "SELECT count(*) AS n FROM jobs WHERE ready = 1"

        seen = []
        while at(queue, 2000).claim(["t"], 100):
            seen.append(queue.sql(ready)[0]["n"])

        assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) <= 1000
        assert queue.stats() == {"t": {"running": 2500}}


def test_a_consumer_that_stood_still_while_it_rested_judges_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause was to be short and took long: whoever was to renew a lease meanwhile may have stood still too."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        silent = queue.enqueue(NewJob("a"))
        claimed = queue.claim(["a"], lease=100)[0]
        consumer = Consumer(queue, {"b": lambda _job: None})
        monkeypatch.setattr(consumer._claimed, "wait", lambda _seconds: time.sleep(0.2))
        consumer._rest(0.0)
        assert queue.rescue() == []
        queue.heartbeat(claimed.id, claimed.run)
        found = queue.get(silent)
        assert found is not None
        assert found.state == "running"
