"""What is deployed, as plain values: pipelines, their steps, and the works that these bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clx.db.models import decode, encode
from clx.db.works.models import Document

LIVE = ("running", "paused")
SPAWN = "pipelines:spawn"
"""The type of the jobs that schedules of pipelines queue; they have ended once they are there."""
ENDED = ("success", "failure", "cancelled")
_SET_BY_THE_TABLE = frozenset({"id", "status", "run", "attempt", "start", "stop", "creation", "parent"})


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """A step of a pipeline.

    Attributes:
        name: what others call it by.
        stage: when it begins: after all steps of lower stages; None: after all stages.
        condition: ``success``, ``failure``, ``always``, or an expression; empty: as ``success``.
        threshold: the share of its works that must succeed so that it does.
        matrix: what its works are several for, to be shown.
        runs_on: names of deployments.
        works: the documents of its works; None: they are made when it begins.
        work: what is the same in all of them then.
        fields, axes: their other fields, and the matrix that they are made for, expressions in it as texts.
    """

    name: str
    stage: int | None = None
    condition: str = ""
    threshold: float = 1.0
    matrix: Mapping[str, Any] = field(default_factory=dict)
    runs_on: tuple[str, ...] = ()
    works: tuple[Document, ...] | None = ()
    work: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """As the table keeps it."""
        return encode(
            {
                "if": self.condition,
                "threshold": self.threshold,
                "matrix": dict(self.matrix),
                "runs_on": list(self.runs_on),
                "works": None if self.works is None else list(self.works),
                **({"work": self.work, "fields": self.fields, "axes": self.axes} if self.works is None else {}),
            }
        )


@dataclass(frozen=True, slots=True)
class PipelineDefinition:
    """A pipeline: one assignment of its config's matrix, and its steps in their order."""

    matrix: Mapping[str, Any]
    steps: tuple[StepDefinition, ...]


@dataclass(frozen=True, slots=True)
class ConfigDefinition:
    """What somebody deploys.

    Attributes:
        yaml: the text it was read from.
        pipelines: one for each assignment of its matrix.
        deployments: mappings, as the text says them.
        cron, lives: at which times its pipelines are made, and how often; empty: at once, once; ``-1``: for ever.
    """

    name: str
    yaml: str
    pipelines: tuple[PipelineDefinition, ...]
    version: str = "2"
    owner: str = "unknown"
    deployments: tuple[Mapping[str, Any], ...] = ()
    cron: str = ""
    lives: int = 1

    def text(self) -> str:
        """Its pipelines as the table keeps them."""
        return encode(
            [
                {"matrix": dict(each.matrix), "steps": [[step.name, step.stage, step.text()] for step in each.steps]}
                for each in self.pipelines
            ]
        )


def document_of(given: Mapping[str, Any], pipeline_id: str) -> Document:
    """The document of a work of a pipeline."""
    config = given.get("config")
    return {
        **{name: value for name, value in given.items() if name not in _SET_BY_THE_TABLE},
        "parent": pipeline_id,
        "config": {**(config if isinstance(config, Mapping) else {}), "parent": pipeline_id},
    }


def definition_of(text: Any) -> dict[str, Any]:
    """The definition of a step as the table has it.

    Raises:
        TypeError, ValueError: another program wrote it.
    """
    found = decode(text)
    if not isinstance(found, dict):
        raise TypeError("it is no mapping")
    return found
