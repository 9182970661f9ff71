"""What a pipeline file defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from clx.db.pipelines.evaluation import fitted
from clx.db.works.fields import ALIASES
from clx.errors import UsageError
from clx.expressions.language import Scope, Template
from clx.expressions.matrix import axes_of, combinations, fill
from clx.settings.problems import Problem
from clx.work.work import Work

OUTCOMES = ("success", "failure", "always")
"""What ``if`` may be beside an expression."""


@dataclass(frozen=True)
class Condition:
    """The ``if`` of a step.

    Attributes:
        text: as it is written.
        expression: None where the text is one of :data:`OUTCOMES`.
    """

    text: str
    expression: Template | None = None

    def holds(self, scope: Scope, *, failed: bool) -> bool:
        """Whether the step is to run.

        Args:
            failed: whether a step before it has failed.

        Raises:
            ExpressionError: it has no value.
        """
        if self.expression is not None:
            return bool(self.expression.value(scope))
        return self.text == "always" or failed is (self.text == "failure")


@dataclass(frozen=True)
class Schedule:
    """When a file becomes pipelines by itself; *lives*: how many times, -1: for ever."""

    cronspec: str
    lives: int = 1


@dataclass(frozen=True)
class Deployment:
    """Runners for the buckets of the steps that run on them.

    Attributes:
        sleep: the longest pause between two works, in seconds; None: as is usual.
        lives: works that one does, -1: as many as come.
        replicas: how many there are.
        resources: ``cores``, ``ram`` (``4G``), ``gpu``.
    """

    name: str
    site: str | None = None
    image: str | None = None
    sleep: float | None = None
    lives: int = -1
    replicas: int = 1
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step of a pipeline.

    Attributes:
        stage: stages run in ascending order; None: after all of them.
        work: fields of its works, as they are written.
        matrix: as it is written; one work for each combination.
        condition: None: it runs if nothing before it has failed.
        success_threshold: the share of its works that have to succeed, 0 to 1.
        evaluate_on_runtime: whether its expressions get their values when its stage begins.
        replicate_deployments: whether each pipeline has deployments of its own.
    """

    name: str
    stage: int | None
    work: Mapping[str, Any]
    matrix: Mapping[str, Any] = field(default_factory=dict)
    condition: Condition | None = None
    runs_on: tuple[str, ...] = ()
    success_threshold: float = 1.0
    evaluate_on_runtime: bool = False
    replicate_deployments: bool = False
    place: str = field(default="", compare=False)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Those of *work* over the defaults, by their proper names, with templates for texts that hold expressions."""
    axes: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """*matrix*, with such templates."""

    @property
    def bucket(self) -> str:
        """The pipeline that its works are in, unless an expression says so."""
        found = self.fields.get("pipeline", self.name)
        return found if isinstance(found, str) else self.name

    def works(self, scope: Scope, config: Config, pipeline_id: str) -> list[dict[str, Any]]:
        """The documents of its works, one for each combination, with values in place of expressions.

        Args:
            scope: the combination of the pipeline itself, and what became of earlier steps.
            pipeline_id: the pipeline whose parts the works are.

        Raises:
            UsageError: an expression has no value, or a field cannot be what it became.
        """
        found = []
        for values in combinations(axes_of(self.axes, scope)):
            inner = Scope({**scope.matrix, **values}, scope.steps)
            filled = {name: fitted(name, fill(value, inner)) for name, value in self.fields.items()}
            filled = {"pipeline": self.name, **filled, "parent": pipeline_id}
            if not isinstance(filled.get("config"), str):  # where other clients look for it
                filled["config"] = {**(filled.get("config") or {}), "parent": pipeline_id}
            try:
                found.append(Work(**filled).payload)
            except UsageError as error:
                where = f"{self.place}: " if self.place else ""
                raise UsageError(f"{where}step {self.name} of {config.name}: {error.fact}", error.next_step) from None
        return found


@dataclass(frozen=True)
class Config:
    """A pipeline file.

    Attributes:
        yaml: its text.
        defaults: fields of works that all steps share, as they are written.
        matrix: as it is written; one pipeline for each combination.
        runs_on: deployments of all steps that name none.
        warnings: what may be a mistake, with its place.
    """

    name: str
    version: str
    user: str | None
    yaml: str = field(repr=False)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    matrix: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    deployments: tuple[Deployment, ...] = ()
    steps: tuple[Step, ...] = ()
    runs_on: tuple[str, ...] = ()
    axes: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def assignments(self) -> list[dict[str, Any]]:
        """The values of ``matrix`` for each of its pipelines; one that is empty where there is no matrix."""
        return list(combinations(axes_of(self.axes, Scope())))

    def stages(self) -> list[tuple[int | None, tuple[Step, ...]]]:
        """Stages in the order in which they run, each with its steps; the last may be None, that of steps without."""
        ordered = sorted(self.steps, key=lambda step: (step.stage is None, step.stage or 0))
        return [(stage, tuple(steps)) for stage, steps in groupby(ordered, key=lambda step: step.stage)]


def field_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """*given* by the proper names of fields."""
    return {ALIASES.get(name, name): value for name, value in given.items()}
