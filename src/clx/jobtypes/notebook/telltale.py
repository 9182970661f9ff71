"""What would tell that the text of a hidden cell is in a file.

Not every line of a private cell is a secret: ``import numpy as np`` or ``plt.show()`` stand in public files
too. A line is looked for

- when it holds a text or a number of its own (``password = "Zebra"``, ``PIN: 48213``) and has at least ten
  characters besides blanks (prose: eight letters), or when it is a sentence of three words and twenty letters;
- together with others of its cell when it is shorter or more common: code from sixteen characters, prose from
  eight letters. The cell is found when such lines with forty characters in all are.

Imports are never looked for, nor what the deck says in a public cell as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from clx.jobtypes.notebook.cells import Cell
from clx.jobtypes.notebook.hidden import is_hidden
from clx.jobtypes.notebook.markers import HIDDEN_TAGS

_LITERAL = re.compile(r"""["'“„]([^"'\\“”„{}/.%<>]{4,}[!?.]?)["'”]|(?<![\w.])\d{4,}(?![\w.])|\d+\.\d{4,}""")
_COMMON_LITERALS = frozenset({"__main__", "utf-8", "utf8", "ascii", "Hello, world!", "Hello, World!", "Hello World!"})
_IMPORT = re.compile(r"(?:import|from|using|package|use|include|#\s*include)\b")
_OUT_OF_PROSE = re.compile(r"\$[^$\n]{0,999}\$|!?\]\([^)\n]{0,999}\)|!\[|<[^>\n]{0,999}>")
"""Formulas, targets of links and HTML: they look different in pages."""
_WORD = re.compile(r"\w{2,}")
_LEAST_CODE, _LEAST_LITERAL, _LEAST_PROSE, _LEAST_SENTENCE = 16, 10, 8, 20


class Telltale(msgspec.Struct, frozen=True, array_like=True):
    """What tells of one hidden cell.

    Attributes:
        line: where the cell stands in the deck; 0 where a macro wrote it.
        cell: its number in its language's deck.
        tag: the tag that hides it.
        alone: lines each of which tells of the cell.
        together: lines of which several do.
    """

    line: int
    cell: int
    tag: str
    alone: list[str]
    together: list[str]


def without_blanks(text: str) -> str:
    """*text* as lines are compared: blanks are no difference."""
    return "".join(text.split())


def letters_of(text: str) -> str:
    """*text* as prose is compared: marks of Markdown and punctuation are no difference."""
    return re.sub(r"[\W_]+", "", text)


def is_prose(line: str) -> bool:
    """Whether a line of :class:`Telltale` is compared by its letters."""
    return line.startswith(" ")


def telltales(cells: Sequence[Cell], comment: str) -> list[Telltale]:
    """What tells of each hidden cell among all *cells* of a deck; cells of which nothing does are left out.

    ``line`` is that of the expanded deck.
    """
    hidden = [(_number(cells, i), cell) for i, cell in enumerate(cells) if is_hidden(cell)]
    if not hidden:
        return []
    public = "\n".join(cell.source for cell in cells if not is_hidden(cell))
    code, prose = without_blanks(public), letters_of(public)
    found = []
    for number, cell in hidden:
        alone: dict[str, None] = {}
        together: dict[str, None] = {}
        for line in _lines(cell, comment):
            if (letters_of(line) in prose) if is_prose(line) else (without_blanks(line) in code):
                continue
            if _tells_alone(line):
                alone[line] = None
            elif _tells_with_others(line):
                together[line] = None
        if alone or together:
            tag = ", ".join(tag for tag in cell.tags if tag in HIDDEN_TAGS)
            found.append(Telltale(cell.line, number, tag, list(alone), list(together)))
    return found


def _number(cells: Sequence[Cell], index: int) -> int:
    """The number of a cell among those of its language; of the first language, where it is in all."""
    lang = cells[index].lang or next((cell.lang for cell in cells if cell.lang), None)
    return sum(cell.lang in (None, lang) for cell in cells[: index + 1])


def _lines(cell: Cell, comment: str) -> list[str]:
    """The lines of a cell; prose, and comments in code, begin with a blank and have no marks."""
    found = []
    for line in cell.source.split("\n"):
        text = line.strip()
        if cell.kind == "code" and not text.startswith(comment):
            found.append(text)
        else:
            found += [f" {piece.strip()}" for piece in _OUT_OF_PROSE.split(text.removeprefix(comment))]
    return found


def _tells_alone(line: str) -> bool:
    literals = [match[1] for match in _LITERAL.finditer(line)]
    has_own = any(text is None or text not in _COMMON_LITERALS for text in literals)
    if is_prose(line):
        letters, words = len(letters_of(line)), len(_WORD.findall(line))
        is_sentence = words >= 3 and letters >= _LEAST_SENTENCE
        return is_sentence or (has_own and words >= 2 and letters >= _LEAST_PROSE)
    return has_own and len(without_blanks(line)) >= _LEAST_LITERAL and not _IMPORT.match(line)


def _tells_with_others(line: str) -> bool:
    if is_prose(line):
        return len(letters_of(line)) >= _LEAST_PROSE
    return len(without_blanks(line)) >= _LEAST_CODE and not _IMPORT.match(line)
