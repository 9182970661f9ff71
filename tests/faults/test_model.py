"""The queue against a model of it, on every database: random steps, stale reports among them, and a clock that only the
test moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.support.clock import at

from clx.db import worker_side
from clx.db.check import check
from clx.db.jobs import Failure, NewJob, Queue, Success
from clx.db.postgresql import frontier
from clx.errors import LostRunError, QueueError

_LEASE = 100
_SOAK = bool(os.environ.get("CLX_SOAK"))
_BADLY = {"failed", "cancelled"}
_TYPES = ("t", "u")
_LIMITS = ("one", "two")
_EXAMPLES = {"memory": 200, "wal": 30, "delete": 15, "postgresql": 15}
"""A table for each: one in memory is made and changed at once, elsewhere each step is some commits."""


@dataclass
class _Limit:
    """What a limit should be."""

    concurrency: int | None
    rate: int | None
    per: int | None
    began: int = 0
    used: int = 0

    def room(self, running: int, now: int) -> int:
        """How many more may begin."""
        if self.rate is not None and not self.began <= now < self.began + (self.per or 0):
            self.began, self.used = now, 0
        free = [self.concurrency - running] if self.concurrency is not None else []
        free += [self.rate - self.used] if self.rate is not None else []
        return min(free)


@dataclass
class _Model:
    """What a job should be."""

    id: int
    new: NewJob
    not_before: int
    expires_at: int | None
    state: str = "queued"
    run: int = 0
    released: int = 0
    rescues: int = 0
    silent: int = 0  # the run that was taken because of silence, while nothing else has happened to the job
    lease_until: int = 0
    cancel: bool = False
    outcomes: list[str] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in {"queued", "running"}

    @property
    def runs_left(self) -> bool:
        return self.run - self.released < self.new.max_runs


_NEW = st.fixed_dictionaries({
    "type_": st.sampled_from(_TYPES), "priority": st.integers(1, 5), "max_runs": st.integers(1, 3),
    "key": st.sampled_from([None, None, None, "a", "b"]), "delay": st.sampled_from([0, 0, 0, 0, 50]),
    "expires": st.sampled_from([None, None, None, 20, 120]), "limit": st.sampled_from([None, None, *_LIMITS]),
    "unique_for": st.sampled_from([None, None, 60]), "pick": st.sets(st.integers(0, 15), max_size=1),
})  # fmt: skip


_ENDS = st.sampled_from(
    ["finish", "settle", "settle_cancelled", "fail", "fail", "discard", "release", "release_later", "heartbeat"]
)


class QueueMachine(RuleBasedStateMachine):
    """Every rule does the same to queue and model."""

    def __init__(self, open_queue: Callable[[], Queue]) -> None:
        super().__init__()
        self.queue = open_queue()
        self.now = 1000
        self.jobs: dict[int, _Model] = {}
        self.claims: list[tuple[int, int]] = []
        self.recent: dict[tuple[str, str], tuple[int, int]] = {}
        self.limits: dict[str, _Limit] = {}
        self.paused: set[str] = set()

    @initialize(concurrency=st.integers(1, 2), rate=st.integers(1, 3))
    def set_limits(self, concurrency: int, rate: int) -> None:
        self.set_limit("one", concurrency, None)
        self.set_limit("two", None, rate)

    def teardown(self) -> None:
        self.queue.close()

    # -- what the model knows ----------------------------------------------------------------------

    def _claimable(self, types: Sequence[str]) -> list[_Model]:
        found = [
            job for job in self.jobs.values()
            if job.state == "queued" and job.not_before <= self.now
            and job.new.type in types and job.new.type not in self.paused
            and all(self.jobs[need].state == "succeeded" for need in job.new.needs)
        ]  # fmt: skip
        return sorted(found, key=lambda job: (job.rescues >= 2, -job.new.priority, job.id))

    def _claimed(self, types: Sequence[str], n: int) -> list[_Model]:
        """The first *n* that can begin now; they have begun."""
        found: list[_Model] = []
        for job in self._claimable(types):
            limit = self.limits.get(job.new.limit or "")
            running = sum(
                1 for each in self.jobs.values() if each.new.limit == job.new.limit and each.state == "running"
            )
            if len(found) < n and (limit is None or limit.room(running, self.now) > 0):
                if limit is not None:
                    limit.used += 1
                job.state, job.run, job.cancel, job.lease_until = "running", job.run + 1, False, self.now + _LEASE
                found.append(job)
        return found

    def _end(self, job: _Model, state: str) -> None:
        job.state = state
        if state in {"failed", "cancelled"}:
            for other in self.jobs.values():
                if other.state == "queued" and job.id in other.new.needs:
                    self._end(other, state)

    def _owned(self, claim: tuple[int, int]) -> _Model | None:
        job = self.jobs[claim[0]]
        return job if job.state == "running" and job.run == claim[1] else None

    def _again(self, job: _Model, outcome: str) -> None:
        job.outcomes.append(outcome)
        if job.cancel:
            self._end(job, "cancelled")
        else:
            job.state, job.cancel = "queued", False

    # -- steps --------------------------------------------------------------------------------------

    @rule(jobs=st.lists(_NEW, min_size=1, max_size=4))
    def enqueue(self, jobs: list[dict[str, Any]]) -> None:
        for job in jobs:
            self._enqueue(**job)

    def _enqueue(self, type_: str, pick: set[int], key: str | None, unique_for: int | None, **options: Any) -> None:
        options = dict(options)
        ids = sorted(self.jobs)
        needs = frozenset(ids[-1 - place] for place in pick if place < len(ids))
        expires, limit = options.pop("expires"), options["limit"]
        unique_for = unique_for if key else None
        new = NewJob(type_, key=key, needs=needs, expires_in=expires, unique_for=unique_for, **options)
        if limit is not None and limit not in self.limits:
            with pytest.raises(QueueError, match="no limit"):
                at(self.queue, self.now).enqueue(new)
            return
        job_id = at(self.queue, self.now).enqueue(new)
        if not self._is_twin(job_id, new):
            self._enter(job_id, new, self.now + expires if expires else None)

    def _is_twin(self, job_id: int, new: NewJob) -> bool:
        """Whether another one has the key of a job, which then did not go in."""
        name = (new.type, new.key or "")
        taken, until = self.recent.get(name, (0, 0))
        found = self.jobs[taken] if new.unique_for is not None and until > self.now else None
        if found is None:
            same = (job for job in self.jobs.values() if new.key and (job.new.type, job.new.key) == name)
            found = next((job for job in same if job.live), None)
            if new.unique_for is not None:
                self.recent[name] = (job_id, self.now + int(new.unique_for))  # type: ignore[arg-type]
        if found is None:
            return False
        assert job_id == found.id
        found.cancel = False
        return True

    def _enter(self, job_id: int, new: NewJob, expires_at: int | None) -> None:
        assert job_id not in self.jobs
        job = self.jobs[job_id] = _Model(job_id, new, self.now + int(new.delay), expires_at)  # type: ignore[arg-type]
        ended = next((self.jobs[need] for need in sorted(new.needs) if self.jobs[need].state in _BADLY), None)
        if ended is not None:
            self._end(job, ended.state)

    @rule(types=st.sampled_from([["t"], ["t", "u"], ["u", "t"]]), n=st.integers(1, 4), ends=st.lists(_ENDS, max_size=4))
    def claim(self, types: list[str], n: int, ends: list[str]) -> None:
        """After a look at what is overdue, which every consumer has once a second; some end at once."""
        self.rescue()
        expected = self._claimed(types, n)
        found = at(self.queue, self.now).claim(types, n, lease=_LEASE)
        assert [job.id for job in found] == [job.id for job in expected]
        self.claims += [(job.id, job.run) for job in found]
        for job, end in zip(found, ends, strict=False):
            getattr(self, f"_{end}")((job.id, job.run))

    @rule(place=st.integers(1, 6), report=_ENDS)
    def report(self, place: int, report: str) -> None:
        if place <= len(self.claims):
            getattr(self, f"_{report}")(self.claims[-place])

    @rule()
    def pause_or_resume(self) -> None:
        type_, pause = "u", "u" not in self.paused
        was = not pause
        if pause:
            assert self.queue.pause(type_) == (not was)
            self.paused.add(type_)
        else:
            assert self.queue.resume(type_) == was
            self.paused.discard(type_)

    @rule(name=st.sampled_from(_LIMITS), concurrency=st.sampled_from([None, 1, 2]), rate=st.sampled_from([None, 1, 3]))
    def set_limit(self, name: str, concurrency: int | None, rate: int | None) -> None:
        per = 80 if rate else None
        at(self.queue, self.now).set_limit(name, concurrency=concurrency, rate=rate, per=per)
        if concurrency is None and rate is None:
            self.limits.pop(name, None)
        else:
            before = self.limits.get(name)
            kept = (before.began, before.used) if before else (0, 0)
            self.limits[name] = _Limit(concurrency, rate, per, *kept)

    def _finish(self, claim: tuple[int, int]) -> None:
        job = self._owned(claim) or self._late(claim)
        if self._reports(lambda: at(self.queue, self.now).finish(*claim), job):
            assert job is not None
            self._succeed(job)

    def _late(self, claim: tuple[int, int]) -> _Model | None:
        """The job, when its newest run was taken because of silence alone and nobody has begun it anew."""
        job = self.jobs[claim[0]]
        return job if job.state in {"queued", "failed"} and job.run == claim[1] == job.silent else None

    def _succeed(self, job: _Model) -> None:
        if job.state == "running":
            job.outcomes.append("succeeded")
        else:
            job.outcomes[-1] = "succeeded"
        self._end(job, "succeeded")

    def _settle(self, claim: tuple[int, int]) -> None:
        job = self._owned(claim) or self._late(claim)
        settled = at(self.queue, self.now).settle([Success(*claim)])
        assert bool(settled.lost) == (job is None)
        if job is not None:
            self._succeed(job)

    def _settle_cancelled(self, claim: tuple[int, int]) -> None:
        """As a handler that raises Cancelled does."""
        job = self._owned(claim)
        settled = at(self.queue, self.now).settle([Failure(*claim, {"message": "no"}, cancelled=True)])
        assert bool(settled.lost) == (job is None)
        if job is not None:
            job.outcomes.append("failed")
            self._end(job, "cancelled")

    def _fail(self, claim: tuple[int, int], *, retry: bool = True) -> None:
        job = self._owned(claim)
        report = {"message": "no"}
        if not self._reports(lambda: at(self.queue, self.now).fail(*claim, report, retry=retry, backoff=10), job):
            return
        assert job is not None
        if retry and job.runs_left:
            self._again(job, "failed")
            job.not_before = self.now + 10 if job.state == "queued" else job.not_before
            job.expires_at = None
        else:
            job.outcomes.append("failed")
            self._end(job, "cancelled" if job.cancel else "failed")

    def _discard(self, claim: tuple[int, int]) -> None:
        self._fail(claim, retry=False)

    def _release_later(self, claim: tuple[int, int]) -> None:
        self._release(claim, delay=40)

    def _release(self, claim: tuple[int, int], delay: int = 0) -> None:
        job = self._owned(claim)
        if self._reports(lambda: at(self.queue, self.now).release(*claim, delay=delay), job):
            assert job is not None
            wanted = not job.cancel
            self._again(job, "released" if wanted else "cancelled")
            job.released += wanted
            job.not_before = self.now + delay

    def _heartbeat(self, claim: tuple[int, int]) -> None:
        job = self._owned(claim)
        if self._reports(lambda: at(self.queue, self.now).heartbeat(*claim, lease=_LEASE), job):
            assert job is not None
            job.lease_until = self.now + _LEASE

    def _reports(self, report: Any, job: _Model | None) -> bool:
        """Make the report; whether it was taken, which it must be exactly when the run is still its worker's."""
        try:
            report()
        except LostRunError:
            assert job is None
            return False
        assert job is not None
        return True

    @rule(place=st.integers(0, 9), retry=st.booleans())
    def cancel_or_retry(self, place: int, retry: bool) -> None:
        (self._retry if retry else self._cancel)(place)

    def _cancel(self, place: int) -> None:
        for job_id in sorted(self.jobs)[place : place + 1]:
            job = self.jobs[job_id]
            assert at(self.queue, self.now).cancel([job_id]) == ([job_id] if job.state == "queued" else [])
            if job.state == "running":
                job.cancel = True
            elif job.state == "queued":
                self._end(job, "cancelled")

    def _retry(self, place: int) -> None:
        for job in [self.jobs[job_id] for job_id in sorted(self.jobs)[place : place + 1]]:
            name = (job.new.type, job.new.key)
            if any(each.live and each.new.key and (each.new.type, each.new.key) == name for each in self.jobs.values()):
                continue  # refused while it has ended, and nothing to do while it lives
            again = at(self.queue, self.now).retry([job.id])
            if job.state in _BADLY:
                job.state, job.released, job.rescues, job.silent, job.cancel = "queued", job.run, 0, 0, False
                job.not_before, job.expires_at = self.now, None
                ended = next(
                    (self.jobs[need] for need in sorted(job.new.needs) if self.jobs[need].state in _BADLY), None
                )
                if ended is not None:
                    self._end(job, ended.state)
                assert again == [job.id] * (ended is None)
            else:
                assert again == []

    def rescue(self) -> None:
        """Twice: what ends by the first leaves room, or is too late itself, which only the next look finds."""
        for _ in range(2):
            for job in self.jobs.values():
                if job.state == "queued" and job.expires_at is not None and job.expires_at <= self.now:
                    self._end(job, "cancelled")
            overdue = self._give_up_overdue()
            assert sorted(at(self.queue, self.now).rescue()) == sorted(overdue)

    @rule(step=st.sampled_from([1, 30, 100]), rescue=st.booleans())
    def time_passes(self, step: int, rescue: bool) -> None:
        self.now += step
        if rescue:
            self.rescue()

    def _give_up_overdue(self) -> list[int]:
        """What a rescue does beside a sweep; the ids."""
        running = [job for job in self.jobs.values() if job.state == "running"]
        overdue = [job for job in running if job.lease_until <= self.now]
        innocent = len(running) > 1  # all are one worker's
        for job in overdue:
            job.silent = job.run
            job.released += innocent and not job.cancel
            job.rescues += not job.cancel
            if not job.cancel and not innocent and not job.runs_left:
                job.outcomes.append("rescued")
                self._end(job, "failed")
            else:
                self._again(job, "released" if innocent else "rescued")
                job.expires_at = job.expires_at if innocent else None
        return [job.id for job in overdue]

    # -- what must be true after every one ----------------------------------------------------------

    @invariant()
    def queue_and_model_agree(self) -> None:
        rows = {job.id: (job.state, job.run, job.released) for job in self.queue.search(limit=1000)}
        assert rows == {job.id: (job.state, job.run, job.released) for job in self.jobs.values()}
        runs = self.queue.sql("SELECT job_id, outcome FROM runs ORDER BY job_id, run")
        told = [{"job_id": job.id, "outcome": outcome} for job in self.jobs.values() for outcome in job.outcomes]
        assert runs == sorted(told, key=lambda run: int(str(run["job_id"])))
        assert check(self.queue.database) == []


@pytest.fixture(params=_EXAMPLES)
def open_empty(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Queue]:
    """Opens an empty queue each time."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'clx' AND tablename <> 'alembic_version'"

        def open_one() -> Queue:
            with psycopg.connect(url, autocommit=True) as connection:
                listed = ", ".join(f"clx.{row[0]}" for row in connection.execute(names).fetchall())
                connection.execute(f"TRUNCATE {listed}")
            return Queue.open(url)

        return open_one
    numbers = count()
    mode = request.param
    where = "memory:" if mode == "memory" else f"sqlite:///{tmp_path}/%d.db?journal_mode={mode}"
    return lambda: Queue.open(where % next(numbers) if "%" in where else where)


@pytest.mark.timeout(900)  # some ten thousand steps, each looked through
def test_queue_and_model_agree(
    open_empty: Callable[[], Queue], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_side, "_RESCUE_EVERY", 3600.0)  # a claim looks for silent workers where the steps say so
    for name in ("_AT_FIRST", "_OFTEN", "_CLAIMS"):  # claims begin as far ahead as they may
        monkeypatch.setattr(frontier, name, 0)
    monkeypatch.setattr(frontier, "_SELDOM", 3600.0)
    examples = _EXAMPLES[request.node.callspec.params["open_empty"]] * (7 if _SOAK else 1)
    factory: Any = lambda: QueueMachine(open_empty)  # noqa: E731
    run_state_machine_as_test(factory, settings=settings(max_examples=examples, stateful_step_count=40))
