"""``${{ … }}`` in the texts of a pipeline: a small language of paths, comparisons and literals. Nothing is executed.

::

    expression = and {"or" and}              and = not {"and" not}            not = "not" not | comparison
    comparison = operand [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") operand]
    operand    = number | text | "true" | "false" | "null" | "[" [expression {"," expression}] "]"
               | "(" expression ")" | path
    path       = ("matrix" | "pipeline") {"." name | "[" (number | text) "]"}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from clx.expressions.tokens import EXPRESSION_LIMIT, ExpressionError, Token, tokens
from clx.settings.problems import did_you_mean, quoted, shortened

DEPTH_LIMIT = 50
"""Levels of brackets and ``not`` in one expression."""
TEXT_LIMIT = 1_000_000
"""Characters that a text with expressions in it may become."""
OPENING = "${{"
_COMPARED = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
_ROOTS = ("matrix", "pipeline")

__all__ = ["EXPRESSION_LIMIT", "ExpressionError", "Reference", "Scope", "Template", "parse", "parse_condition"]


@dataclass(frozen=True)
class Scope:
    """What expressions can name.

    Attributes:
        matrix: the values of this combination, those of the pipeline's own matrix among them.
        steps: of each step that was begun ``{"status": …, "work": {"results": …}}``; of several works a list of them.
    """

    matrix: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """A path in an expression: ``matrix``, then names; and at which character of the text it stands."""

    path: tuple[str | int, ...]
    offset: int

    @property
    def text(self) -> str:
        """As it is written."""
        return _path_text(self.path)

    def value(self, scope: Scope) -> Any:
        """What it names.

        Raises:
            ExpressionError: there is no such thing.
        """
        found: Any = scope.matrix if self.path[0] == "matrix" else scope.steps
        for index, name in enumerate(self.path[1:], 1):
            found = _part(found, name, _path_text(self.path[:index]), self.offset)
        return found


class _Node(Protocol):
    def value(self, scope: Scope) -> Any: ...


@dataclass(frozen=True)
class _Literal:
    literal: Any

    def value(self, _scope: Scope) -> Any:
        return self.literal


@dataclass(frozen=True)
class _List:
    parts: tuple[_Node, ...]

    def value(self, scope: Scope) -> Any:
        return [part.value(scope) for part in self.parts]


@dataclass(frozen=True)
class _Not:
    part: _Node

    def value(self, scope: Scope) -> Any:
        return not self.part.value(scope)


@dataclass(frozen=True)
class _Chain:
    """``a and b and …``, or with ``or``: the part that decides; what is behind it is not looked at."""

    stops_at: bool
    parts: tuple[_Node, ...]

    def value(self, scope: Scope) -> Any:
        found: Any = None
        for part in self.parts:
            found = part.value(scope)
            if bool(found) is self.stops_at:
                break
        return found


@dataclass(frozen=True)
class _Comparison:
    left: _Node
    sign: str
    right: _Node
    offset: int

    def value(self, scope: Scope) -> Any:
        left, right = self.left.value(scope), self.right.value(scope)
        if self.sign in {"==", "!="}:
            return _same(left, right) is (self.sign == "==")
        if self.sign in {"in", "not in"}:
            return self._is_in(left, right) is (self.sign == "in")
        if not (_is_number(left) and _is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
            fact = f"{_kind(left)} and {_kind(right)} have no order ({self.sign})"
            raise ExpressionError(fact, "Compare two numbers, or two texts.", self.offset)
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[self.sign]

    def _is_in(self, left: Any, right: Any) -> bool:
        if isinstance(right, list):
            return any(_same(left, each) for each in right)
        if isinstance(right, Mapping) or (isinstance(right, str) and isinstance(left, str)):
            return isinstance(left, str) and left in right
        if right is None:  # the results of a step that did not run, say
            return False
        step = "Right of in stands a list, a mapping, or a text where left of it is one."
        raise ExpressionError(f"{_kind(left)} cannot be in {_kind(right)}", step, self.offset)


@dataclass(frozen=True)
class Template:
    """A text with expressions in it, or one that is a single expression.

    Attributes:
        text: as it is written.
        place: where, for messages: ``file:line:column``; may be empty.
        references: every path in it.
    """

    text: str
    place: str
    references: tuple[Reference, ...]
    _parts: tuple[str | _Node, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is one expression, whose value keeps its type."""
        return not isinstance(self._parts[0], str)

    @property
    def uses_steps(self) -> bool:
        """Whether it names what becomes of a step."""
        return any(reference.path[0] == "pipeline" for reference in self.references)

    def value(self, scope: Scope) -> Any:
        """What it becomes: of a single expression its value, else a text.

        Raises:
            ExpressionError: it names what is not there, or compares what has no order.
        """
        try:
            found = [part if isinstance(part, str) else part.value(scope) for part in self._parts]
        except ExpressionError as error:
            detail = f"{shortened(self.text)}: {error.fact}"
            fact = f"{self.place}: {detail}" if self.place else detail
            raise ExpressionError(fact, error.next_step, error.offset, detail) from None
        if self.is_whole:
            return found[0]
        told = [_told(each) for each in found]
        if sum(map(len, told)) > TEXT_LIMIT:
            fact = f"{shortened(self.text)} becomes more than {TEXT_LIMIT} characters"
            raise ExpressionError(fact, "Refer to a file instead.", 0)
        return "".join(told)


def comparisons(template: Template) -> Iterator[tuple[Reference, Any]]:
    """The paths that *template* compares with literals, each with one; of a list right of ``in``, with each entry."""
    todo: list[Any] = [part for part in template._parts if not isinstance(part, str)]
    while todo:
        node = todo.pop()
        if isinstance(node, _Not):
            todo.append(node.part)
        elif isinstance(node, _Chain | _List):
            todo += node.parts
        elif isinstance(node, _Comparison):
            todo += (node.left, node.right)
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, Reference):
                    literals = other.parts if isinstance(other, _List) else (other,)
                    yield from ((one, each.literal) for each in literals if isinstance(each, _Literal))


def parse(text: str, place: str = "") -> Template:
    """The expressions in *text*.

    Args:
        place: where it stands, for messages: ``file:line:column``.

    Raises:
        ExpressionError: one cannot be read; its ``offset`` says at which character of *text*.
    """
    found: list[str | _Node] = []
    references: list[Reference] = []
    at = 0
    while (opening := text.find(OPENING, at)) >= 0:
        parser = _Parser(tokens(text, opening + len(OPENING)), references)
        found += [text[at:opening], parser.whole()]
        at = parser.end
    found.append(text[at:])
    nodes = [part for part in found if not isinstance(part, str)]
    if len(nodes) == 1 and not any(part.strip() for part in found if isinstance(part, str)):
        return Template(text, place, tuple(references), tuple(nodes))  # blanks around it are none of its text
    return Template(text, place, tuple(references), tuple(found))


def parse_condition(text: str, place: str = "") -> Template:
    """As :func:`parse`, of a text that is one expression, with or without the braces around it.

    Raises:
        ExpressionError: it is none, or there is something around it.
    """
    if OPENING not in text:
        return _bare(text, place)
    found = parse(text, place)
    if not found.is_whole:
        raise ExpressionError("there is text around the expression", f"Write {OPENING} … }}}} and nothing else.", 0)
    return found


def _bare(text: str, place: str) -> Template:
    before = len(OPENING)
    try:
        found = parse(f"{OPENING}{text}}}}}", place)
    except ExpressionError as error:
        raise ExpressionError(error.fact, error.next_step, error.offset - before) from None
    if not found.is_whole:
        raise ExpressionError("the braces close nothing", f"Write {OPENING} before it.", text.find("}}"))
    references = tuple(Reference(each.path, each.offset - before) for each in found.references)
    return replace(found, text=text, references=references)


class _Parser:
    """Reads one expression up to the braces that close it."""

    def __init__(self, found: Iterator[Token], references: list[Reference]) -> None:
        self._tokens = found
        self._references = references
        self._depth = 0
        self._now = next(found)
        self.end = 0

    def whole(self) -> _Node:
        if self._is_over():
            raise ExpressionError("there is no expression between the braces", "Write one.", self._now.offset)
        found = self._or()
        if not self._is_over():
            raise self._unexpected()
        self.end = self._now.end
        return found

    def _or(self) -> _Node:
        return self._chain("or", stops_at=True)

    def _and(self) -> _Node:
        return self._chain("and", stops_at=False)

    def _chain(self, word: str, *, stops_at: bool) -> _Node:
        below = self._and if word == "or" else self._not
        parts = [below()]
        while self._takes(word):
            parts.append(below())
        return parts[0] if len(parts) == 1 else _Chain(stops_at, tuple(parts))

    def _not(self) -> _Node:
        offset = self._now.offset
        if not self._takes("not"):
            return self._comparison()
        self._deeper(offset)
        found = _Not(self._not())
        self._depth -= 1
        return found

    def _comparison(self) -> _Node:
        left = self._operand()
        offset = self._now.offset
        sign = self._sign()
        if not sign:
            return left
        found = _Comparison(left, sign, self._operand(), offset)
        if self._now.kind == "sign" and self._now.text in _COMPARED:
            raise ExpressionError("two comparisons in a row", "Write a < b and b < c.", self._now.offset)
        return found

    def _sign(self) -> str:
        if self._now.text == "not" and self._now.kind == "sign":
            self._next()
            if not self._takes("in"):
                raise self._unexpected("in")
            return "not in"
        sign = self._now.text if self._now.kind == "sign" and self._now.text in _COMPARED else ""
        if sign:
            self._next()
        return sign

    def _operand(self) -> _Node:
        token = self._now
        if token.kind == "literal":
            self._next()
            return _Literal(token.value)
        if token.kind == "name":
            return self._path()
        self._deeper(token.offset)
        if self._takes("("):
            found = self._or()
            self._needs(")")
        elif self._takes("["):
            found = self._list()
        else:
            raise self._unexpected("a value")
        self._depth -= 1
        return found

    def _list(self) -> _Node:
        parts: list[_Node] = []
        while not self._takes("]"):
            if parts:
                self._needs(",")
            parts.append(self._or())
        return _List(tuple(parts))

    def _path(self) -> _Node:
        root = self._now
        if root.text not in _ROOTS:
            step = did_you_mean(root.text, _ROOTS) + f" Texts stand in quotes: '{shortened(root.text)}'."
            raise ExpressionError(f"there is no {shortened(root.text)}", step, root.offset)
        path: list[str | int] = [root.text]
        self._next()
        while True:
            if self._now.kind == "part":
                path.append(self._now.text)
                self._next()
            elif self._takes("["):
                path.append(self._index())
                self._needs("]")
            else:
                break
        found = Reference(tuple(path), root.offset)
        self._references.append(found)
        return found

    def _index(self) -> str | int:
        value = self._now.value
        if self._now.kind != "literal" or isinstance(value, bool) or not isinstance(value, str | int):
            raise self._unexpected("a whole number or a text in quotes")
        self._next()
        return value

    def _is_over(self) -> bool:
        return self._now.kind == "end"

    def _next(self) -> None:
        self._now = next(self._tokens)

    def _takes(self, text: str) -> bool:
        if self._now.kind != "sign" or self._now.text != text:
            return False
        self._next()
        return True

    def _needs(self, text: str) -> None:
        if not self._takes(text):
            raise self._unexpected(text)

    def _deeper(self, offset: int) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ExpressionError(f"is nested more than {DEPTH_LIMIT} levels deep", "Make it simpler.", offset)

    def _unexpected(self, wanted: str = "") -> ExpressionError:
        found = "the end" if self._now.kind == "end" else shortened(self._now.text)
        fact = f"{found} stands where {wanted} belongs" if wanted else f"{found} is one too many"
        return ExpressionError(fact, "Write comparisons with and, or, not between them.", self._now.offset)


def _part(whole: Any, name: str | int, path: str, offset: int) -> Any:
    """One step along a path; a name asked of a list is asked of each of its entries."""
    if isinstance(whole, Mapping) and isinstance(name, str):
        if name in whole:
            return whole[name]
        step = did_you_mean(name, map(str, whole)) if whole else "It is empty."
        raise ExpressionError(f"{path} has no {quoted(name)}", step, offset)
    if isinstance(whole, list) and isinstance(name, int):
        if -len(whole) <= name < len(whole):
            return whole[name]
        raise ExpressionError(f"{path} has {len(whole)} entries, no [{name}]", "They are counted from 0.", offset)
    if isinstance(whole, list):
        return [_part(each, name, f"{path}[{index}]", offset) for index, each in enumerate(whole)]
    raise ExpressionError(f"{path} is {_kind(whole)}, which has no {quoted(name)}", "", offset)


def _same(left: Any, right: Any) -> bool:
    """Whether two values of JSON are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(isinstance(left, bool) is isinstance(right, bool) and left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = ((str, "a text"), (int | float, "a number"), (Mapping, "a mapping"), (Sequence, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "nothing")


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _path_text(path: Sequence[str | int]) -> str:
    found = str(path[0])
    for name in path[1:]:
        plain = isinstance(name, str) and name.replace("-", "_").isidentifier()
        found += f".{name}" if plain else f"[{name!r}]"
    return found
