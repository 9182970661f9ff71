"""The format ``code``: a source file in percent text whose markers carry no metadata."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Sequence

from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.magics import comment_magics
from clx.jobtypes.notebook.variants import DeckCell

_MAGIC = re.compile(r"%%(\S+)[ \t]*(.*)")
_LANGUAGES = frozenset(
    {"R", "bash", "sh", "script", "perl", "ruby", "javascript", "js", "html", "HTML", "svg", "SVG", "latex", "markdown"}
    | {"sql", "cython", "julia", "coconut", "csharp", "fsharp", "go", "groovy", "java", "powershell", "rust", "scala"}
    | {"tcl", "typescript", "xonsh", "robotframework", "octave", "lua", "haskell", "matlab"}
)
"""Cell magics behind which stands no code of the deck's language; jupytext keeps them in the marker."""
_MARKERS = {"code": "", "markdown": " [markdown]", "raw": " [raw]"}


def code_bytes(cells: Sequence[DeckCell], language: ProgLang) -> bytes:
    """The cells of one kind as a source file in UTF-8; magics and text are commented out.

    A cell in another language (``%%bash``) is commented out as a whole, as jupytext writes it: the file stays valid.
    """
    blocks = ["\n".join([f"{language.comment} %%{_options(cell)}", *_lines(cell, language)]) for cell in cells]
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "replace")


def _other_language(cell: DeckCell) -> re.Match[str] | None:
    """The magic of a cell that is written in another language."""
    magic = _MAGIC.match(cell.source) if cell.kind == "code" else None
    return magic if magic and magic[1] in _LANGUAGES else None


def _options(cell: DeckCell) -> str:
    if (magic := _other_language(cell)) is None:
        return _MARKERS[cell.kind]
    arguments = f" magic_args={json.dumps(magic[2].strip())}" if magic[2].strip() else ""
    return f' language="{magic[1]}"{arguments}'


def _writes_text(cell: DeckCell, language: ProgLang) -> bool:
    """Whether the body behind a cell magic that may have code behind it (``%%writefile``) is no Python."""
    if language.name != "python" or not _MAGIC.match(cell.source):
        return False
    body = "\n".join(comment_magics(cell.source.split("\n"), language))
    with warnings.catch_warnings(action="ignore"):
        try:
            compile(body, "", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return True
    return False


def _lines(cell: DeckCell, language: ProgLang) -> list[str]:
    if not cell.source:
        return []
    lines = cell.source.split("\n")
    if _other_language(cell):
        lines = lines[1:]
    elif cell.kind == "code" and not _writes_text(cell, language):
        return comment_magics(lines, language)
    return [f"{language.comment} {line}".rstrip() for line in lines]
