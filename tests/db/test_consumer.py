"""The loop inside a program of one's own."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from clx.db.check import check
from clx.db.clock import now_ms
from clx.db.consumer import Consumer
from clx.db.identity import process_identity
from clx.db.jobs import Job, NewJob, Queue, Success
from clx.db.mark_dead import mark_gone_workers_dead
from clx.db.wait import Bells
from clx.db.workers import WorkerTable
from clx.errors import Cancelled, DatabaseError, LostRunError, QueueError


@pytest.fixture
def queue(kept: Queue) -> Iterator[Queue]:
    yield kept
    assert check(kept.database) == []


def test_short_jobs_are_all_done_in_order(queue: Queue) -> None:
    seen: list[int] = []
    queue.enqueue_many([NewJob("t", {"n": n}) for n in range(500)])

    assert Consumer(queue, {"t": lambda job: seen.append(job.payload["n"])}).run(until_idle=True) == 500

    assert seen == list(range(500))
    assert queue.stats() == {"t": {"succeeded": 500}}
    assert queue.search(limit=1)[0].result is None


def test_what_a_function_raises_is_the_failure_and_is_tried_again(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    def broken(_job: Job) -> None:
        raise ValueError("the reason")

    Consumer(queue, {"t": broken}).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert job.error is not None
    assert (job.state, job.error["type"], job.error["message"]) == ("failed", "ValueError", "the reason")


def test_more_and_more_short_jobs_are_held_ahead_and_no_long_ones(queue: Queue) -> None:
    consumer = Consumer(queue, {"t": lambda _job: None})
    rooms = []
    for _ in range(4):
        consumer._adapt(jobs=10, seconds=0.0001)
        rooms.append(consumer._room)
    consumer._adapt(jobs=64, seconds=1.0)
    assert (rooms, consumer._room) == ([4, 16, 64, min(256, queue.database.sql.ahead)], 1)


def test_jobs_held_ahead_of_a_long_one_are_handed_back(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", {"long": True})] + [NewJob("t")] * 100)

    def work(job: Job) -> None:
        if not job.payload.get("long"):
            return
        with Bells(queue.database, ["t"]) as bells:  # handing back rings for the type
            while queue.stats()["t"]["running"] > 1:
                bells.wait(1)
                bells.silence()

    consumer = Consumer(queue, {"t": work})
    consumer._room = 64  # as after many short jobs, on a machine that does nothing else
    consumer.run(until_idle=True)

    assert queue.stats() == {"t": {"succeeded": 101}}
    assert sum(job.released for job in queue.search(limit=1000)) > 0


def test_stopping_ends_a_waiting_consumer(queue: Queue) -> None:
    began = threading.Event()
    consumer = Consumer(queue, {"t": lambda _job: began.set()})
    thread = threading.Thread(target=consumer.run)
    thread.start()
    queue.enqueue(NewJob("t"))
    assert began.wait(60)

    consumer.stop()
    thread.join(60)

    assert not thread.is_alive()
    row = WorkerTable(queue.database).get(consumer.worker)
    assert row is not None
    assert (row.state, row.jobs_succeeded) == ("stopped", 1)


def test_a_long_job_keeps_its_lease(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))

    def slow(job: Job) -> str:
        _await_renewal(queue, job, beyond=3 * LEASE)
        assert Queue(queue.database).rescue() == []
        return "mine"

    Consumer(queue, {"t": slow}, lease=LEASE).run(until_idle=True)

    assert queue.search()[0].run == 1
    assert queue.search()[0].result == "mine"


LEASE = 1500
"""Milliseconds: far less than its job takes, far more than a busy machine lets a thread wait."""


def _await_renewal(queue: Queue, job: Job, *, beyond: int) -> None:
    """Go on until the lease lasts *beyond* milliseconds longer than it did when *job* was claimed."""
    assert job.lease_until is not None
    deadline = time.monotonic() + 60
    while (found := queue.get(job.id)) is not None and (found.lease_until or 0) < job.lease_until + beyond:
        assert time.monotonic() < deadline, "nobody renews it"
        time.sleep(0.05)


def test_a_timeout_fails_the_job_though_the_function_goes_on(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", timeout=30))

    def slow(_job: Job) -> str:
        assert queue.wait([job_id], timeout=60)[0].state == "failed"
        return "too late"

    Consumer(queue, {"t": slow}).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert job.error == {"type": "Timeout", "message": "The job ran longer than 0.03 seconds."}
    assert job.result is None


@pytest.mark.parametrize("result", [object(), float("nan"), "\udce9"], ids=["object", "nan", "half a character"])
def test_a_result_that_json_cannot_say_is_the_failure_of_its_job_alone(queue: Queue, result: object) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}, max_runs=1) for n in range(3)])

    Consumer(queue, {"t": lambda job: result if job.payload["n"] == 1 else job.payload}).run(until_idle=True)

    jobs = queue.get_many(ids)
    assert [job.state for job in jobs] == ["succeeded", "failed", "succeeded"]
    assert [job.result for job in jobs] == [{"n": 0}, None, {"n": 2}]
    assert jobs[1].error is not None
    assert jobs[1].error["type"] == "QueueError"


def test_an_interrupted_consumer_reports_what_is_done_and_hands_the_rest_back(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(30)])

    def work(job: Job) -> None:
        if job.payload["n"] == 20:
            raise KeyboardInterrupt

    consumer = Consumer(queue, {"t": work})
    with pytest.raises(KeyboardInterrupt):
        consumer.run(handle_signals=False)

    jobs = queue.get_many(ids)
    assert [job.state for job in jobs] == ["succeeded"] * 20 + ["queued"] * 10
    assert jobs[20].run - jobs[20].released == 0
    row = WorkerTable(queue.database).get(consumer.worker)
    assert row is not None
    assert (row.state, row.jobs_succeeded) == ("stopped", 20)


@pytest.mark.parametrize(
    "error",
    [SystemExit("enough"), SystemExit(0), asyncio.CancelledError("enough"), GeneratorExit(), BaseException("x")],
)
def test_an_exception_of_a_job_is_the_jobs_failure_whatever_it_is(queue: Queue, error: BaseException) -> None:
    """One job that calls sys.exit must not end one consumer after the other."""
    job_id, after = queue.enqueue_many([NewJob("t", max_runs=1), NewJob("u")])

    def work(_job: Job) -> None:
        raise error

    assert Consumer(queue, {"t": work, "u": lambda _job: None}).run(until_idle=True) == 2

    job, other = queue.get_many([job_id, after])
    assert job.error is not None
    assert (job.state, job.error["type"]) == ("failed", type(error).__name__)
    assert other.state == "succeeded"


@pytest.mark.parametrize("kept", ["wal"], indirect=True)
def test_a_full_disk_is_waited_for(queue: Queue) -> None:
    """What was done before it filled up is reported when there is space, not done again."""
    ids = queue.enqueue_many([NewJob("t") for _ in range(5)])
    done: list[int] = []

    def work(job: Job) -> str:
        done.append(job.id)
        if len(done) == 5:
            connection = queue.database.connection()
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
            threading.Timer(0.5, room.set).start()
        return "x" * 20_000

    room = threading.Event()
    consumer = Consumer(queue, {"t": work}, ahead=1)
    warned: list[str] = []

    class Making(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warned.append(record.getMessage())
            assert room.wait(60)
            queue.database.connection().execute("PRAGMA max_page_count = 1000000")

    handler = Making()
    logging.getLogger("clx.consumer").addHandler(handler)
    try:
        consumer.run(until_idle=True)
    finally:
        logging.getLogger("clx.consumer").removeHandler(handler)

    assert warned[0].startswith("No space left")
    assert sorted(done) == ids
    assert [(job.state, job.run) for job in queue.get_many(ids)] == [("succeeded", 1)] * 5


def test_a_job_cancelled_while_it_is_held_ahead_ends(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(200)])
    ran: list[int] = []

    def work(job: Job) -> None:
        ran.append(job.payload["n"])
        held = queue.search(state="running", limit=1)[0]
        if not cancelled and held.id != job.id:
            queue.cancel([held.id])
            cancelled.append(held.id)
            assert queue.wait([held.id], timeout=60)[0].state == "cancelled"

    cancelled: list[int] = []
    consumer = Consumer(queue, {"t": work}, lease=60)
    consumer._room = 64
    consumer.run(until_idle=True)

    assert len(cancelled) == 1
    assert cancelled[0] - ids[0] not in ran
    assert queue.stats() == {"t": {"succeeded": 199, "cancelled": 1}}


_PEER = """
import sys, time
from clx import Consumer, Queue
with Queue.open(sys.argv[1]) as queue:
    Consumer(queue, {"t": lambda job: print("begun", flush=True) or time.sleep(600)}, lease=3_600_000).run()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_killed_peer_is_noticed_without_waiting_for_its_lease(queue: Queue, state: str) -> None:
    """Its lease is an hour; whoever else consumes sees that the process is gone, even in the middle of a job."""
    job_id = queue.enqueue(NewJob("t"))
    command = [sys.executable, "-c", _PEER, str(queue.database.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "begun\n"
        peer.kill()
    consumer = Consumer(queue, {"t": lambda _job: consumer.stop(), "busy": lambda _job: _await_rescue(queue, job_id)})
    if state == "busy":
        queue.enqueue(NewJob("busy"))

    consumer.run()

    (job,) = queue.wait([job_id], timeout=60)
    assert (job.state, job.run, job.kills) == ("succeeded", 2, 1)
    assert queue.runs(job_id)[0]["cause"] == {"kind": "gone"}


def _await_rescue(queue: Queue, job_id: int) -> None:
    with Bells(queue.database, ["t"]) as bells:
        job = queue.get(job_id)
        while job is not None and job.state == "running":
            bells.wait(1)
            bells.silence()
            job = queue.get(job_id)
    assert job is not None
    assert job.state == "queued"


def test_a_stopped_consumer_keeps_the_job_it_is_at(queue: Queue) -> None:
    """Its lease is far shorter than the job; another consumer waits to take it."""
    job_id = queue.enqueue(NewJob("t"))
    other = Consumer(Queue(queue.database), {"t": lambda _job: "another"})
    waiting = threading.Thread(target=other.run)

    def slow(job: Job) -> str:
        consumer.stop()
        waiting.start()
        _await_renewal(queue, job, beyond=3 * LEASE)
        return "mine"

    consumer = Consumer(queue, {"t": slow}, lease=LEASE)
    consumer.run()
    other.stop()
    waiting.join(60)

    job = queue.get(job_id)
    assert job is not None
    assert (job.state, job.run, job.result) == ("succeeded", 1, "mine")


class _Untold(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def test_an_error_that_has_no_text_is_its_jobs_failure(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    def work(_job: Job) -> None:
        raise _Untold

    Consumer(queue, {"t": work}).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert job.error is not None
    assert (job.state, job.error["type"]) == ("failed", "_Untold")


def test_jobs_behind_one_that_overran_its_time_go_to_others(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", timeout=30))
    rest = queue.enqueue_many([NewJob("t") for _ in range(5)])
    consumer = Consumer(queue, {"t": lambda job: _overrun(queue, rest) if job.id == first else None})
    consumer._room = 6

    consumer.run(until_idle=True)

    assert [job.state for job in queue.get_many([first, *rest])] == ["failed"] + ["succeeded"] * 5


def _overrun(queue: Queue, rest: list[int]) -> None:
    with Bells(queue.database, ["t"]) as bells:  # handing back rings for the type
        while any(job.state == "running" for job in queue.get_many(rest)):
            bells.wait(1)
            bells.silence()


def test_a_consumer_that_was_stopped_does_not_begin_what_went_to_others(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(6)])
    ran: list[int] = []

    def work(job: Job) -> None:
        ran.append(job.id)
        if job.id == ids[0]:  # as if SIGSTOP had held this process, its heartbeat too, while others did the rest
            for held in queue.search(state="running"):
                if held.id != job.id:
                    with suppress(LostRunError):  # if this takes long, the heartbeat hands it back
                        queue.release(held.id, held.run)
            for other in Queue(queue.database).claim(["t"], 5):
                queue.finish(other.id, other.run)
            consumer._claimed._renewed_at -= 3600

    consumer = Consumer(queue, {"t": work})
    consumer._room = 6
    consumer.run(until_idle=True)

    assert ran == ids[:1]
    assert queue.stats() == {"t": {"succeeded": 6}}


def test_a_limit_counts_jobs_done_not_jobs_handed_back(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", {"n": n}) for n in range(60)])

    def work(job: Job) -> None:
        if job.payload["n"] == 10:
            with Bells(queue.database, ["t"]) as bells:
                while queue.stats()["t"]["running"] > 1:
                    bells.wait(1)
                    bells.silence()

    consumer = Consumer(queue, {"t": work}, limit=30)
    consumer._room = 64
    assert consumer.run() == 30
    assert queue.stats() == {"t": {"succeeded": 30, "queued": 30}}
    assert sum(job.released for job in queue.search(limit=100)) > 0


def test_a_running_job_that_is_cancelled_is_given_up(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))

    def work(_job: Job) -> str:
        queue.cancel([job_id])
        return str(queue.wait([job_id], timeout=60)[0].state)

    Consumer(queue, {"t": work}, lease=60).run(until_idle=True)

    job = queue.get(job_id)
    assert job is not None
    assert (job.state, job.result) == ("cancelled", None)


def test_a_job_held_ahead_is_not_begun_once_the_table_says_that_it_is_cancelled(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queue.enqueue_many([NewJob("t"), NewJob("t")])
    consumer = Consumer(queue, {"t": lambda _job: None})
    consumer._claimed.fill(queue.claim(["t"], 2, worker=consumer.worker))
    at_hand = consumer._claimed.take()
    assert at_hand is not None
    assert at_hand.id == first
    queue.cancel([second])
    begun: list[Job | None] = []
    end_cancelled = queue.end_cancelled

    def end(job_id: int, run: int) -> None:
        end_cancelled(job_id, run)
        begun.append(consumer._claimed.take())

    monkeypatch.setattr(queue, "end_cancelled", end)
    consumer._renew()

    assert begun == [None]
    assert not consumer._claimed.is_holding()
    assert [job.state for job in queue.get_many([first, second])] == ["running", "cancelled"]


def test_a_consumer_that_has_ended_is_not_begun_again(queue: Queue) -> None:
    consumer = Consumer(queue, {"t": lambda _job: None})
    consumer.run(until_idle=True)

    with pytest.raises(QueueError, match="has ended"):
        consumer.run()


def test_a_removed_database_ends_its_consumers(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "gone.db") as queue:
        consumer = Consumer(queue, {"t": lambda _job: None}, lease=600)
        for file in tmp_path.glob("gone.db*"):
            file.unlink()
        with pytest.raises(DatabaseError, match="was removed or replaced"):
            consumer.run()


@pytest.mark.parametrize("result", [{"a": None}, [None], "null", {"text": "a null pointer"}, None, 0, "", {}])
def test_a_result_is_stored_as_it_is(queue: Queue, result: object) -> None:
    job_id = queue.enqueue(NewJob("t"))

    assert Consumer(queue, {"t": lambda _job: result}).run(until_idle=True) == 1

    job = queue.get(job_id)
    assert job is not None
    assert (job.state, job.result) == ("succeeded", result)


def test_stopping_ends_it_after_the_job_at_hand_whatever_waits(queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(10)])
    consumer = Consumer(queue, {"t": lambda _job: consumer.stop()})
    consumer._room = 10

    assert consumer.run() == 1
    assert [(job.state, job.run - job.released) for job in queue.get_many(ids)] == [("succeeded", 1)] + [
        ("queued", 0)
    ] * 9


def test_a_locked_table_is_waited_for_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """Locked while jobs are handed back, and for longer than a lease: all are done, and none counts as a kill."""
    with Queue.open(tmp_path / "jobs.db", busy_timeout=0.01) as queue, Queue.open(tmp_path / "jobs.db") as other:
        ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(40)])

        def work(job: Job) -> None:
            if job.payload["n"] == 12 and job.released == 0:
                connection = other.database.connection()
                connection.execute("BEGIN IMMEDIATE")
                waited.wait(1.5)
                connection.execute("COMMIT")

        waited = threading.Event()
        consumer = Consumer(queue, {"t": work}, lease=600)
        consumer._room = 20

        assert consumer.run(until_idle=True) == 40
        assert [(job.state, job.kills) for job in queue.get_many(ids)] == [("succeeded", 0)] * 40


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_more_job_types_than_select_takes_descriptors(queue: Queue) -> None:
    types = [f"t{n}" for n in range(1100)]
    queue.enqueue(NewJob(types[-1]))

    assert Consumer(queue, dict.fromkeys(types, lambda _job: None)).run(until_idle=True) == 1


def test_what_is_being_reported_keeps_its_lease(queue: Queue) -> None:
    """The table may take nothing for longer than a lease; the report still counts when it does."""
    queue.enqueue(NewJob("t"))
    consumer = Consumer(queue, {"t": lambda _job: None})
    job = queue.claim(["t"], worker=consumer.worker)[0]
    holding = consumer._claimed
    holding.fill([job])
    holding.take()
    holding.done(Success(job.id, job.run))
    reports = holding.take_reports()
    assert holding.held() == [(job.id, job.run)]
    holding.reported(reports, taken=False)
    assert holding.take_reports() == reports
    assert holding.take_reports() == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"handlers": {}}, "function for each type"),
        ({"handlers": ["t"]}, "function for each type"),
        ({"handlers": {"t": 5}}, "5 is no function"),
        ({"handlers": {5: print}}, "is no function for 5"),
        ({"lease": 0}, "lease of 0"),
        ({"lease": 1.5}, "lease of 1.5"),
        ({"ahead": 0}, "0 jobs"),
        ({"limit": -1}, "limit of -1"),
        ({"concurrency": 0}, "0 jobs cannot be done at a time"),
        ({"concurrency": 5000}, "5000 jobs cannot be done at a time"),
    ],
)
def test_what_a_consumer_cannot_be_given_is_named_before_it_claims(
    queue: Queue, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(QueueError) as refused:
        Consumer(queue, **{"handlers": {"t": print}, **wrong})
    assert told in refused.value.fact
    assert WorkerTable(queue.database).list() == []


def test_a_consumer_runs_once_at_a_time(queue: Queue) -> None:
    consumer = Consumer(queue, {"t": lambda _job: None})
    other = threading.Thread(target=consumer.run)
    other.start()
    try:
        job_id = queue.enqueue(NewJob("t"))
        queue.wait([job_id], timeout=20)
        with pytest.raises(QueueError, match="runs already"):
            consumer.run(until_idle=True)
        job_id = queue.enqueue(NewJob("t"))
        assert [job.state for job in queue.wait([job_id], timeout=20)] == ["succeeded"]
    finally:
        consumer.stop()
        other.join()


def _register(queue: Queue, identity: str, **kept: Any) -> int:
    return WorkerTable(queue.database).register(
        type="u", pool="", mode="direct", host="h", pid=1, identity=identity, version="1", **kept
    )


def test_a_consumer_at_a_long_job_gives_what_a_silent_worker_holds_to_others(queue: Queue) -> None:
    """Nobody else may be idle, and find nothing, for hours."""
    held = queue.enqueue(NewJob("u"))
    queue.claim(["u"], worker=_register(queue, "of another machine"), lease=1)
    queue.enqueue(NewJob("t"))

    Consumer(queue, {"t": lambda _job: _await_rescue(queue, held)}).run(until_idle=True)

    assert [(run["outcome"], run["cause"]) for run in queue.runs(held)] == [("rescued", {"kind": "silent"})]


def test_workers_that_somebody_watches_are_left_to_whoever_that_is(queue: Queue) -> None:
    """A build and a service know how their workers ended, and say so."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(process.pid)
    process.communicate()
    _register(queue, identity, batch_id=1)
    _register(queue, identity, service="s")
    nobodys = _register(queue, identity)

    assert [row.id for row in mark_gone_workers_dead(queue.database)] == [nobodys]


def test_a_failure_is_logged_with_its_traceback_and_what_comes_next(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=2))

    def broken(_job: Job) -> None:
        raise ValueError("the reason")

    Consumer(queue, {"t": broken}).run(until_done=True)

    first, last = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"job {job_id} (t) failed in run 1 of 2; it is tried again in" in first.getMessage()
    assert f"job {job_id} (t) failed in run 2 of 2; it has no runs left" in last.getMessage()
    assert last.exc_info is not None
    assert str(last.exc_info[1]) == "the reason"


def test_a_failure_of_what_was_cancelled_is_not_said_to_be_tried_again(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = queue.enqueue(NewJob("t"))

    def told_to_end(job: Job) -> None:
        queue.cancel([job.id])
        raise ValueError("I was told to end")

    Consumer(queue, {"t": told_to_end}).run(until_done=True)

    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == f"job {job_id} (t) failed in run 1 of 3; it was cancelled or given to another"
    assert queue.get_many([job_id])[0].state == "cancelled"


def test_a_function_tells_how_far_it_is(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    seen: list[Any] = []

    def work(job: Job) -> None:
        job.progress({"done": 3})
        found = queue.get(job.id)
        assert found is not None
        seen.extend([found.progress, (found.lease_until or 0) - (found.started_at or 0) >= 600_000])

    Consumer(queue, {"t": work}, lease=600_000).run(until_idle=True)

    assert seen == [{"done": 3}, True]
    assert queue.get_many([job_id])[0].state == "succeeded"


@pytest.mark.parametrize("max_runs", [1, 3])
@pytest.mark.parametrize("way", ["raises Cancelled", "raises another error"])
def test_a_function_that_heeds_a_cancellation_is_cancelled(queue: Queue, way: str, max_runs: int) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=max_runs))

    def work(job: Job) -> None:
        assert not job.cancelled()
        queue.cancel([job.id])
        assert job.cancelled()
        raise Cancelled if way == "raises Cancelled" else ValueError("stopped in the middle")

    Consumer(queue, {"t": work}).run(until_idle=True)

    (job,) = queue.get_many([job_id])
    assert (job.state, len(queue.runs(job_id))) == ("cancelled", 1)


def test_a_function_may_end_its_job_as_cancelled_by_itself(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))

    def work(_job: Job) -> None:
        raise Cancelled("not needed any more")

    Consumer(queue, {"t": work}).run(until_idle=True)

    assert queue.get_many([job_id])[0].state == "cancelled"


def test_until_done_waits_for_delayed_jobs_and_for_those_with_needs(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"))
    ids = [first, queue.enqueue(NewJob("t", needs=[first])), queue.enqueue(NewJob("t", not_before=now_ms() + 300))]

    assert Consumer(queue, {"t": lambda _job: None}).run(until_done=True) == 3

    assert {job.state for job in queue.get_many(ids)} == {"succeeded"}


def test_a_function_may_not_wait_for_a_job_without_end(queue: Queue) -> None:
    other = queue.enqueue(NewJob("u"))
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    Consumer(queue, {"t": lambda _job: queue.wait([other])}).run(until_idle=True)

    (job,) = queue.get_many([job_id])
    assert job.error is not None
    assert job.error["type"] == "QueueError"
    assert len(queue.wait([other], timeout=0)) == 1  # outside it may


_AT_ITS_LIMIT = """
import os, resource, sys, time
from clx import Consumer, Queue
def leak(_job):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        print("leaked", flush=True)
        time.sleep(4)
        for each in held:
            os.close(each)
with Queue.open(sys.argv[1]) as queue:
    Consumer(queue, {"leak": leak}, lease=3000).run(until_idle=True)
"""


@pytest.mark.parametrize("kept", ["wal", "delete"], indirect=True)
def test_a_consumer_without_descriptors_takes_nobody_for_dead(queue: Queue) -> None:
    """That /proc cannot be opened says nothing about whose entry it is; and it waits, whatever it cannot open."""
    queue.enqueue(NewJob("leak"))
    job_id = queue.enqueue(NewJob("t"))
    peer = subprocess.Popen([sys.executable, "-c", _AT_ITS_LIMIT, str(queue.database.path)], stdout=subprocess.PIPE)
    assert peer.stdout is not None
    try:
        assert peer.stdout.readline() == b"leaked\n"
        Consumer(queue, {"t": lambda _job: time.sleep(3)}).run(until_idle=True)
    finally:
        peer.communicate(timeout=60)

    (job,) = queue.get_many([job_id])
    assert (job.state, job.run, job.kills) == ("succeeded", 1, 0)
    assert {row.state for row in WorkerTable(queue.database).list(live=False)} == {"stopped"}
    assert peer.returncode == 0


_LIMITED = """
import resource, signal, sys
from clx import Consumer, Queue
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def work(job):
    size = job.payload["limit"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    print("limited", flush=True)
    import threading
    threading.Timer(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)).start()
    return "x" * 1_000_000
with Queue.open(sys.argv[1]) as queue:
    print(Consumer(queue, {"t": work}).run(until_idle=True))
"""


@pytest.mark.parametrize("kept", ["wal"], indirect=True)
def test_a_quota_is_waited_for_like_a_full_disk(queue: Queue) -> None:
    """SQLite calls it an error of the disk; what was done is reported once there is room."""
    job_id = queue.enqueue(NewJob("t", {"limit": 1 << 19}))

    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(queue.database.path)], capture_output=True, text=True, timeout=100
    )

    assert (done.returncode, done.stdout) == (0, "limited\n1\n"), done.stderr
    assert "a limit on the size of files" in done.stderr
    (job,) = queue.get_many([job_id])
    assert (job.state, job.run, len(job.result)) == ("succeeded", 1, 1_000_000)


class _Odd(Exception):
    def __str__(self) -> str:
        raise SystemExit("even telling it ends programs")


class _OddNotes(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


def _times_out(_job: Job) -> None:
    def late(*_: object) -> None:
        raise TimeoutError("the job's own alarm")

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(10)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("error", [_Odd(), _OddNotes(), SyntaxError("m", ("f", 1, 1, b"x"))])  # type: ignore[arg-type]
def test_an_exception_that_is_hard_to_tell_ends_no_consumer(queue: Queue, error: BaseException) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    def work(_job: Job) -> None:
        raise error

    assert Consumer(queue, {"t": work}).run(until_idle=True) == 1
    (job,) = queue.get_many([job_id])
    assert job.error is not None
    assert (job.state, job.error["type"]) == ("failed", type(error).__name__)


def test_the_alarm_of_a_job_is_the_jobs(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", max_runs=1))

    Consumer(queue, {"t": _times_out}).run(until_idle=True)

    (job,) = queue.get_many([job_id])
    assert job.error is not None
    assert (job.state, job.error["type"]) == ("failed", "TimeoutError")
