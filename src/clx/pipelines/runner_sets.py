"""Which runners the ``deployments`` of pipelines ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from clx.expressions.language import Scope
from clx.pipelines.definition import Config, Deployment, Step
from clx.pipelines.document import read

Document = dict[str, Any]
LIVE = ("running", "paused")
"""The statuses of pipelines that have not ended."""
_SLEEP = (0.1, 3600.0)
"""Seconds between which ``clx work run`` takes its ``--sleep``."""
_UNITS = "KMGT"


class RunnerSet(NamedTuple):
    """Runners that are alike: those of one deployment, for all pipelines of a config or for one.

    Attributes:
        config, name: its id, and what it is called.
        pipeline: the one that has them for itself; None: all share them.
        buckets: whose works they do.
        parents: the pipelines whose works they do.
    """

    config: str
    name: str
    deployment: Deployment
    pipeline: str | None
    buckets: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return (self.config, self.deployment.name, self.pipeline or "")

    def __str__(self) -> str:
        return f"{self.deployment.name} of {self.name}{f' {self.pipeline}' if self.pipeline else ''}"

    def words(self) -> list[str]:
        """What ``clx work run`` is told."""
        lives, sleep, site = self.deployment.lives, self.deployment.sleep, self.deployment.site
        return [
            *(word for each in self.parents for word in ("--parent", each)),
            *(["--lives", str(lives)] if lives > 0 else []),
            *(["--sleep", str(min(max(sleep, _SLEEP[0]), _SLEEP[1]))] if sleep is not None else []),
            *([f"--site={site}"] if site else []),
            "--function-of-work", "--", *self.buckets,
        ]  # fmt: skip


def wanted(config: Document, pipelines: Sequence[Document]) -> list[RunnerSet]:
    """The runners for *pipelines*, live ones of *config*; both as :mod:`clx.pipelines.running` gives them.

    Raises:
        PipelineProblems: the text of the config, which another version of CLX has taken, cannot be read.
        UsageError: the bucket of a step has no value.
    """
    definition = definition_of(config["yaml"])
    found = []
    for deployment in definition.deployments:
        for own in (False, True):
            steps = [
                each
                for each in definition.steps
                if deployment.name in (each.runs_on or definition.runs_on) and each.replicate_deployments is own
            ]
            for together in [[each] for each in pipelines] if own else [list(pipelines)]:
                buckets = sorted({each for one in together for each in _buckets(steps, definition, one)})
                if buckets:
                    parents = tuple(sorted(each["id"] for each in together))
                    alone = parents[0] if own else None
                    found.append(RunnerSet(config["id"], definition.name, deployment, alone, tuple(buckets), parents))
    return found


@lru_cache(64)
def definition_of(text: str) -> Config:
    """What a text that was deployed defines, read once."""
    return read(text, source="the pipeline as it was deployed")


def _buckets(steps: Iterable[Step], config: Config, pipeline: Document) -> Iterator[str]:
    """The buckets of the works of *steps* in *pipeline*."""
    for step in steps:
        written = step.fields.get("pipeline", step.name)
        if isinstance(written, str):
            yield written
        elif step.evaluate_on_runtime:  # known once they are there
            yield from (each for told in pipeline["steps"] if told["name"] == step.name for each in told["buckets"])
        else:
            yield from {work["pipeline"] for work in step.works(Scope(pipeline["matrix"]), config, pipeline["id"])}


def bytes_of(resources: Mapping[str, Any]) -> int | None:
    """The ``ram`` of resources in bytes; None where nothing is said of it."""
    found = re.fullmatch(r"([0-9.]+) ?([KMGT])i?B?", str(resources.get("ram", "")), re.IGNORECASE)
    return None if found is None else int(float(found[1]) * 1024 ** (_UNITS.index(found[2].upper()) + 1))
