"""The format ``code``: a source file in percent text whose markers carry no metadata."""

from __future__ import annotations

from collections.abc import Sequence

from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.magics import comment_magics
from clx.jobtypes.notebook.variants import DeckCell

_MARKERS = {"code": "", "markdown": " [markdown]", "raw": " [raw]"}


def code_bytes(cells: Sequence[DeckCell], language: ProgLang) -> bytes:
    """The cells of one kind as a source file in UTF-8; magics and text are commented out."""
    blocks = ["\n".join([f"{language.comment} %%{_MARKERS[cell.kind]}", *_lines(cell, language)]) for cell in cells]
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "replace")


def _lines(cell: DeckCell, language: ProgLang) -> list[str]:
    if not cell.source:
        return []
    lines = cell.source.split("\n")
    if cell.kind == "code":
        return comment_magics(lines, language)
    return [f"{language.comment} {line}".rstrip() for line in lines]
