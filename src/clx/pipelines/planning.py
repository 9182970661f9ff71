"""What a pipeline file deploys: its steps with their works, as the job table keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.works.fields import FIELDS
from clx.expressions.language import Scope, Template
from clx.expressions.matrix import templates_in
from clx.pipelines.definition import Config, Step
from clx.work.work import Work

_NOT_YET = "none"
"""The pipeline of works before there is one; the job table names it when they go in."""


def planned(config: Config, *, user: str | None = None) -> ConfigDefinition:
    """A config with the works of all steps that are not evaluated at runtime.

    Args:
        user: who deploys it, where the file does not say.

    Raises:
        UsageError: an expression has no value, or a field of a work cannot be what it became.
    """
    times = config.schedule
    owner = config.user or user or FIELDS["user"].usual()
    return ConfigDefinition(
        config.name,
        config.yaml,
        tuple(_pipeline(config, values, owner) for values in config.assignments()),
        config.version,
        owner,
        tuple(asdict(each) for each in config.deployments),
        times.cronspec if times else "",
        times.lives if times else 1,
    )


def _pipeline(config: Config, values: Mapping[str, Any], owner: str) -> PipelineDefinition:
    scope = Scope(values)
    return PipelineDefinition(values, tuple(_step(each, scope, config, owner) for each in config.steps))


def _step(step: Step, scope: Scope, config: Config, owner: str) -> StepDefinition:
    told: dict[str, Any] = {
        "stage": step.stage,
        "condition": "" if step.condition is None else step.condition.text,
        "threshold": step.success_threshold,
        "matrix": step.matrix,
        "runs_on": step.runs_on or config.runs_on,
    }
    if not step.evaluate_on_runtime:
        works = step.works(scope, config, _NOT_YET)
        if "user" not in step.fields:
            works = [{**each, "user": owner} for each in works]
        return StepDefinition(step.name, **told, works=tuple(works))
    later = {name: value for name, value in step.fields.items() if any(templates_in(value))}
    same = {
        "pipeline": step.name,
        "user": owner,
        **{name: value for name, value in step.fields.items() if name not in later},
    }
    return StepDefinition(
        step.name,
        **told,
        works=None,
        work=Work(**same).payload,
        fields=_written(later),
        axes=_written(step.axes),
    )


def _written(value: Any) -> Any:
    """*value* with templates as they are written."""
    if isinstance(value, Template):
        return value.text
    if isinstance(value, Mapping):
        return {name: _written(each) for name, each in value.items()}
    return [_written(each) for each in value] if isinstance(value, list | tuple) else value
