"""What a worker does with its jobs, and when its watchdog ends it in the middle of one; in no process of its own."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at
from tests.support.scene import until

from clx import Schedule
from clx.db.batches import BatchTable
from clx.db.clock import now_ms
from clx.db.jobs import Job, Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import ClxError, CommitInDoubtError, ConversionError, DatabaseBusyError, DatabaseFullError
from clx.jobtypes.converter import Converter
from clx.platforms import system
from clx.settings.schema import JobsSettings
from clx.workers.process import loop, watchdog
from clx.workers.process.loop import Worker
from clx.workers.process.watchdog import Assignment, Watchdog, deregister


class EndedError(BaseException):
    """The process would have ended here."""


class Doing:
    """A converter that does what a payload says."""

    def __init__(self, does: Callable[[Mapping[str, Any]], None]) -> None:
        self._does = does
        self.is_abandoned = False

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        self._does(payload)
        (outputs / "out.txt").write_text(payload["source"])
        return {}

    def close(self) -> None:
        """Nothing is kept."""

    def abandon(self) -> None:
        self.is_abandoned = True


class Bench:
    """A job table on disk and a worker on it that was not started."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.table = WorkerTable(queue.database)
        self.id = register_this_process(queue.database, "t", "p")
        self.does: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.made: list[Doing] = []
        self.cleared = 0

    def _make(self) -> Converter:
        self.made.append(Doing(self.does))
        return self.made[-1]

    def worker(self) -> Worker:
        return Worker(self.queue.database, Assignment(self.id, "t", "p", grace=5.0), self._make, JobsSettings())

    def watchdog(self, *, batch: int | None = None, lifeline: int | None = None, timeout: float = 1800.0) -> Watchdog:
        def clear() -> None:
            self.cleared += 1

        return Watchdog(
            self.queue, Assignment(self.id, "t", "p", 5.0, batch, lifeline), JobsSettings(timeout=timeout), clear
        )

    def enqueue(self, source: str = "a", **options: Any) -> int:
        return self.queue.enqueue(NewJob("t", {"source": source, "files": []}, pool="p", **options))

    def claim(self, **options: Any) -> Job:
        self.enqueue(**options)
        return self.queue.claim(["t"], worker=self.id, pool="p", lease=30_000)[0]

    def job(self, id_: int) -> Job:
        found = self.queue.get(id_)
        assert found is not None
        return found

    def reason(self) -> str | None:
        """Why the worker was struck off; None while it was not."""
        row = self.table.get(self.id)
        assert row is not None
        return row.reason if row.ended_at is not None else None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    def end(code: int) -> None:
        assert code == 0
        raise EndedError

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(watchdog, "_kill_children", lambda: None)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        yield Bench(queue)


# -- jobs -------------------------------------------------------------------------------------------


def test_all_jobs_of_its_pool_are_done_in_one_go_with_one_converter(bench: Bench) -> None:
    ids = [bench.enqueue(source) for source in ("a", "b", "c")]
    other = bench.queue.enqueue(NewJob("t", {"source": "x", "files": []}, pool="other"))
    assert bench.worker().run_once()
    assert [bench.job(id_).state for id_ in ids] == ["succeeded"] * 3
    assert bench.job(other).state == "queued"
    assert len(bench.made) == 1
    [name, _, size] = bench.job(ids[0]).result["outputs"][0]
    assert (name, size) == ("out.txt", 1)
    assert list((bench.queue.database.state.path / "work").rglob("*")) == [
        bench.queue.database.state.path / "work" / str(bench.id)
    ]


def test_an_idle_worker_makes_no_converter(bench: Bench) -> None:
    assert not bench.worker().run_once()
    assert bench.made == []


def test_a_job_that_fails_is_reported_and_the_next_one_is_done(bench: Bench) -> None:
    def refuse(payload: Mapping[str, Any]) -> None:
        if payload["source"] == "a":
            raise ConversionError("no", "Mend it.", line=3)

    bench.does = refuse
    first, second = bench.enqueue("a"), bench.enqueue("b")
    assert bench.worker().run_once()
    assert (bench.job(first).state, bench.job(second).state) == ("failed", "succeeded")
    error = bench.job(first).error
    assert error is not None
    assert (error["message"], error["line"]) == ("no", 3)


@pytest.mark.parametrize(("retryable", "state"), [(True, "queued"), (False, "failed")])
def test_what_may_succeed_another_time_is_tried_again(bench: Bench, retryable: bool, state: str) -> None:
    def crash(_: object) -> None:
        raise ConversionError("the tool crashed", retryable=retryable)

    bench.does = crash
    id_ = bench.enqueue()
    bench.worker().run_once()
    assert bench.job(id_).state == state


def test_told_to_end_before_a_job_began_it_hands_the_job_back(bench: Bench) -> None:
    worker, id_ = bench.worker(), bench.enqueue()
    worker._on_signal(15, None)
    assert worker.run_once()
    assert (bench.job(id_).state, bench.made) == ("queued", [])


def test_told_to_end_during_a_job_it_finishes_that_one_and_claims_no_other(bench: Bench) -> None:
    worker = bench.worker()
    bench.does = lambda _: worker._on_signal(15, None)
    first, second = bench.enqueue("a"), bench.enqueue("b")
    assert worker.run_once()
    assert (bench.job(first).state, bench.job(second).state) == ("succeeded", "queued")
    assert bench.queue.runs(second) == []  # not even claimed and handed back
    assert worker._stop_reason == "SIGTERM"


@pytest.mark.parametrize("refusal", [DatabaseFullError, DatabaseBusyError, CommitInDoubtError])
def test_a_result_that_the_table_does_not_take_yet_is_offered_again(
    refusal: type[ClxError], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, id_ = bench.worker(), bench.enqueue()
    settle, refusals = worker._queue.settle, iter([True, True])

    def full(*arguments: Any, **options: Any) -> Any:
        if next(refusals, False):
            raise refusal("full", "Free some space.")
        return settle(*arguments, **options)

    monkeypatch.setattr(worker._queue, "settle", full)
    monkeypatch.setattr(loop, "SLOW_BEAT", 0.0)
    assert worker.run_once()
    assert bench.job(id_).state == "succeeded"


def test_a_run_that_is_no_longer_its_own_does_not_count(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody took it for dead meanwhile: the job was handed to another, who reports it."""
    other = register_this_process(bench.queue.database, "t", "p")

    def taken(_: object) -> None:
        at(bench.queue, now_ms() + 60_000).rescue()
        at(bench.queue, now_ms() + 600_000).claim(["t"], worker=other, pool="p")

    id_ = bench.enqueue()
    bench.does = taken
    with caplog.at_level(logging.WARNING, "clx.worker"):
        assert bench.worker().run_once()
    assert (bench.job(id_).state, bench.job(id_).run, bench.job(id_).worker_id) == ("running", 2, other)
    assert [record.message for record in caplog.records] == [f"run 1 of job {id_} is no longer this worker's"]


@pytest.mark.parametrize("refusal", [DatabaseBusyError, CommitInDoubtError])
def test_a_server_that_is_away_ends_no_worker(
    refusal: type[ClxError], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, watchdog, id_ = bench.worker(), bench.watchdog(timeout=100.0), bench.enqueue()

    def away(*_: Any, **__: Any) -> Any:
        raise refusal("away", "")

    with monkeypatch.context() as patched:
        patched.setattr(worker._queue, "claim", away)
        assert not worker._run_once_or_wait()
        patched.setattr(watchdog._table, "beat", away)
        watchdog._beat(0.0)
    assert worker.run_once()
    assert bench.job(id_).state == "succeeded"


# -- the watchdog -------------------------------------------------------------------------------------


def test_a_job_that_overruns_its_time_is_failed_and_the_process_ends(bench: Bench) -> None:
    watchdog, job = bench.watchdog(timeout=100.0), bench.claim()
    begun = time.monotonic()
    watchdog.watch(job)
    watchdog._check_deadlines(begun + 99.0)
    with pytest.raises(EndedError):
        watchdog._check_deadlines(time.monotonic() + 100.0)
    error = bench.job(job.id).error
    assert error is not None
    assert (bench.job(job.id).state, error["type"]) == ("failed", "Timeout")
    assert error["message"] == "The job was killed: it ran longer than 100 seconds."
    assert (bench.reason(), bench.cleared) == ("a job overran its time", 1)


def test_the_time_that_a_job_brings_along_counts_before_the_setting(bench: Bench) -> None:
    watchdog, job = bench.watchdog(timeout=1000.0), bench.claim(timeout=2500)
    watchdog.watch(job)
    with pytest.raises(EndedError):
        watchdog._check_deadlines(time.monotonic() + 2.6)
    assert "longer than 2.5 seconds" in str(bench.job(job.id).error)


def test_a_job_that_is_being_reported_is_not_timed_out(bench: Bench) -> None:
    watchdog, job = bench.watchdog(timeout=1.0), bench.claim()
    watchdog.watch(job)
    assert watchdog.stop_watching()
    watchdog._check_deadlines(time.monotonic() + 100.0)
    assert bench.job(job.id).state == "running"
    assert not watchdog.stop_watching()
    watchdog.stop_watching()


def test_after_the_grace_period_the_job_is_handed_back(bench: Bench) -> None:
    watchdog, job = bench.watchdog(), bench.claim()
    watchdog.watch(job)
    watchdog.drain()
    watchdog._check_deadlines(time.monotonic() + 4.0)
    with pytest.raises(EndedError):
        watchdog._check_deadlines(time.monotonic() + 5.1)
    assert bench.job(job.id).state == "queued"
    assert bench.reason() == "SIGTERM, time for its job is over"


def test_a_beat_keeps_worker_and_job(bench: Bench) -> None:
    watchdog, job = bench.watchdog(), bench.claim()
    bench.queue.database.write(
        "test", lambda connection: connection.execute("UPDATE jobs SET lease_until = 1 WHERE id = ?", (job.id,))
    )
    watchdog.watch(job)
    watchdog._beat(0.0)
    lease = bench.queue.database.read("SELECT lease_until FROM jobs WHERE id = ?", (job.id,))[0][0]
    assert 0 < lease - now_ms() <= 30_000
    assert bench.reason() is None


def test_a_cancelled_job_ends_the_process(bench: Bench) -> None:
    watchdog, job = bench.watchdog(), bench.claim()
    watchdog.watch(job)
    bench.queue.cancel([job.id])
    with pytest.raises(EndedError):
        watchdog._beat(0.0)
    assert bench.job(job.id).state == "cancelled"
    assert (bench.reason(), bench.cleared) == ("its job was cancelled", 1)


def test_one_that_was_struck_off_ends_and_hands_nothing_back(bench: Bench) -> None:
    watchdog, job = bench.watchdog(), bench.claim()
    watchdog.watch(job)
    bench.table.end(bench.id, "taken for dead")
    state = bench.job(job.id).state
    with pytest.raises(EndedError):
        watchdog._beat(0.0)
    assert (bench.job(job.id).state, bench.reason()) == (state, "taken for dead")


@pytest.mark.parametrize(("lease", "away", "ends"), [(60_000, 0.0, False), (-1, 0.0, True), (-1, 60.0, False)])
def test_a_worker_ends_with_its_build_but_not_when_nobody_could_renew(
    bench: Bench, lease: int, away: float, ends: bool
) -> None:
    batch = BatchTable(bench.queue.database).open("b", host="h", pid=1, identity="elsewhere", lease=lease)
    watchdog, job = bench.watchdog(batch=batch), bench.claim()
    watchdog.watch(job)
    if not ends:
        watchdog._beat(away)
        assert bench.reason() is None
        return
    with pytest.raises(EndedError):
        watchdog._beat(away)
    assert (bench.reason(), bench.job(job.id).state) == ("its build is gone", "queued")


def test_who_asks_for_the_end_through_the_table_sets_the_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(system, "interrupt_main_thread", killed.append)
    watchdog = bench.watchdog()
    bench.table.request_stop(bench.id, "services stop", grace=60.0)
    watchdog._beat(0.0)
    assert killed == [15]
    watchdog.drain()  # as the handler of that signal does
    watchdog._heed_request()
    watchdog._check_deadlines(time.monotonic() + 55.0)  # its own grace period would be over
    with pytest.raises(EndedError):
        watchdog._check_deadlines(time.monotonic() + 61.0)
    assert bench.reason() == "services stop, time for its job is over"


def test_the_end_of_whoever_started_it_is_the_end(bench: Bench) -> None:
    lifeline, held = os.pipe()
    watchdog, job = bench.watchdog(lifeline=lifeline), bench.claim()
    watchdog.watch(job)
    os.close(held)
    with pytest.raises(EndedError):
        watchdog.run()
    os.close(lifeline)
    assert (bench.reason(), bench.job(job.id).state) == ("the process that started it is gone", "queued")


def test_a_worker_that_ends_says_what_it_did(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.enqueue()
    bench.worker().run_once()
    with caplog.at_level(logging.INFO, "clx.worker"):
        deregister(bench.table, bench.id, "SIGTERM")
    [record] = caplog.records
    assert f"worker {bench.id} ended: SIGTERM; 1 jobs in " in record.message
    assert (record.__dict__["action"], record.__dict__["jobs"]) == ("worker_stopped", 1)
    assert bench.reason() == "SIGTERM"


def test_a_watchdog_fires_schedules_that_are_due(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Its worker may be the only one alive; where the table cannot be used it goes on beating."""
    bench.queue.schedules.add(Schedule("n", "@hourly", NewJob("t")))
    bench.queue.database.write("late", lambda tx: tx.execute("UPDATE schedules SET next_at = ?", (now_ms(),)))
    beating = Watchdog(bench.queue, Assignment(bench.id, "t", "p", 5.0), JobsSettings(heartbeat=0.05), lambda: None)
    beating.start()
    try:
        until(lambda: bench.queue.schedules.fires("n"))
    finally:
        beating.finish()
    assert len(bench.queue.search()) == 1
    bench.queue.database.close()
    beating._fire_due()
    assert "closed" in caplog.text
