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
from pathlib import Path

from clx.expressions.language import Scope
from clx.pipelines.checking import check
from clx.pipelines.definition import Condition, Config, Deployment, Schedule, Step
from clx.pipelines.problems import PipelineProblems
from clx.pipelines.reading import PipelineReader
from clx.settings.yaml_source import Document, Node, parse, read_source

KIND = Document(
    "a pipeline file",
    PipelineProblems,
    "Give the path of a pipeline file.",
    "A pipeline needs at least: name, pipeline with steps.",
)
"""How messages speak of it."""
SIZE_LIMIT = 1_000_000
"""Characters of a file."""
WRITTEN_LIMIT = 10_000_000
"""Characters of a file once its aliases are written out."""

__all__ = ["KIND", "Condition", "Config", "Deployment", "PipelineProblems", "Schedule", "Scope", "Step", "load", "read"]


def load(path: Path) -> Config:
    """As :func:`read`, of the file at *path*.

    Raises:
        PipelineProblems: it cannot be read, or as :func:`read`.
    """
    return read(read_source(path, KIND), source=str(path))


def read(text: str, *, source: str = "<text>") -> Config:
    """What a pipeline file says, checked.

    Args:
        text: YAML, or JSON.
        source: how messages call it.

    Raises:
        PipelineProblems: it is no YAML, or cannot be used as it is written: everything that is wrong.
    """
    if len(text) > SIZE_LIMIT:
        raise PipelineProblems(
            f"{source}:1:1: is longer than {SIZE_LIMIT} characters", "Keep data in files of its own."
        )
    root = parse(text, source, KIND)
    if _written_out(root, {}) > WRITTEN_LIMIT:
        fact = f"{source}:1:1: its aliases (*name) make more than {WRITTEN_LIMIT} characters of it"
        raise PipelineProblems(fact, "Write less, or keep data in files of its own.")
    reader = PipelineReader(source, text)
    config = reader.config(root, text)
    check(config, reader)
    reader.finish()
    return replace(config, warnings=reader.warnings())


def _written_out(node: Node, known: dict[int, int]) -> int:
    """Characters of all scalars, once aliases are written out."""
    found = known.get(id(node))
    if found is None:
        found = known[id(node)] = len(node.text) + sum(_written_out(part, known) for part in node.parts)
    return found
