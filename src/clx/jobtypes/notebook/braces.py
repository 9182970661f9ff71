"""Braces in code and formulas that are none of Jinja's are kept from it.

C++ has ``a{{1, 2}}``, f-strings ``{{x}}``, TeX ``\\mathbf{{1}}``, and GitHub Actions, Vue, Go and Ansible have
templates of their own. In text all braces are Jinja's, as ever. In code and formulas
(:mod:`clx.jobtypes.notebook.code_places`) are

* ``{{ … }}`` that have a blank behind them, are an expression, and name something that the deck knows: a variable of
  the course or of CLX, and what ``set``, ``macro``, ``import`` and ``for`` before it made known;
* ``{% … %}`` that stand first in a line of a code cell, and elsewhere those that read something the deck knows and
  nothing that it does not know; what ends or divides such a block goes with its beginning. ``raw`` counts everywhere;
* ``{# … #}`` that stand first in a line of a code cell.

Line statements count everywhere. What is not Jinja's is marked so that Jinja sees no beginning in it.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from clx.jobtypes.notebook.code_places import Place, code_places

GUARD = "\ufdd1"
"""Stands in braces that Jinja shall not see; a character that no text has."""

_LONGEST = 10_000
"""Characters of one expression or statement in code."""
_NEAR, _SHORT, _MOST_SLIPS = 0.8, 3, 20
_MOST_ENDS = 20
"""How often what ends an expression may stand within it, and lines of a line statement."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_TIGHT = re.compile(r"\{\{([A-Za-z_]\w*)\}\}")
_BLANK = re.compile(r"[-+]?\s")
_HEADING_ID = re.compile(r"\{#[\w:.-]+(?:[ \t][^{}#\n]*)?\}")
"""What Pandoc and MyST write behind a heading: ``{#id .class}``."""
_KEYWORD = re.compile(r"[-+]?\s*([a-z]+)")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_ENDS = {
    "for": "{% endfor %}",
    "if": "{% endif %}",
    "elif": "{% endif %}",
    "macro": "{% endmacro %}",
    "call": "{% endcall %}",
    "filter": "{% endfilter %}",
    "with": "{% endwith %}",
    "autoescape": "{% endautoescape %}",
    "block": "{% endblock %}",
}
_LOADING = frozenset({"include", "import", "from"})
_KEYWORDS = frozenset({*_ENDS, *_LOADING, "set", "extends", "else", "raw", "endraw", "endset"}) | {
    f"end{name}" for name in _ENDS if name != "elif"
}
_SCOPED = frozenset({"for", "macro", "call", "with", "filter", "set", "block", "autoescape"})
"""Blocks whose names are gone behind them."""


@dataclass(frozen=True, slots=True)
class Deck:
    """What has to be known of a deck to tell its Jinja from its code.

    Attributes:
        comment: what starts a comment in its language.
        prefix: what starts a line statement.
        known: names that every template is given; ``None``: nobody knows them, as in what a deck includes.
        languages: what blocks of a Markdown deck that are cells are called.
    """

    comment: str
    prefix: str
    is_markdown: bool
    known: frozenset[str] | None
    languages: tuple[str, ...] = ()


class Slip(NamedTuple):
    """Braces in code that stay as they are, though what stands in them is nearly what would be Jinja's."""

    line: int
    name: str
    meant: str


def guarded(source: str, deck: Deck, exists: Callable[[str], bool], slips: list[Slip] | None = None) -> str:
    """The deck, with :data:`GUARD` in what is not Jinja's; lines keep their numbers.

    Args:
        source: line ends are ``\\n``.
        exists: whether there is a template of a name.
        slips: takes what may be slips.
    """
    if "{{" not in source and "{%" not in source and "{#" not in source:
        return source
    places = code_places(source, deck.comment, is_markdown=deck.is_markdown, languages=deck.languages)
    walk = _Walk(source, deck, places, exists)
    text = walk.text()
    if slips is not None:
        slips += walk.slips
    return text


def guarded_wholly(source: str, prefix: str) -> str:
    """The deck, with nothing in it that Jinja sees."""
    braces = re.sub(r"\{(?=[{%#])", "{" + GUARD, source)
    return re.sub(rf"(?m)^([ \t\v]*){re.escape(prefix)}", lambda m: f"{m[1]}{prefix[0]}{GUARD}{prefix[1:]}", braces)


def unguarded(text: str) -> str:
    """The text as its author wrote it."""
    return text.replace(GUARD, "") if GUARD in text else text


@dataclass(slots=True)
class _Block:
    """A block that is open."""

    keyword: str
    is_jinja: bool
    place: int
    names: set[str] = field(default_factory=set)


class _Walk:
    """Goes through a deck from one beginning of Jinja's to the next."""

    def __init__(self, source: str, deck: Deck, places: list[Place], exists: Callable[[str], bool]) -> None:
        self._source = source
        self._deck = deck
        self._places = places
        self._starts = [place.start for place in places]
        self._exists = exists
        self._names: set[str] = set()
        self._blocks: list[_Block] = []
        self.slips: list[Slip] = []
        self._looked_at: set[str] = set()
        self._ends: dict[str, int] = {}
        self._led = 0  # behind what stood first in a line
        self._begins = re.compile(rf"\{{[{{%#]|^[ \t\v]*{re.escape(deck.prefix)}", re.MULTILINE)
        self._leads = re.compile(rf"\s*(?:{re.escape(deck.comment)})?\s*")

    def text(self) -> str:
        pieces, position, at = [], 0, 0
        while found := self._begins.search(self._source, at):
            start, signs = found.start(), found[0]
            behind = self._behind(start, signs)
            place = self._place(start)
            if behind is not None and place is not None and self._leads_line(start, place):
                self._led = behind
            if behind is None:  # the author's own
                pieces += [self._source[position : start + 1], GUARD]
                position, at = start + 1, start + 1
            else:
                at = max(behind, start + 1)
        return "".join([*pieces, self._source[position:]])

    def _behind(self, start: int, signs: str) -> int | None:
        """Where what begins at an index ends; ``None`` when it is not Jinja's."""
        place = self._place(start)
        self._leave(place)
        if signs == "{{":
            return self._expression(start, place)
        if signs == "{#":
            return self._comment(start, place)
        return self._statement(start, signs, place)

    def _place(self, index: int) -> Place | None:
        found = bisect_right(self._starts, index) - 1
        return self._places[found] if found >= 0 and index < self._places[found].end else None

    def _leave(self, place: Place | None) -> None:
        """Blocks of code that are not Jinja's end with the code they stand in."""
        block = place.block if place else -1
        while self._blocks and not self._blocks[-1].is_jinja and self._blocks[-1].place != block:
            self._blocks.pop()

    def _leads_line(self, start: int, place: Place) -> bool:
        """Whether something stands first in a line of a code cell."""
        begin = max(self._source.rfind("\n", 0, start) + 1, self._led)
        return place.kind == "cell" and self._leads.fullmatch(self._source, begin, start) is not None

    # -- {# … #} and {{ … }} ------------------------------------------------------------------------

    def _comment(self, start: int, place: Place | None) -> int | None:
        if _HEADING_ID.match(self._source, start):
            return None
        if place is not None and place.kind != "head":
            is_jinja = _BLANK.match(self._source, start + 2) and self._leads_line(start, place)
            if not is_jinja:
                return None
        end = self._source.find("#}", start + 2)
        return end + 2 if end >= 0 else start + 2

    def _expression(self, start: int, place: Place | None) -> int | None:
        has_blank = _BLANK.match(self._source, start + 2) is not None
        if place is None or (place.kind == "head" and has_blank):
            text = self._whole(start, "}}", start + _LONGEST)
            return start + len(text) if text else len(self._source)  # Jinja will say what is wrong
        if not has_blank and (tight := _TIGHT.match(self._source, start)) and self._deck.known is not None:
            if self._knows_any([tight[1]]) and len(self.slips) < _MOST_SLIPS:
                self.slips.append(Slip(self._line_at(start), tight[1], f"{{{{ {tight[1]} }}}}"))
            return None
        limit = self._limit(start)
        closes = self._next("}}", start) if has_blank else -1
        if not start < closes < limit:
            return None
        names = _NAME.findall(self._source, start, closes)
        if self._deck.known is not None and not self._knows_any(names):
            self._note_slip(names, start)
            return None
        text = self._whole(start, "}}", limit)
        read = _read_in(text) if text else None
        return start + len(text) if text and read and self._knows_any(read) else None

    def _note_slip(self, names: list[str], start: int) -> None:
        for name in names[:3]:
            if len(name) > _SHORT and name not in self._looked_at and len(self.slips) < _MOST_SLIPS:
                self._looked_at.add(name)
                known = {
                    *(self._deck.known or ()),
                    *self._names,
                    *(each for block in self._blocks for each in block.names),
                }
                if near := get_close_matches(name, known, n=1, cutoff=_NEAR):
                    self.slips.append(Slip(self._line_at(start), name, near[0]))

    def _line_at(self, index: int) -> int:
        return self._source.count("\n", 0, index) + 1

    def _next(self, signs: str, start: int) -> int:
        """Where *signs* come next; many beginnings without an end are not looked behind for each of them."""
        known = self._ends.get(signs, -2)
        if known != -1 and known < start:
            known = self._ends[signs] = self._source.find(signs, start)
        return known

    def _whole(self, start: int, signs: str, limit: int) -> str | None:
        """What begins at an index, up to its own end; *signs* may stand in it, too."""
        end = self._next(signs, start)
        for _ in range(_MOST_ENDS):
            if not start < end < limit:
                return None
            if text := _lexed(self._source[start : end + len(signs)], self._deck.prefix):
                return text
            end = self._source.find(signs, end + 1)
        return None

    def _line(self, start: int) -> str | None:
        """A line statement, which goes on to the next line while a bracket is open."""
        end = start
        for _ in range(_MOST_ENDS):
            end = self._source.find("\n", end + 1)
            text = self._source[start:] + "\n" if end < 0 else self._source[start : end + 1]
            if (found := _lexed(text, self._deck.prefix)) or end < 0:
                return found
        return None

    def _limit(self, start: int) -> int:
        """How far something in code may reach: its lines go on as long as the block does."""
        place = self._place(start)
        return min(start + _LONGEST, len(self._source)) if place is None or place.kind != "shown" else place.end

    def _knows_any(self, names: Collection[str]) -> bool:
        if self._deck.known is None:
            return bool(names)
        return any(name in self._deck.known or name in self._names for name in names) or any(
            name in block.names for block in self._blocks for name in names
        )

    def _knows_all(self, names: Collection[str]) -> bool:
        return all(self._knows_any([name]) or name in _BUILT_IN for name in names)

    # -- {% … %} and line statements -----------------------------------------------------------------

    def _statement(self, start: int, signs: str, place: Place | None) -> int | None:
        is_line = signs != "{%"
        keyword = _keyword(self._source, start + len(signs))
        text = self._line(start) if is_line else self._whole(start, "%}", start + _LONGEST)
        if text is None:
            return None if place is not None and not is_line and place.kind != "head" else start + len(signs)
        if keyword == "raw":
            end = _END_RAW.search(self._source, start)
            return end.end() if end else start + len(text)
        read = None if keyword not in _KEYWORDS else _statement_of(text, is_line, self._deck.prefix, keyword)
        is_jinja = is_line or place is None or place.kind == "head" or self._is_jinja(start, place, keyword, read)
        self._follow(keyword, read, is_jinja=is_jinja, place=place)
        return start + len(text) if is_jinja else None

    def _is_jinja(self, start: int, place: Place, keyword: str, read: _Statement | None) -> bool:
        if keyword not in _KEYWORDS or not _BLANK.match(self._source, start + 2):
            return False
        if keyword in ("else", "elif") or keyword.startswith("end"):
            opened = self._opened_by(keyword)
            return opened.is_jinja if opened else self._leads_line(start, place)
        if self._leads_line(start, place):
            return True
        if read is None:
            return False
        if keyword in _LOADING:
            return bool(read.templates) and all(map(self._exists, read.templates))
        return keyword not in ("extends", "block") and self._knows_any(read.reads) and self._knows_all(read.reads)

    def _opened_by(self, keyword: str) -> _Block | None:
        """The block that a statement divides or ends."""
        if not self._blocks:
            return None
        last = self._blocks[-1]
        if keyword in ("else", "elif"):
            return last if last.keyword in ("if", "for") else None
        return last if keyword == f"end{last.keyword}" else None

    def _follow(self, keyword: str, read: _Statement | None, *, is_jinja: bool, place: Place | None) -> None:
        """Remember what is open, and which names are known from here on."""
        if keyword.startswith("end"):
            if self._opened_by(keyword):
                self._blocks.pop()
            return
        names = self._blocks_names()
        if is_jinja and read is not None:
            names |= read.outer
        if (keyword in _ENDS and keyword != "elif") or (keyword == "set" and read is not None and read.is_block):
            inner = set(read.inner) if read is not None and is_jinja else set[str]()
            self._blocks.append(_Block(keyword, is_jinja, place.block if place else -1, inner))

    def _blocks_names(self) -> set[str]:
        """Where names go that are set here: into the innermost block with names of its own."""
        for block in reversed(self._blocks):
            if block.is_jinja and block.keyword in _SCOPED:
                return block.names
        return self._names


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a statement says.

    Attributes:
        reads: names that it needs.
        outer: names that are known behind it.
        inner: names that are known in its block.
        templates: what it loads.
        is_block: whether it is a ``set`` with a block.
    """

    reads: frozenset[str]
    outer: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    templates: tuple[str, ...] = ()
    is_block: bool = False


def _keyword(source: str, start: int) -> str:
    found = _KEYWORD.match(source, start)
    return found[1] if found else ""


@functools.lru_cache(maxsize=4)
def _environment(prefix: str) -> Environment:
    return Environment(line_statement_prefix=prefix)  # noqa: S701  (nothing is rendered)


_BUILT_IN = frozenset(Environment().globals)  # noqa: S701


def _lexed(text: str, prefix: str) -> str | None:
    """What *text* begins with, up to its own end: an expression or a statement; ``None`` when it is none."""
    size = 0
    try:
        for _, kind, value in _environment(prefix).lex(text):
            size += len(value)
            if kind in ("variable_end", "block_end", "linestatement_end", "raw_begin"):
                return text[:size]
    except TemplateSyntaxError:
        return None
    return None


@functools.lru_cache(maxsize=256)
def _read_in(expression: str) -> frozenset[str] | None:
    """The names that an expression reads; ``None`` when it is none."""
    return _undeclared(expression)


def _undeclared(template: str) -> frozenset[str] | None:
    try:
        tree = _environment("\ufdd1\ufdd1").parse(template)
        return frozenset(meta.find_undeclared_variables(tree))
    except (TemplateSyntaxError, RecursionError, SyntaxError):
        return None


@functools.lru_cache(maxsize=256)
def _statement_of(text: str, is_line: bool, prefix: str, keyword: str) -> _Statement | None:
    """What a statement says; ``None`` where it is none, or only divides or ends a block."""
    if is_line:
        text = "{% " + text.lstrip().removeprefix(prefix).lstrip("+-").rstrip().rstrip(":").rstrip() + " %}"
    whole = ("{% if 0 %}" if keyword == "elif" else "") + text + _ENDS.get(keyword, "")
    is_block = False
    tree = _parsed(whole)
    if tree is None and keyword == "set":
        tree, is_block = _parsed(text + "{% endset %}"), True
    if tree is None:
        return None
    try:
        reads = frozenset(meta.find_undeclared_variables(tree))
    except TemplateSyntaxError:  # a filter or test that Jinja has not
        return None
    outer, inner = set[str](), set[str]()
    for node in tree.body:
        _bound(node, outer, inner)
    found = (node for each in _LOADED for node in tree.find_all(each))
    loaded = [node.template.value for node in found if isinstance(node.template, nodes.Const)]  # type: ignore[attr-defined]
    return _Statement(reads, frozenset(outer), frozenset(inner), tuple(map(str, loaded)), is_block)


_LOADED: tuple[type[nodes.Stmt], ...] = (nodes.Include, nodes.Import, nodes.FromImport)


def _parsed(text: str) -> nodes.Template | None:
    try:
        return _environment("\ufdd1\ufdd1").parse(text)
    except (TemplateSyntaxError, RecursionError, SyntaxError):
        return None


def _bound(node: nodes.Node, outer: set[str], inner: set[str]) -> None:
    """The names that a statement makes known behind it, and in its block."""
    if isinstance(node, nodes.Assign | nodes.AssignBlock):
        outer |= set(_stored(node.target))
    elif isinstance(node, nodes.Import):
        outer.add(node.target)
    elif isinstance(node, nodes.FromImport):
        outer |= {name if isinstance(name, str) else name[1] for name in node.names}
    elif isinstance(node, nodes.Macro):
        outer.add(node.name)
        inner |= {each.name for each in node.args} | {"caller", "varargs", "kwargs"}
    elif isinstance(node, nodes.CallBlock):
        inner |= {each.name for each in node.args}
    elif isinstance(node, nodes.For):
        inner |= {*_stored(node.target), "loop"}
    elif isinstance(node, nodes.With):
        inner |= {name for target in node.targets for name in _stored(target)}


def _stored(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        yield node.name
    for each in node.find_all(nodes.Name):
        yield each.name
