"""Typed reading of a document: every mistake is noted with its place, then reading goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from clx.errors import UsageError
from clx.settings.problems import PROBLEM_LIMIT, Problem, closest, did_you_mean, quoted, raise_problems, shortened
from clx.settings.yaml_source import Node

T = TypeVar("T")

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_KINDS = {"scalar": "a single value", "list": "a list", "mapping": "a mapping (key: value)"}


class Placed(Protocol):
    """What stands somewhere in a document; line and column from 1."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Reader:
    """Reads nodes as what they should be and collects what they are not.

    Every method returns a value of the right type; where something is wrong it is a stand-in, and a
    problem has been noted. So nothing read may be used before :meth:`finish`.
    """

    def __init__(self, name: str, error: type[UsageError]) -> None:
        self._name = name
        self._error = error
        self._problems: list[tuple[int, int, Problem]] = []

    def problem(self, node: Placed, fact: str, next_step: str = "") -> None:
        """Note what is wrong at *node*.

        Raises:
            UsageError: of its kind: it is one mistake too many.
        """
        self._problems.append((node.line, node.column, Problem(self.where(node), fact, next_step)))
        if len(self._problems) == PROBLEM_LIMIT:
            self.finish()  # reading on would only take time

    def where(self, node: Placed) -> str:
        """``file:line:column``."""
        return f"{self._name}:{node.line}:{node.column}"

    def problems(self) -> list[Problem]:
        """What was noted, in the order of the document."""
        return [problem for *_, problem in sorted(self._problems, key=lambda each: each[:2])]

    def finish(self) -> None:
        """Raise what was noted, in the order of the document.

        Raises:
            UsageError: of its kind: something was wrong.
        """
        ordered = self.problems()
        more = ", and perhaps more" if len(ordered) == PROBLEM_LIMIT else ""
        raise_problems(ordered, self._error, self._name + more)

    def wrong_kind(self, node: Node, subject: str, wanted: str, next_step: str = "") -> None:
        """Note that *node* is another kind of thing than *wanted*."""
        found = "empty" if node.is_null else _KINDS[node.kind]
        self.problem(node, f"{subject} must be {wanted}, but is {found}", next_step)

    def mapping(
        self, node: Node, subject: str, allowed: Sequence[str], required: Iterable[str] = ()
    ) -> dict[str, Node]:
        """The values of a mapping with fixed keys, without those that are unknown or written twice."""
        if node.kind != "mapping":
            self.wrong_kind(node, subject, _KINDS["mapping"], f"Possible keys: {', '.join(allowed)}.")
            return {}
        found = self.keys(node, subject)
        meant = set()
        for key, (key_node, _) in found.items():
            if key not in allowed:
                meant.add(closest(key, allowed))
                fact = f"{shortened(key)} is not a key of {subject}"
                self.problem(key_node, fact, did_you_mean(key, allowed))
        for key in required:
            if key not in found and key not in meant:
                self.problem(node, f'{subject} has no "{key}"', f"Add {key}: …")
        return {key: value for key, (_, value) in found.items() if key in allowed}

    def keys(self, node: Node, subject: str) -> dict[str, tuple[Node, Node]]:
        """Key → key node and value node of any mapping; the first of those written twice."""
        found: dict[str, tuple[Node, Node]] = {}
        for key, value in node.pairs:
            if key.kind != "scalar":
                self.problem(key, f"a key of {subject} is {_KINDS[key.kind]}", "Keys are plain words.")
            elif key.text == "<<" and key.plain:
                self.problem(key, "merge keys (<<) are not supported", "Write the keys out.")
            elif key.text in found:
                first = found[key.text][0]
                fact = f"{shortened(key.text)} is written twice (first in line {first.line})"
                self.problem(key, fact, "Remove one.")
            else:
                found[key.text] = (key, value)
        return found

    def list(self, node: Node, subject: str, read: Callable[[Node], T], *, may_be_empty: bool = True) -> tuple[T, ...]:
        """Every entry of a list as *read* reads it; nothing written counts as an empty list."""
        if node.kind != "list" and not (node.is_null and may_be_empty):
            hint = (
                f"Write [{shortened(node.text)}]." if node.kind == "scalar" and node.text else 'Begin each with "- ".'
            )
            self.wrong_kind(node, subject, "a list", hint)
        elif not node.items and not may_be_empty:
            self.problem(node, f"{subject} is empty", "Add an entry.")
        return tuple(read(item) for item in node.items)

    def text(self, node: Node, subject: str) -> str:
        """A scalar as it is written, quoted or not: ``2024`` and ``no`` are text where text belongs."""
        if node.kind != "scalar" or node.is_null:
            self.wrong_kind(node, subject, "text")
            return ""
        return node.text

    def checked(self, node: Node, subject: str, problem_of: Callable[[str], str | None]) -> str:
        """A text, without blanks around it, in which *problem_of* finds nothing wrong."""
        text = self.text(node, subject).strip()
        if node.kind == "scalar" and not node.is_null and (fact := problem_of(text)):
            self.problem(node, f"{subject} {quoted(text)} {fact}")
        return text

    def boolean(self, node: Node, subject: str) -> bool:
        """``true`` or ``false``."""
        words = {"true": True, "false": False}
        if node.kind == "scalar" and node.plain and node.text.lower() in words:
            return words[node.text.lower()]
        meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
        near = meant.get(node.text.lower(), closest(node.text, words)) if node.kind == "scalar" else None
        found = quoted(node.text) if node.kind == "scalar" else _KINDS[node.kind]
        hint = f"Write {near} without quotes." if near else "Write true or false."
        self.problem(node, f"{subject} must be true or false, but is {found}", hint)
        return False

    def choice(self, node: Node, subject: str, choices: Sequence[str], known: Mapping[str, str] | None = None) -> str:
        """One of *choices*; *known* are wrong spellings, each with what is meant."""
        text = self.text(node, subject)
        if text and text not in choices:
            meant = (known or {}).get(text.lower())
            hint = f'Did you mean "{meant}"?' if meant else did_you_mean(text, choices)
            self.problem(node, f"{subject} cannot be {quoted(text)}", hint)
        return text

    def distinct(self, node: Node, subject: str, read: Callable[[Node], str]) -> tuple[str, ...]:
        """A list of texts that is not empty and names nothing twice."""
        seen: set[str] = set()

        def once(item: Node) -> str:
            text = read(item)
            if text in seen and text:
                self.problem(item, f"{subject}: {quoted(text)} is named twice", "Remove one.")
            seen.add(text)
            return text

        return self.list(node, subject, once, may_be_empty=False)

    def value(self, node: Node, subject: str) -> Any:
        """Any value, as YAML 1.2 reads it: null, true, false, finite numbers, else text.

        Numbers with leading zeros, dates, ``yes`` and ``no`` are text.
        """
        if node.kind == "list":
            return [self.value(item, subject) for item in node.items]
        if node.kind == "mapping":
            pairs = self.keys(node, subject)
            return {key: self.value(value, subject) for key, (_, value) in pairs.items()}
        return _scalar(node)


def _scalar(node: Node) -> Any:
    text = node.text
    if not node.plain:
        return text
    if node.is_null:
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
