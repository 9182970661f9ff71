"""Works in files: YAML, JSON, or JSON lines; one, or a list of them. What cannot be read is told by its place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec

from clx.db.models import decode
from clx.errors import UsageError
from clx.regular import open_regular
from clx.settings.problems import shortened
from clx.visible import visible_line

LARGEST = 256 << 20
"""Bytes of a file of works."""
DEEPEST = 100
"""Levels of nesting in YAML."""
MOST_NODES = 2_000_000
"""Parts of a document of YAML once its aliases are written out."""
STDIN = "-"

Kind = Literal["yaml", "json", "lines"]
_KINDS: dict[str, Kind] = {
    ".json": "json", ".jsonl": "lines", ".ndjson": "lines", ".yaml": "yaml", ".yml": "yaml"
}  # fmt: skip


class Entry(NamedTuple):
    """What a file says of one work, and where: ``works.yaml:7``."""

    place: str
    document: Mapping[str, Any]


def read_entries(path: str | os.PathLike[str]) -> list[Entry]:
    """The works that a file says, or standard input for ``-``.

    Raises:
        UsageError: it cannot be read, is too large, is not UTF-8, or what stands there is no work; names the place.
    """
    name = os.fspath(path)
    source = "standard input" if name == STDIN else visible_line(name)
    try:
        content = _content(name)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}.", "Name a file of YAML or JSON.") from None
    if len(content) > LARGEST:
        raise UsageError(f"{source} is too large for works.", f"Take {LARGEST >> 20} MiB at a time.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{source}:{line}: this is not UTF-8.", "Save it as UTF-8.") from None
    return entries(text, source, _KINDS.get(Path(name).suffix.lower()))


def _content(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read(LARGEST + 1)
    with open_regular(Path(name)) as file:
        return bytes(file.read(LARGEST + 1))


def entries(text: str, source: str = "<text>", kind: Kind | None = None) -> list[Entry]:
    """The works that a text says.

    Args:
        source: what the text is called in errors.
        kind: what it is; None: what it looks like.

    Raises:
        UsageError: what stands there is no work; names the place.
    """
    kind = kind or _looks_like(text)
    found = list({"yaml": _yaml, "json": _json, "lines": _lines}[kind](text, source))
    for place, document in found:
        if not isinstance(document, Mapping) or not all(isinstance(name, str) for name in document):
            raise UsageError(f"{place}: {shortened(str(document))} is no work.", "Write fields: pipeline: NAME")
    return found


def _looks_like(text: str) -> Kind:
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return "yaml"
    first = start.partition("\n")[0]
    try:
        is_whole = start.startswith("{") and isinstance(decode(first), dict)
    except (ValueError, RecursionError):
        return "json"
    return "lines" if is_whole else "json"


# -- JSON -----------------------------------------------------------------------------------------------


def _json(text: str, source: str) -> Iterator[Entry]:
    found = _decoded(text, source, 1)
    if not isinstance(found, list):
        yield Entry(source, found)
        return
    for number, each in enumerate(found, 1):
        yield Entry(f"{source}, work {number}", each)


def _lines(text: str, source: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield Entry(f"{source}:{number}", _decoded(line, source, number))


def _decoded(text: str, source: str, line: int) -> Any:
    try:
        return decode(text)
    except RecursionError:
        raise UsageError(f"{source}:{line}: this is nested too deeply.", "Write it flatter.") from None
    except (ValueError, msgspec.MsgspecError) as error:
        place, why = _place_in(text, line), str(error)
        if place is not None:
            line, why = place
        raise UsageError(f"{source}:{line}: this is no JSON: {shortened(why, 100)}.", "Correct it.") from None


def _place_in(text: str, line: int) -> tuple[Any, str] | None:
    """Where the JSON of *text* ends to be any, and why."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{line + error.lineno - 1}:{error.colno}", error.msg
    except (ValueError, RecursionError):
        return None
    return None


# -- YAML -----------------------------------------------------------------------------------------------


def _yaml(text: str, source: str) -> Iterator[Entry]:
    import yaml

    try:
        _bound_depth(text, source)
        reader = _loader()(text)
        try:
            while reader.check_node():
                node = reader.get_node()
                _bound(node, source)
                yield from _works_in(reader.construct_document(node), node, source)
        finally:
            reader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"
        raise UsageError(f"{place}: this is no YAML: {shortened(str(error.problem), 100)}.", "Correct it.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{source}: this is no YAML: {shortened(str(error), 100)}.", "Correct it.") from None
    except (ValueError, OverflowError) as error:  # a number of a million digits, say
        raise UsageError(f"{source}: {shortened(str(error), 100)}.", "Put quotes around what is a text.") from None


@cache
def _loader() -> Any:
    """A loader that leaves dates as the texts they are: JSON has none."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar = {
            start: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
            for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


def _bound_depth(text: str, source: str) -> None:
    """See that nothing is nested deeply: what composes nodes would end the process, and no exception.

    Raises:
        UsageError: something is.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UsageError(f"{_at(event, source)}: this is nested too deeply.", "Write it flatter.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _works_in(document: Any, node: Any, source: str) -> Iterator[Entry]:
    if document is None:
        return
    if not isinstance(document, list):
        yield Entry(_at(node, source), document)
        return
    for each, part in zip(document, node.value, strict=True):
        yield Entry(_at(part, source), each)


def _at(node: Any, source: str) -> str:
    """The place of a node, or of an event."""
    return f"{source}:{node.start_mark.line + 1}"


def _bound(root: Any, source: str) -> None:
    """See that a document is not much larger than it is written: aliases of aliases grow without end.

    Raises:
        UsageError: it is, contains itself, or says one thing twice.
    """
    sizes: dict[int, int] = {}

    def size(node: Any, within: frozenset[int]) -> int:
        if id(node) in within:
            raise UsageError(f"{_at(node, source)}: this contains itself.", "Write it out.")
        if id(node) not in sizes:
            _require_once(node, source)
            children = _children(node)
            inner = within | {id(node)} if children else within
            sizes[id(node)] = 1 + sum(size(each, inner) for each in children)
        if sizes[id(node)] > MOST_NODES:
            raise UsageError(f"{_at(node, source)}: its aliases make it too large.", "Write what is meant out.")
        return sizes[id(node)]

    size(root, frozenset())


def _require_once(node: Any, source: str) -> None:
    if node.id != "mapping":
        return
    names: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if key.id == "scalar" and (key.tag, key.value) in names:
            raise UsageError(f"{_at(key, source)}: {shortened(key.value)} is given twice.", "Give it once.")
        if key.id == "scalar":
            names.add((key.tag, key.value))


def _children(node: Any) -> Sequence[Any]:
    if node.id == "scalar":
        return ()
    return [part for each in node.value for part in (each if isinstance(each, tuple) else (each,))]
