"""Which cells of a deck appear in which kind, and how (the tag table of the design, section 5).

======================  ========  ===========  ==============  ==============
tag                     cell      code-along   completed       speaker
======================  ========  ===========  ==============  ==============
none                    markdown  kept         kept            kept
none                    code      emptied      kept            kept
``keep``                code      kept         kept            kept
``start``               code      kept         removed         removed
``alt``                 any       removed      kept            kept
``answer``              markdown  prefix only  prefix + text   prefix + text
``notes``               any       removed      removed         kept, set apart
``private``             any       removed      removed         kept
``del``                 any       removed      removed         removed
``slide``, ``subslide``  any       slide type   slide type      slide type
``fragment``            any       slide type   slide type      slide type
======================  ========  ===========  ==============  ==============

Removal wins over ``keep``. Tags of Jupyter and its book say what of a cell a page shows (``hide-input``,
``hide-output``, ``hide-cell`` and ``collapse`` fold it, ``remove-…`` leaves it out) and whether it runs
(``skip-execution``).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from clx.jobtypes.notebook.cells import Cell
from clx.jobtypes.notebook.labels import words_in
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, KNOWN_TAGS, CellKind

Audience = Literal["code-along", "completed", "speaker"]
Shown = Literal["shown", "folded", "absent"]
AUDIENCES: tuple[Audience, ...] = ("code-along", "completed", "speaker")

SECRET_TAGS = frozenset({"notes", "private"})

_BLOCK_START = re.compile(r"[-*+]\s|\d+[.)]\s|#|>|\||<|```|~~~|\$\$|!\[|\s")


@dataclass(frozen=True, slots=True)
class DeckCell:
    """A cell of one language's deck."""

    id: str
    """The same in all kinds. It says nothing about text that one of the students' kinds does not show."""
    number: int
    """1-based place in the deck of this language, before any kind removed cells."""
    kind: CellKind
    source: str
    tags: tuple[str, ...]
    line: int
    """Where the cell starts in the expanded deck, 1-based."""
    text_line: int = 0
    """Where its source starts there; 0: not known."""
    attachments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What is attached to the cell of a notebook: by name, by media type, in base64."""
    emptied: bool = False
    """Whether this is a code cell that students fill in."""

    def line_at(self, offset: int) -> int:
        """The line of the expanded deck in which a line of the source stands, which is counted from 0."""
        return self.text_line + offset if self.text_line else self.line

    @property
    def slide_type(self) -> Literal["slide", "subslide", "fragment", "notes", ""]:
        """What a slide show makes of the cell; empty: it continues what is above it."""
        if "notes" in self.tags:
            return "notes"
        if "slide" in self.tags:
            return "slide"
        if "subslide" in self.tags:
            return "subslide"
        return "fragment" if "fragment" in self.tags else ""

    @property
    def page_input(self) -> Shown:
        """Whether a page shows the source of the cell."""
        return _shown(self.tags, "input")

    @property
    def page_output(self) -> Shown:
        """Whether a page shows what the cell writes."""
        return _shown(self.tags, "output")

    @property
    def page_cell(self) -> Shown:
        """Whether a page shows the cell at all."""
        return "folded" if "collapse" in self.tags and "remove-cell" not in self.tags else _shown(self.tags, "cell")

    @property
    def may_fail(self) -> bool:
        """Whether an error of this cell is part of the lesson."""
        return "raises-exception" in self.tags

    @property
    def runs(self) -> bool:
        """Whether there is something to execute, and it is to be."""
        return self.kind == "code" and "skip-execution" not in self.tags and bool(self.source.strip())


def _shown(tags: Sequence[str], part: str) -> Shown:
    if f"remove-{part}" in tags:
        return "absent"
    return "folded" if f"hide-{part}" in tags else "shown"


def in_language(cells: Sequence[Cell], lang: str) -> list[DeckCell]:
    """The cells of one language, numbered and with ids, also those that some or all kinds remove."""
    own = cells_in(cells, lang)
    return [
        DeckCell(identity, number, cell.kind, cell.source, cell.tags, cell.line, cell.text_line, cell.attachments)
        for number, (cell, identity) in enumerate(zip(own, _identities(own), strict=True), start=1)
    ]


def cells_in(cells: Sequence[Cell], lang: str) -> list[Cell]:
    """The cells of one language."""
    return [cell for cell in cells if cell.lang in (None, lang)]


def variant(
    cells: Sequence[DeckCell], kind: Audience, lang: str, labels: Mapping[str, str] | None = None
) -> list[DeckCell]:
    """What one kind shows of a deck, in order; *labels*: the course's own words for pages in *lang*."""
    answer = f"*{words_in(lang, labels)['answer']}:*"
    return [_as_shown(cell, kind, answer) for cell in cells if _appears(cell, kind)]


def has_secret_code(cells: Iterable[DeckCell]) -> bool:
    """Whether code that only the speaker may see would leave traces in the state of a run."""
    return any(cell.runs and _appears(cell, "speaker") and SECRET_TAGS & set(cell.tags) for cell in cells)


def unknown_tags(cells: Iterable[Cell]) -> dict[str, int]:
    """The tags that the table does not know, each with the line of the expanded deck where it comes first."""
    found: dict[str, int] = {}
    for cell in cells:
        for tag in cell.tags:
            if tag not in KNOWN_TAGS and not tag.startswith("active-"):
                found.setdefault(tag, cell.line)
    return found


def _appears(cell: DeckCell, kind: Audience) -> bool:
    tags = set(cell.tags)
    if "del" in tags or (kind != "speaker" and tags & SECRET_TAGS):
        return False
    if kind == "code-along":
        return "alt" not in tags
    return not ("start" in tags and cell.kind == "code")


def _as_shown(cell: DeckCell, kind: Audience, answer: str) -> DeckCell:
    if cell.kind == "code" and kind == "code-along" and not {"keep", "start"} & set(cell.tags):
        return replace(cell, source="", emptied=True)
    if cell.kind == "markdown" and "answer" in cell.tags:
        return replace(cell, source=_answer(cell.source, kind, answer))
    return cell


def _answer(text: str, kind: Audience, prefix: str) -> str:
    text = text.removeprefix(prefix).lstrip()
    if kind == "code-along" or not text:
        return prefix
    return prefix + ("\n\n" if _BLOCK_START.match(text) else " ") + text


def _identities(cells: Sequence[Cell]) -> list[str]:
    """An id for each cell, from what every student may read.

    A cell that all kinds show as it was written, or that one of the students' kinds does not have at all,
    is named by a digest of its source, with a counter from the second cell of the same source on. A cell
    whose text code-along keeps back is named by its place: which one it is after the last cell that all
    students see. So nobody can test guesses of a solution against its id.
    """
    ranks = [_rank(cell) for cell in cells]
    found = [""] * len(cells)
    seen: Counter[str] = Counter()
    # what fewer people see is counted later: no id in a file depends on what the file does not show
    for i in sorted(range(len(cells)), key=ranks.__getitem__):
        if ranks[i] != _KEPT_BACK:
            digest = _digest(f"{cells[i].kind}\0{cells[i].source}")
            seen[digest] += 1
            found[i] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    last, number = "", 0
    for i, rank in enumerate(ranks):
        if rank == _SHOWN:
            last, number = found[i], 0
        elif rank == _KEPT_BACK:
            number += 1
            found[i] = _digest(f"{last}\0{number}")
    return found


_SHOWN, _STARTS, _KEPT_BACK, _LEFT_OUT, _HIDDEN = range(5)


def _rank(cell: Cell) -> int:
    """How many students see the text of a cell: all, those of code-along, those of completed, nobody."""
    tags = set(cell.tags)
    if tags & HIDDEN_TAGS:
        return _HIDDEN
    if "alt" in tags:
        return _LEFT_OUT
    if cell.kind == "code":
        return _STARTS if "start" in tags else _SHOWN if "keep" in tags else _KEPT_BACK
    return _KEPT_BACK if "answer" in tags and cell.kind == "markdown" else _SHOWN


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
