"""The queue against a model of it: random steps, stale reports among them, a clock that only the test moves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.support.clock import at

from clx.db import worker_side
from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.errors import LostRunError

_LEASE = 100
_SOAK = bool(os.environ.get("CLX_SOAK"))


@dataclass
class _Model:
    """What a job should be."""

    id: int
    priority: int
    max_runs: int
    key: str | None
    needs: frozenset[int]
    not_before: int
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
        return self.run - self.released < self.max_runs


class QueueMachine(RuleBasedStateMachine):
    """Every rule does the same to queue and model."""

    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        worker_side._RESCUE_EVERY = 0.0  # every claim looks for silent workers, not one a second
        self.queue = Queue.open("memory:")
        self.now = 1000
        self.fruitful = False
        self.jobs: dict[int, _Model] = {}

    def teardown(self) -> None:
        self.queue.close()

    # -- what the model knows ----------------------------------------------------------------------

    def _claimable(self) -> list[_Model]:
        found = [
            job for job in self.jobs.values()
            if job.state == "queued" and job.not_before <= self.now
            and all(self.jobs[need].state == "succeeded" for need in job.needs)
        ]  # fmt: skip
        return sorted(found, key=lambda job: (job.rescues >= 2, -job.priority, job.id))

    def _end(self, job: _Model, state: str) -> None:
        job.state = state
        if state in {"failed", "cancelled"}:
            for other in self.jobs.values():
                if other.state == "queued" and job.id in other.needs:
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

    @rule(
        priority=st.integers(1, 5), max_runs=st.integers(1, 3), key=st.sampled_from([None, None, "a", "b"]),
        delay=st.sampled_from([0, 0, 50]), pick=st.sets(st.integers(0, 9), max_size=2),
    )  # fmt: skip
    def enqueue(self, priority: int, max_runs: int, key: str | None, delay: int, pick: set[int]) -> None:
        ids = sorted(self.jobs)
        needs = frozenset(ids[-1 - place] for place in pick if place < len(ids))
        not_before = self.now + delay if delay else 0
        new = NewJob("t", key=key, priority=priority, max_runs=max_runs, not_before=not_before, needs=needs)
        job_id = at(self.queue, self.now).enqueue(new)
        twin = next((job for job in self.jobs.values() if key and job.key == key and job.live), None)
        if twin is not None:
            assert job_id == twin.id
            twin.cancel = False
            return
        job = self.jobs[job_id] = _Model(job_id, priority, max_runs, key, needs, not_before)
        ended = {self.jobs[need].state for need in needs} & {"failed", "cancelled"}
        if ended:
            first = next(self.jobs[need].state for need in needs if self.jobs[need].state in ended)
            self._end(job, first)

    @rule(target=claims, n=st.integers(1, 3))
    def claim(self, n: int) -> Any:
        if self.fruitful or not self._claimable():
            self._give_up_overdue()
        expected = self._claimable()[:n]
        found = at(self.queue, self.now).claim(["t"], n, lease=_LEASE)
        assert [job.id for job in found] == [job.id for job in expected]
        self.fruitful = bool(expected)
        for job in expected:
            job.state, job.run, job.cancel, job.lease_until = "running", job.run + 1, False, self.now + _LEASE
        return multiple(*((job.id, job.run) for job in found))

    @rule(claim=claims)
    def finish(self, claim: tuple[int, int]) -> None:
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

    @rule(claim=consumes(claims))
    def settle(self, claim: tuple[int, int]) -> None:
        job = self._owned(claim) or self._late(claim)
        settled = at(self.queue, self.now).settle([Success(*claim)])
        assert bool(settled.lost) == (job is None)
        if job is not None:
            self._succeed(job)

    @rule(claim=claims, retry=st.booleans())
    def fail(self, claim: tuple[int, int], retry: bool) -> None:
        job = self._owned(claim)
        report = {"message": "no"}
        if not self._reports(lambda: at(self.queue, self.now).fail(*claim, report, retry=retry, backoff=10), job):
            return
        assert job is not None
        if retry and job.runs_left:
            self._again(job, "failed")
            job.not_before = self.now + 10 if job.state == "queued" else job.not_before
        else:
            job.outcomes.append("failed")
            self._end(job, "cancelled" if job.cancel else "failed")

    @rule(claim=claims)
    def release(self, claim: tuple[int, int]) -> None:
        job = self._owned(claim)
        if self._reports(lambda: at(self.queue, self.now).release(*claim), job):
            assert job is not None
            wanted = not job.cancel
            self._again(job, "released" if wanted else "cancelled")
            job.released += wanted

    @rule(claim=claims)
    def heartbeat(self, claim: tuple[int, int]) -> None:
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

    @rule(place=st.integers(0, 9))
    def cancel(self, place: int) -> None:
        for job_id in sorted(self.jobs)[place : place + 1]:
            job = self.jobs[job_id]
            assert at(self.queue, self.now).cancel([job_id]) == ([job_id] if job.state == "queued" else [])
            if job.state == "running":
                job.cancel = True
            elif job.state == "queued":
                self._end(job, "cancelled")

    @rule()
    def rescue(self) -> None:
        overdue = self._give_up_overdue()
        assert sorted(at(self.queue, self.now).rescue()) == sorted(overdue)

    @rule(step=st.sampled_from([1, 30, 100]))
    def time_passes(self, step: int) -> None:
        self.now += step

    def _give_up_overdue(self) -> list[int]:
        """What a rescue does, and a claim that finds nothing; the ids."""
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
        return [job.id for job in overdue]

    # -- what must be true after every one ----------------------------------------------------------

    @invariant()
    def queue_and_model_agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        rows = {job.id: (job.state, job.run, job.released) for job in self.queue.search(limit=1000)}
        assert rows == {job.id: (job.state, job.run, job.released) for job in self.jobs.values()}
        for job in self.jobs.values():
            assert [run["outcome"] for run in self.queue.runs(job.id)] == job.outcomes
        assert check(self.queue.database) == []


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=2000 if _SOAK else 300, stateful_step_count=40)
