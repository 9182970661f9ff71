"""Where something stands in a pipeline that no person has written as a file: by the keys that lead to it."""

from __future__ import annotations

from collections.abc import Iterator

from clx.pipelines.document import KIND
from clx.settings.problems import shortened
from clx.settings.yaml_source import Node, parse

Spot = tuple[int, int]
_WHOLE = "the pipeline"


def paths_in(text: str) -> dict[Spot, str]:
    """Line and column of every key and value of a text of YAML → what leads there, with steps by their names.

    Raises:
        PipelineProblems: it is no YAML.
    """
    found: dict[Spot, str] = {}
    for node, path in _walk(parse(text, "", KIND), ""):
        found.setdefault((node.line, node.column), path or _WHOLE)  # a mapping, not the first of its keys
    return found


def _walk(node: Node, path: str) -> Iterator[tuple[Node, str]]:
    yield node, path
    for key, value in node.pairs:
        inner = f"{path}.{shortened(key.text)}" if path else shortened(key.text)
        yield key, inner
        yield from _walk(value, inner)
    for index, item in enumerate(node.items):
        names = [value.text for key, value in item.pairs if key.text == "name" and value.text]
        yield from _walk(item, f"{path}[{shortened(names[0]) if names else index}]")
