"""Pipeline files: YAML, or the object that clients make of it, to a :class:`Config`, with everything that is wrong.

::

    config = read(path.read_text(), source="pipeline.yaml")
    for values in config.assignments():
        scope = Scope(values)
        for stage, steps in config.stages():
            works = [work for step in steps for work in step.works(scope, config, pipeline_id)]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clx.expressions.language import Scope
from clx.pipelines.checking import check
from clx.pipelines.definition import Condition, Config, Deployment, Schedule, Step
from clx.pipelines.problems import PipelineProblems
from clx.pipelines.reading import PipelineReader
from clx.settings.reader import Reader
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
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})+)")
"""Characters that JSON writes as two, of which YAML knows nothing; not where the backslash is a character itself."""

__all__ = [
    "KIND",
    "Condition",
    "Config",
    "Deployment",
    "PipelineProblems",
    "Schedule",
    "Scope",
    "Step",
    "load",
    "read",
    "read_object",
]


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
    if text.lstrip().startswith("{"):
        text = _PAIR.sub(lambda found: found[1] + json.loads(f'"{found[2]}"'), text)
    root = parse(text, source, KIND)
    if _written_out(root, {}) > WRITTEN_LIMIT:
        fact = f"{source}:1:1: its aliases (*name) make more than {WRITTEN_LIMIT} characters of it"
        raise PipelineProblems(fact, "Write less, or keep data in files of its own.")
    reader = PipelineReader(source, text)
    config = reader.config(root, text)
    check(config, reader)
    reader.finish()
    return replace(config, warnings=reader.warnings())


def read_object(document: Mapping[str, Any], *, source: str = "<object>") -> Config:
    """As :func:`read`, of the object that a client makes of a file; ``canfar_cert``, a private key, is left out.

    Args:
        document: what JSON can say.

    Raises:
        PipelineProblems: as :func:`read`; places are those of the text that is kept as ``yaml``.
    """
    kept = {name: value for name, value in document.items() if name != "canfar_cert"}
    return read(_as_yaml(kept), source=source)


def _as_yaml(document: Mapping[str, Any]) -> str:
    """*document* as YAML, where that is read as the same again; else as JSON, which is YAML as well."""
    import yaml

    try:
        told = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        found = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=200)
        again = Reader("", PipelineProblems).value(parse(found, "", KIND), "")
        if json.dumps(again, indent=2, ensure_ascii=False) == told:
            return found
    except (yaml.YAMLError, PipelineProblems):
        pass
    except (RecursionError, ValueError, TypeError) as error:
        raise PipelineProblems(f"The pipeline is nothing that JSON can say: {error}.", "Send a JSON object.") from None
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", told)


def _written_out(node: Node, known: dict[int, int]) -> int:
    """Characters of all scalars, once aliases are written out."""
    found = known.get(id(node))
    if found is None:
        found = known[id(node)] = len(node.text) + sum(_written_out(part, known) for part in node.parts)
    return found
