"""Boxes in Markdown: ``> [!NOTE]`` (GitHub), ``:::{note}`` or a fence (MyST), ``::: {.callout-note}`` (Quarto)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from clx.jobtypes.notebook.fences import Fence, closes_fence

_MEANING = {
    "note": "note info seealso abstract summary example todo admonition",
    "tip": "tip hint success check done question help faq",
    "important": "important",
    "warning": "warning attention",
    "caution": "caution danger error failure bug",
}
KINDS: Mapping[str, str] = {name: kind for kind, names in _MEANING.items() for name in names.split()}
"""What a box may be called → the kind that it looks like."""

_OTHERS = frozenset(
    {
        *("figure", "image", "math", "table", "list-table", "csv-table", "include", "literalinclude", "code-block"),
        *("dropdown", "sidebar", "margin", "aside", "tab-set", "tab-item", "grid", "card", "glossary", "epigraph"),
        *("exercise", "solution", "proof", "theorem", "eval-rst", "embed", "iframe"),
    }
)
"""Directives of MyST that no box is made of: their authors expect more than their source."""

_ALERT = re.compile(r"\[!(\w+)\]([-+]?)[ \t]*([^\n]*)(?:\n|\Z)")
_OPENING = re.compile(r"(?P<marks>:{3,}|`{3,}|~{3,})[ \t]*(?:\{(?P<braces>[^{}]*)\}|(?P<word>\w+))[ \t]*(?P<title>.*)")
_COLONS = re.compile(r"(:{3,})[ \t]*(.*)")
_OPTION = re.compile(r":([\w-]+):[ \t]*(.*)")
_ATTRIBUTE = re.compile(r"""(title|collapse)=(?:"([^"]*)"|'([^']*)'|(\S+))""")


@dataclass(frozen=True, slots=True)
class _Box:
    """What the first line of a box says."""

    kind: str
    title: str = ""
    """Markdown; empty: the word for its kind."""
    folds: bool = False
    is_open: bool = True
    """Whether one that folds shows its text at first."""

    def open(self, words: Mapping[str, str], line: int, level: int) -> list[Token]:
        """The tokens of the box's beginning and of its title."""
        tag, title_tag = ("details", "summary") if self.folds else ("div", "p")
        attributes: dict[str, str | int | float] = {"class": f"callout {self.kind}"}
        if not self.folds:
            attributes["role"] = "note"
        elif self.is_open:
            attributes["open"] = ""
        opening = Token("callout_open", tag, 1, attrs=attributes, block=True, level=level, map=[line, line + 1])
        text = self.title or words[self.kind]
        return [
            opening,
            Token("callout_title_open", title_tag, 1, attrs={"class": "title"}, block=True, level=level + 1),
            Token("inline", "", 0, content=text, children=[], level=level + 2, map=[line, line + 1]),
            Token("callout_title_close", title_tag, -1, block=True, level=level + 1),
        ]

    def close(self, level: int) -> Token:
        """The token of the box's end."""
        return Token("callout_close", "details" if self.folds else "div", -1, block=True, level=level)


def callouts_plugin(md: MarkdownIt) -> None:
    """Read boxes; the environment of a text has the ``words`` for titles that are not written.

    It gets ``unread``: directives that stay as they are written, though their authors expect more, with their line.
    """
    md.block.ruler.before("fence", "callout", _directive, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.core.ruler.after("block", "alerts", _alerts)


# -- > [!NOTE]


def _alerts(state: StateCore) -> None:
    tokens: list[Token] = []
    ends: list[tuple[int, _Box]] = []
    for index, token in enumerate(state.tokens):
        box = _alert(state.tokens, index) if token.type == "blockquote_open" else None
        if box:
            tokens += box.open(state.env["words"], (token.map or [0])[0], token.level)
            ends.append((token.level, box))
        elif token.type == "blockquote_close" and ends and ends[-1][0] == token.level:
            level, box = ends.pop()
            tokens.append(box.close(level))
        else:
            tokens.append(token)
    state.tokens = [token for token in tokens if not token.meta.get("is_emptied")]


def _alert(tokens: Sequence[Token], index: int) -> _Box | None:
    """The box that a quotation begins, whose first line is taken from its text; ``None``: it is a quotation."""
    paragraph = tokens[index + 1 : index + 4]
    if len(paragraph) < 3 or paragraph[0].type != "paragraph_open" or not (found := _ALERT.match(paragraph[1].content)):
        return None
    kind = KINDS.get(found[1].lower())
    if kind is None:
        return None
    paragraph[1].content = paragraph[1].content[found.end() :]
    if not paragraph[1].content.strip():
        for token in paragraph:
            token.meta["is_emptied"] = True
    return _Box(kind, found[3].strip(), folds=bool(found[2]), is_open=found[2] == "+")


# -- :::{note} and fences with {note}


def _directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start) or not (found := _OPENING.fullmatch(_line(state, start))):
        return False
    kind, is_myst = _kind_of(found)
    if kind is None:
        if (found["braces"] or "").strip() in _OTHERS and not silent:
            state.env.setdefault("unread", {}).setdefault(found["braces"].strip(), start)
        return False
    if silent:
        return True
    marks = found["marks"]
    closing = _closing(state, marks, start + 1, end)
    body, options = _options(state, start + 1, closing) if is_myst else (start + 1, {})
    attributes = {name: a or b or c for name, a, b, c in _ATTRIBUTE.findall(found["braces"] or "")}
    folds = "dropdown" in options.get("class", "") or "collapse" in attributes
    of_class = next((KINDS[name] for name in options.get("class", "").split() if name in KINDS), kind)
    is_open = attributes.get("collapse") == "false" or ("open" in options and options["open"] != "false")
    title = attributes.get("title") or found["title"].strip().rstrip(":").strip()
    _write(state, _Box(of_class, title, folds, is_open), (start, body, closing))
    state.line = min(closing + 1, end)
    return True


def _kind_of(found: re.Match[str]) -> tuple[str | None, bool]:
    """The kind of a box, ``None`` where it is none, and whether its first lines may be MyST's options."""
    if found["word"]:
        return (KINDS.get(found["word"].lower()) if found["marks"][0] == ":" else None), False
    words = found["braces"].split()
    name = words[0] if words else ""
    if name.startswith(".callout-"):
        return KINDS.get(name.removeprefix(".callout-")), False
    return (KINDS.get(name.lower()), True) if len(words) == 1 else (None, False)


def _write(state: StateBlock, box: _Box, lines: tuple[int, int, int]) -> None:
    """Push the box's tokens and those of what is in it; *lines*: its own, the first of its text, its last."""
    start, body, closing = lines
    parent, line_max, level = state.parentType, state.lineMax, state.level
    state.parentType, state.lineMax = "callout", closing
    opening = box.open(state.env["words"], start, level)
    state.tokens += opening
    first = len(state.tokens)
    state.level = level + 1
    state.md.block.tokenize(state, body, closing)
    inside = state.tokens[first : first + 3]
    if not box.title and len(inside) == 3 and inside[0].type == "heading_open":  # Quarto: a heading is the title
        opening[2].content = inside[1].content
        del state.tokens[first : first + 3]
    state.level = level
    state.tokens.append(box.close(level))
    state.parentType, state.lineMax = parent, line_max


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _closing(state: StateBlock, marks: str, start: int, end: int) -> int:
    """The line that ends a box, else where what surrounds it ends; boxes of colons may hold others as long."""
    depth, fence = 1, Fence()
    for number in range(start, end):
        text = _line(state, number)
        if text and state.sCount[number] < state.blkIndent:
            return number
        if marks[0] != ":":
            if closes_fence(text, marks):
                return number
        elif not fence.read(text) and (found := _COLONS.fullmatch(text)):
            if found[2]:
                depth += 1
            elif len(found[1]) >= len(marks) or depth > 1:
                depth -= 1
                if not depth:
                    return number
    return end


def _options(state: StateBlock, start: int, end: int) -> tuple[int, dict[str, str]]:
    """The first line of a directive's text, and the options before it (``:class: dropdown``)."""
    found: dict[str, str] = {}
    for number in range(start, end):
        option = _OPTION.fullmatch(_line(state, number))
        if option is None:
            return number, found
        found[option[1]] = option[2].strip()
    return end, found
