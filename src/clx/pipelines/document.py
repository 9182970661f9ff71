"""Pipeline files: YAML, or the object that clients make of it, to a :class:`Config`, with everything that is wrong.

::

    config = read(path.read_text(), source="pipeline.yaml")
    for values in config.assignments():
        scope = Scope(values)
        for stage, steps in config.stages():
            works = [work for step in steps for work in step.works(scope, config, pipeline_id)]
"""

from __future__ import annotations

from dataclasses import replace

from clx.pipelines.definition import Condition, Config, Deployment, Schedule, Step
from clx.pipelines.expressions import Scope
from clx.pipelines.problems import PipelineProblems
from clx.pipelines.reading import PipelineReader
from clx.settings.yaml_source import Document, parse

KIND = Document(
    "a pipeline file",
    PipelineProblems,
    "Give the path of a pipeline file.",
    "A pipeline needs at least: name, pipeline with steps.",
)
"""How messages speak of it."""

__all__ = ["KIND", "Condition", "Config", "Deployment", "PipelineProblems", "Schedule", "Scope", "Step", "read"]


def read(text: str, *, source: str = "<text>") -> Config:
    """What a pipeline file says, checked.

    Args:
        text: YAML, or JSON.
        source: how messages call it.

    Raises:
        PipelineProblems: it is no YAML, or cannot be used as it is written: everything that is wrong.
    """
    reader = PipelineReader(source, text)
    config = reader.config(parse(text, source, KIND), text)
    reader.finish()
    return replace(config, warnings=reader.warnings())
