"""A YAML document as a tree of nodes that know their place.

Values stay as they were written: what a plain ``1.10`` or ``no`` means is decided by whoever reads the
node and knows whether text, a truth value or a number belongs there. So a topic called ``2024`` stays
text, and Norwegian (``no``) stays a language.

Nothing in a document can run code or take long: tags are refused, nesting and size are bounded, and
aliases that would multiply the document are counted before anything is expanded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from clx.errors import UsageError
from clx.regular import open_regular
from clx.settings.problems import shortened

SIZE_LIMIT = 10_000_000
"""Bytes of a document."""
DEPTH_LIMIT = 50
"""Levels of nesting; a course needs eight, a pipeline twelve."""
ALIAS_LIMIT = 100_000
"""Nodes that aliases may add to those that are written."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Kind = Literal["scalar", "list", "mapping"]


class Document(NamedTuple):
    """How messages speak of a kind of document.

    Attributes:
        name: with its article, ``a course file``.
        error: what is raised of it.
        missing: what to do where there is no such file.
        needed: what stands in one at least.
    """

    name: str
    error: type[UsageError]
    missing: str
    needed: str


class Node:
    """One value of a document.

    Attributes:
        text: a scalar's text.
        plain: whether a scalar is written without quotes (and so may be a number, true, false, null).
        parts: the entries of a list; of a mapping each key and its value, in the order written.
        line: 1-based line of its first character.
        column: 1-based column, in characters.
        size: of how many nodes it consists once aliases are written out; known when it is complete.
    """

    __slots__ = ("column", "kind", "line", "parts", "plain", "size", "text")

    def __init__(self, kind: Kind, mark: Any, text: str = "", plain: bool = False) -> None:
        self.kind = kind
        self.text = text
        self.plain = plain
        self.parts: list[Node] = []
        self.line: int = mark.line + 1
        self.column: int = mark.column + 1
        self.size = 1

    @property
    def items(self) -> list[Node]:
        """The entries of a list."""
        return self.parts if self.kind == "list" else []

    @property
    def pairs(self) -> list[tuple[Node, Node]]:
        """The keys and values of a mapping."""
        return list(zip(self.parts[::2], self.parts[1::2], strict=True)) if self.kind == "mapping" else []

    @property
    def is_null(self) -> bool:
        """Whether nothing is written here: empty, ``~`` or ``null``."""
        return self.kind == "scalar" and self.plain and self.text in ("", "~", "null", "Null", "NULL")


def read_source(path: Path, kind: Document) -> str:
    """The text of a document.

    Raises:
        UsageError: of its kind: missing, a directory, unreadable, too large or not UTF-8; each with its own words.
    """
    try:
        with open_regular(path) as file:
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise kind.error(f"{path}: there is no such file", _candidates(path, kind)) from None
    except IsADirectoryError:
        raise kind.error(f"{path}: is a directory, not {kind.name}", _candidates(path / "x", kind)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise kind.error(f"{path}: cannot be read ({reason})", "Check the path and its permissions.") from None
    if len(content) > SIZE_LIMIT:
        fact = f"{path}:1:1: is larger than {SIZE_LIMIT // 1_000_000} MB"
        raise kind.error(fact, f"Is this really {kind.name}?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        fact = f"{path}:{line}:{column}: is not UTF-8 text (byte 0x{content[error.start]:02x})"
        raise kind.error(fact, "Save the file as UTF-8.") from None


def _candidates(path: Path, kind: Document) -> str:
    """The YAML files that do exist where one was looked for."""
    try:
        found = sorted(each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml"))
    except OSError:
        found = []
    if not found:
        return kind.missing
    return f"In {path.parent} there is: {', '.join(found[:5])}"


def parse(text: str, name: str, kind: Document) -> Node:
    """The one document in *text*.

    Args:
        text: YAML.
        name: how messages call the file.

    Raises:
        UsageError: of its kind: it is empty, not YAML, or more than a document may be; with line and column.
    """
    try:
        root = _build(text, name, kind)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name, kind) from None
    except yaml.reader.ReaderError as error:
        # Where it stands is counted in bytes by one reader and in characters by the other.
        line, column = _place(text, text.find(chr(error.character)))
        fact = f"{name}:{line}:{column}: control character U+{error.character:04X}"
        raise kind.error(fact, "Remove it.") from None
    if root is None or root.is_null:
        raise kind.error(f"{name}:1:1: is empty", kind.needed)
    return root


class _Builder:
    """Puts the events of a parser together, without recursion.

    PyYAML's own composer recurses as deeply as the document, refuses anchors that are used again, and hides which
    values bear a tag: see docs/decisions.md.
    """

    def __init__(self, name: str, kind: Document) -> None:
        self.name = name
        self.kind = kind
        self.root: Node | None = None
        self.written = 0
        self._open: list[Node] = []
        self._anchors: dict[str, Node] = {}

    def fail(self, mark: Any, fact: str, next_step: str) -> UsageError:
        return self.kind.error(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {fact}", next_step)

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            if not _encodable(event.value):
                raise self.fail(event.start_mark, "half of a surrogate pair", "Write the character itself.")
            self._add(Node("scalar", event.start_mark, event.value, event.implicit[0]), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            node = Node("mapping" if isinstance(event, yaml.MappingStartEvent) else "list", event.start_mark)
            self._add(node, event)
            if len(self._open) == DEPTH_LIMIT:
                fact = f"is nested more than {DEPTH_LIMIT} levels deep"
                raise self.fail(event.start_mark, fact, "Check the brackets and the indentation.")
            self._open.append(node)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            node.size += sum(part.size for part in node.parts)
        elif isinstance(event, yaml.AliasEvent):
            self._attach(self._named(event))
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            name = self.kind.name
            raise self.fail(
                event.start_mark, "a second document begins", f"{name[0].upper()}{name[1:]} holds one document."
            )

    def _add(self, node: Node, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            fact = f"tags are not allowed ({shortened(event.tag)})"
            raise self.fail(event.start_mark, fact, "Write the plain value.")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self.written += 1
        self._attach(node)

    def _named(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            fact = f"nothing before this is called &{shortened(event.anchor)}"
            raise self.fail(event.start_mark, fact, "Quote the value if the * belongs to it.")
        if node in self._open:
            raise self.fail(event.start_mark, f"*{shortened(event.anchor)} contains itself", "Write the value out.")
        return node

    def _attach(self, node: Node) -> None:
        if self._open:
            self._open[-1].parts.append(node)
        else:
            self.root = node


def _build(text: str, name: str, kind: Document) -> Node | None:
    builder = _Builder(name, kind)
    for event in yaml.parse(text, Loader=_LOADER):
        builder.take(event)
    root = builder.root
    if root is not None and root.size - builder.written > ALIAS_LIMIT:  # the "billion laughs"
        fact = f"{name}:{root.line}:{root.column}: its aliases (*name) repeat more than {ALIAS_LIMIT} values"
        raise kind.error(fact, "Write the values out where they are needed.")
    return root


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str, kind: Document) -> UsageError:
    mark: Any = error.problem_mark or error.context_mark
    lines = text.splitlines() or [""]
    # At the end of the document the parser points behind the last line.
    line = min(mark.line, len(lines) - 1)
    column = mark.column if line == mark.line else len(lines[line])
    fact = f"{name}:{line + 1}:{column + 1}: is not YAML: {error.problem}"
    return kind.error(fact, _hint(lines[line], column, str(error.problem), error))


def _hint(line: str, column: int, problem: str, error: yaml.MarkedYAMLError) -> str:
    at = line[column : column + 1]
    if at == "\t" or re.match(r" *\t", line):
        return "A tab cannot indent YAML; use spaces."
    if at and at in "@`%*&!|>":
        return f'A value cannot begin with {at} unless it is quoted: "{at}…".'
    if "mapping values are not allowed" in problem:
        return 'Quote text that contains a colon: "a: b", and check the indentation.'
    context: Any = error.context_mark
    if context is not None:
        return f"See also line {context.line + 1}, column {context.column + 1}: {error.context}."
    return "Check the indentation, the brackets and the quotes up to here."


def _encodable(text: str) -> bool:
    # Only the pure Python parser lets an escape like "\\ud800" through.
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
