"""Jupyter magics in decks: commented out in the source (``# %matplotlib inline``), bare in notebooks.

The patterns follow jupytext's (``jupytext/magics.py``), so that decks mean what they mean there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clx.jobtypes.notebook.deck import ProgLang

_SHELL = "cat|cd|cp|mv|rm|rmdir|mkdir|copy|ddir|echo|ls|ldir|ren"
_SLASH_PATTERNS = {
    "rust": re.compile(r"^(?:// |//)*:[a-zA-Z]"),
    "csharp": re.compile(r"^(?:// |//)*#![a-zA-Z]"),
}
_SLASH_DEFAULT = re.compile(r"^\s*(?:// |//)*%{1,3}[a-zA-Z]")
_PYTHON = re.compile(
    r"^\s*(?:# |#)*%{1,3}[a-zA-Z]"
    r"|^\s*(?:(?:# |#)+\s*)?[?!]\s*[A-Za-z.~$\\/{}]"
    r"|^(?:# |#)*\s*[a-zA-Z_][a-zA-Z_$0-9]*\s*=\s*(?:%{1,3}|!)[a-zA-Z]"
    r"|^\s*(?:# )*\S*\?\s*$"
    rf"|^(?:# |#)*(?:{_SHELL})(?:$|\s$|\s[^=,])"
)
_PYTHON_HINT = re.compile(rf"[%?!]|\b(?:{_SHELL})\b")
_NOT_ESCAPED = re.compile(r"(?:#|//)\s*noescape")
_CONTINUED = re.compile(r"\\\s*$")


class Quotes:
    """Tells whether a line begins inside a string of several lines (as jupytext's ``StringParser``)."""

    def __init__(self, comment: str) -> None:
        self._comment = comment
        self._triple: str | None = None

    @property
    def open(self) -> bool:
        """Whether the next line begins inside a string."""
        return self._triple is not None

    def read(self, line: str) -> None:
        """Go on by one line."""
        if '"""' not in line and "'''" not in line:
            return  # strings of one kind of quote end with their line
        if self._triple is None and line.lstrip().startswith(self._comment):
            return
        self._scan(line)

    def _scan(self, line: str) -> None:
        single: str | None = None
        start = -1
        for i, char in enumerate(line):
            if single is None and self._triple is None and line.startswith(self._comment, i):
                break
            if char not in "\"'" or line[i - 1 : i] == "\\":
                continue
            if single == char:
                single = None
            elif single is not None:
                continue
            elif line[i - 2 : i + 1] == 3 * char and i >= start + 3:
                if self._triple is None or self._triple == char:
                    self._triple = None if self._triple == char else char
                    start = i
            elif self._triple is None:
                single = char


def is_magic(line: str, language: ProgLang) -> bool:
    """Whether a line of a code cell is a magic, commented out or not."""
    if language.name == "python":
        found = bool(_PYTHON_HINT.search(line) and _PYTHON.match(line))
    else:
        found = bool(_SLASH_PATTERNS.get(language.name, _SLASH_DEFAULT).match(line))
    return found and not _NOT_ESCAPED.search(line)


def uncomment_magics(lines: list[str], language: ProgLang) -> list[str]:
    """Code as a kernel runs it."""
    return [_without_comment(line, language.comment) if magic else line for line, magic in _marked(lines, language)]


def comment_magics(lines: list[str], language: ProgLang) -> list[str]:
    """Code as it stands in a source file: magics commented out."""
    commented = []
    for line, magic in _marked(lines, language):
        text = line.lstrip()
        commented.append(line[: len(line) - len(text)] + f"{language.comment} {text}" if magic else line)
    return commented


def _marked(lines: list[str], language: ProgLang) -> Iterator[tuple[str, bool]]:
    quotes = Quotes(language.comment)
    continued = False
    for line in lines:
        magic = not quotes.open and (continued or is_magic(line, language))
        continued = magic and language.name == "python" and bool(_CONTINUED.search(line))
        quotes.read(line)
        yield line, magic


def _without_comment(line: str, comment: str) -> str:
    text = line.lstrip()
    if not text.startswith(comment):
        return line
    return line[: len(line) - len(text)] + text[len(comment) :].removeprefix(" ")
