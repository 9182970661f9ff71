"""Pipelines against a model of them: random steps, outcomes and commands; whatever happens, each of them ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.db.pipelines.conftest import config, now

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.pipelines.models import StepDefinition
from clx.db.works.withdrawing import Asked

_EXAMPLES = 1000 if os.environ.get("CLX_SOAK") else 40
_LIVE = ("queued", "running")
_BADLY = ("failure", "cancelled")


@dataclass
class _Work:
    """What a work should be."""

    status: str = "queued"
    attempt: int = 0
    extra: int = 0
    asked: bool = False
    results: dict[str, Any] | None = None

    def queue_again(self, retries: int) -> None:
        self.status, self.asked = "queued", False
        self.extra = max(retries, self.attempt + 1)


@dataclass
class _Step:
    """What a step should be; *of*: the earlier step that its condition or its matrix asks for."""

    name: str
    stage: int | None
    size: int
    condition: str
    of: str
    threshold: float
    retries: int
    at_runtime: bool
    status: str = "created"
    works: list[_Work] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    total: int = 0
    was_asked: bool = False

    @property
    def turn(self) -> tuple[bool, int]:
        return self.stage is None, self.stage or 0

    @property
    def has_live(self) -> bool:
        return any(work.status in _LIVE for work in self.works)

    def definition(self) -> StepDefinition:
        same = {"pipeline": self.name, "retries": self.retries}
        told: dict[str, Any] = {"stage": self.stage, "condition": self.condition, "threshold": self.threshold}
        if not self.at_runtime:
            return StepDefinition(self.name, works=tuple({**same, "event": [n]} for n in range(self.size)), **told)
        axis = f"${{{{ pipeline.{self.of}.work.results.n }}}}" if self.of else list(range(self.size))
        fields, axes = {"event": "${{ matrix.n }}"}, {"n": axis}
        return StepDefinition(self.name, works=None, work=same, fields=fields, axes=axes, **told)

    def settle(self) -> None:
        succeeded = sum(work.status == "success" for work in self.works)
        self.status = "success" if succeeded >= self.threshold * self.total else "failure"


class _Model:
    """What a pipeline should be."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self.steps = {step.name: step for step in steps}
        self.status = "running"
        self.go_on()

    def go_on(self) -> None:
        while self.status == "running" and not any(step.status == "running" for step in self.steps.values()):
            due = min((step.turn for step in self.steps.values() if step.status == "created"), default=None)
            if due is None:
                is_bad = any(step.status == "failure" for step in self.steps.values())
                self.status = "failure" if is_bad else "success"
                return
            known = {step.name: step.status for step in self.steps.values()}
            for step in self.steps.values():
                if step.turn == due and step.status == "created":
                    self._begin(step, known)

    def _begin(self, step: _Step, known: dict[str, str]) -> None:
        step.was_asked = True
        has_failed = "failure" in known.values()
        wanted = {
            "": not has_failed, "success": not has_failed, "failure": has_failed, "always": True,
        }.get(step.condition, known.get(step.of) == "success")  # fmt: skip
        if not wanted:
            step.status = "cancelled"
            return
        size = step.size
        if step.at_runtime and step.of:
            results = self.steps[step.of].works[0].results if self.steps[step.of].works else None
            if results is None:
                step.status = "failure"
                return
            size = len(results["n"])
        step.works, step.total = [_Work(extra=step.retries) for _ in range(size)], size
        step.ids = []
        step.status = "running" if size else "success"

    def ended(self, step: _Step) -> None:
        """A work of a step has ended, or was removed."""
        if step.status == "running" and not step.has_live:
            step.settle()
            self.go_on()

    def stop(self) -> None:
        self.status = "cancelled"
        for step in self.steps.values():
            if step.status in {"created", "running"}:
                step.status = "cancelled"
            for work in step.works:
                work.asked |= work.status == "running"
                if work.status == "queued":
                    work.status = "cancelled"

    def retry(self) -> None:
        """From the first step that failed or was cut off; not from one that its condition has left out."""
        due = [
            step for step in self.steps.values()
            if step.status == "failure" or (step.status == "cancelled" and (step.total or not step.was_asked))
        ]  # fmt: skip
        first = min((step.turn for step in due), default=None)
        self.status = "running"
        for step in self.steps.values():
            if first is not None and step.turn > first:
                self._forget(step)
            elif step.turn == first and step in due:
                self._again(step)
        self.go_on()

    def _forget(self, step: _Step) -> None:
        step.status, step.works, step.ids, step.total, step.was_asked = "created", [], [], 0, False

    def _again(self, step: _Step) -> None:
        for work in step.works:
            if work.status in _BADLY:
                work.queue_again(step.retries)
        if step.has_live:
            step.status = "running"
            return
        step.settle()
        if not step.works or step.status == "failure":
            self._forget(step)


_PICK = st.integers(0, 9)
_PLAN = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 2, 2, 3, None]), st.integers(0, 2),
        st.sampled_from(["", "", "", "success", "failure", "always", "expression"]),
        st.sampled_from([1.0, 1.0, 0.5, 0.0]), st.integers(1, 2), st.booleans(), st.integers(0, 4),
    ),
    min_size=2, max_size=5,
)  # fmt: skip


def _steps(plan: Sequence[tuple[Any, ...]]) -> list[_Step]:
    """Steps of a plan; those that ask for another one ask for an earlier one of a single work."""
    found: list[_Step] = []
    for number, (stage, size, condition, threshold, retries, is_late, pick) in enumerate(plan):
        turn = (stage is None, stage or 0)
        earlier = [step.name for step in found if step.turn < turn]
        single = [step.name for step in found if step.turn < turn and step.size == 1 and not step.at_runtime]
        of = ""
        said = condition or ("always" if stage is None else "")
        if condition == "expression":
            of = earlier[pick % len(earlier)] if earlier else ""
            said = f"pipeline.{of}.status == 'success'" if of else "false"
        elif is_late and single:
            of = single[pick % len(single)]
        found.append(
            _Step(f"s{number}", stage, size, said, of, threshold, retries, is_late and condition != "expression")
        )
    return found


class PipelineMachine(RuleBasedStateMachine):
    """Every rule does the same to the table and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue.open("memory:")
        self.held: dict[str, dict[str, Any]] = {}
        self.steps = 0

    @initialize(plan=_PLAN)
    def deploy(self, plan: list[tuple[Any, ...]]) -> None:
        steps = _steps(plan)
        (self.id,) = self.queue.pipelines.deploy(config(*(step.definition() for step in steps))).pipelines
        self.model = _Model(steps)
        self._meet()

    def teardown(self) -> None:
        self.queue.close()

    def _meet(self) -> None:
        """The works of a step are those that the model knows; new ones get their ids here."""
        for told in now(self.queue, self.id)["steps"]:
            step = self.model.steps[told["name"]]
            if not step.ids:
                step.ids = list(told["work_id"])
            assert told["work_id"] == step.ids, step
            assert len(step.ids) == len(step.works), step

    def _has(self, *statuses: str) -> bool:
        return any(work.status in statuses for step in self.model.steps.values() for work in step.works)

    def _pick(self, pick: int, *statuses: str) -> tuple[_Step, _Work, str] | None:
        """One of the works of these statuses, and its id."""
        self._meet()
        found = [
            (step, work, step.ids[index])
            for step in self.model.steps.values() for index, work in enumerate(step.works) if work.status in statuses
        ]  # fmt: skip
        return found[pick % len(found)] if found else None

    # -- works --------------------------------------------------------------------------------------

    @precondition(lambda self: self._has("queued"))
    @rule(pick=_PICK)
    def withdraw(self, pick: int) -> None:
        if found := self._pick(pick, "queued"):
            self._withdraw(found[0].name)

    def _withdraw(self, name: str) -> None:
        found = self.queue.works.withdraw(Asked((name,)))
        assert (found is None) is (self.model.status == "paused")
        if found is not None:
            step = self.model.steps[name]
            work = step.works[step.ids.index(found["id"])]
            assert work.status == "queued"
            work.status, work.attempt = "running", work.attempt + 1
            self.held[found["id"]] = found

    @precondition(lambda self: self._has("running"))
    @rule(pick=_PICK, outcome=st.sampled_from(["success", "success", "success", "failure", "queued"]))
    def end(self, pick: int, outcome: str) -> None:
        if found := self._pick(pick, "running"):
            self._end(*found, outcome, pick)

    def _end(self, step: _Step, work: _Work, id_: str, outcome: str, size: int) -> None:
        document = {**self.held.pop(id_), "status": outcome}
        if outcome == "success":
            document["results"] = work.results = {"n": list(range(size % 3))}
        assert self.queue.works.update([document]) == [True]
        if outcome == "success":
            work.status = "success"
        elif work.asked:
            work.status = "cancelled"
        elif outcome == "queued":
            work.status, work.attempt = "queued", work.attempt - 1
        else:
            work.status = "queued" if work.attempt < work.extra else "failure"
        self.model.ended(step)

    @precondition(lambda self: self._has("queued") and self.model.status != "paused")
    @rule(outcomes=st.lists(st.sampled_from(["success", "success", "failure"]), min_size=1, max_size=6))
    def do(self, outcomes: list[str]) -> None:
        """Begin and end some works, in their order."""
        for outcome in outcomes:
            self.withdraw(0)
            self.end(0, outcome)

    @precondition(lambda self: self._has(*_LIVE))
    @rule(pick=_PICK)
    def cancel_work(self, pick: int) -> None:
        if found := self._pick(pick, *_LIVE):
            step, work, id_ = found
            self.queue.works.cancel([id_])
            if work.status == "running":
                work.asked = True
            else:
                work.status = "cancelled"
                self.model.ended(step)

    @precondition(lambda self: self._has(*_BADLY))
    @rule(pick=_PICK)
    def retry_work(self, pick: int) -> None:
        if found := self._pick(pick, *_BADLY):
            step, work, id_ = found
            assert self.queue.works.retry([id_]) == [id_]
            work.queue_again(step.retries)

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(pick=_PICK)
    def delete_work(self, pick: int) -> None:
        if found := self._pick(pick, *_LIVE, *_BADLY, "success"):
            step, _, id_ = found
            assert self.queue.works.delete([id_]) == [id_]
            self.held.pop(id_, None)
            index = step.ids.index(id_)
            del step.works[index], step.ids[index]
            self.model.ended(step)

    # -- the pipeline -------------------------------------------------------------------------------

    @rule()
    def what_cannot_be_done(self) -> None:
        status, pipelines = self.model.status, self.queue.pipelines
        assert status == "running" or pipelines.pause([self.id]) == []
        assert status == "paused" or pipelines.resume([self.id]) == []
        assert status in {"running", "paused"} or pipelines.stop([self.id]) == []
        assert status in _BADLY or pipelines.retry([self.id]) == []

    @precondition(lambda self: self.model.status == "running")
    @rule()
    def pause(self) -> None:
        assert self.queue.pipelines.pause([self.id]) == [self.id]
        self.model.status = "paused"

    @precondition(lambda self: self.model.status == "paused")
    @rule()
    def resume(self) -> None:
        assert self.queue.pipelines.resume([self.id]) == [self.id]
        self.model.status = "running"
        self.model.go_on()

    @precondition(lambda self: self.model.status in {"running", "paused"})
    @rule()
    def stop(self) -> None:
        assert self.queue.pipelines.stop([self.id]) == [self.id]
        self.model.stop()

    @precondition(lambda self: self.model.status in _BADLY)
    @rule()
    def retry(self) -> None:
        assert self.queue.pipelines.retry([self.id]) == [self.id]
        self.model.retry()

    @precondition(lambda self: self.steps > 20 and self.model.status in {"running", "paused"})
    @rule()
    def all_ends(self) -> None:
        """Where nobody does anything but works, it ends."""
        if self.model.status == "paused":
            self.resume()
        while found := self._pick(0, *_LIVE):
            step, work, id_ = found
            if work.status == "queued":
                self._withdraw(step.name)
            else:
                self._end(step, work, id_, "success", 2)
            self.is_as_the_model()
        assert self.model.status in {"success", "failure", "cancelled"}

    @invariant()
    def is_as_the_model(self) -> None:
        self.steps += 1
        found = now(self.queue, self.id)
        expected = self.model.steps
        assert found["status"] == self.model.status
        assert {
            each["name"]: "running" if each["status"] == "queued" else each["status"] for each in found["steps"]
        } == {name: step.status for name, step in expected.items()}
        self._meet()
        for each in found["steps"]:
            counts = {status: n for status, n in each["counts"].items() if n}
            statuses = [work.status for work in expected[each["name"]].works]
            assert counts == {status: statuses.count(status) for status in statuses}
        assert check(self.queue.database) == []


def test_pipelines_are_as_a_model_has_them() -> None:
    run_state_machine_as_test(
        PipelineMachine, settings=settings(max_examples=_EXAMPLES, stateful_step_count=30, deadline=None)
    )
