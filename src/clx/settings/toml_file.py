"""A TOML file as nested tables, with the line of every key."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from clx.errors import SettingsError
from clx.regular import open_regular

SIZE_LIMIT = 1_000_000
"""Bytes; a settings file beyond this is a mistake (some other file under that name)."""
DEPTH_LIMIT = 8
"""Parts of a dotted key whose line is kept; settings have at most three."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' + r"'''.*?'{3,5}(?!')|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"\d{4}-\d\d-\d\d \d[^\s,\]}#]*|[^\s,\]}#]+")


class TomlFile(msgspec.Struct, frozen=True):
    """What a TOML file says and where."""

    path: Path
    values: dict[str, Any]
    lines: dict[tuple[str, ...], int]

    def where(self, key: tuple[str, ...]) -> str:
        """``path:line`` of *key*, or of the table it would be in."""
        for length in range(min(len(key), DEPTH_LIMIT), 0, -1):
            if key[:length] in self.lines:
                return f"{self.path}:{self.lines[key[:length]]}"
        return f"{self.path}:1"


def read_toml(path: Path, text: str | None = None) -> TomlFile:
    """Read *path*, or *text* as if it stood there.

    Raises:
        SettingsError: missing, unreadable, not UTF-8, too large or not TOML; with the line where one is known.
    """
    text = _text_of(path) if text is None else text
    found = TomlFile(path, _parse(path, text), key_lines(text))
    for key in _huge(found.values):
        fact = f"{found.where(key)}: {'.'.join(key)} is a number that takes more than 64 bits"
        raise SettingsError(fact, "Correct it and run again.")
    return found


def _text_of(path: Path) -> str:
    try:
        with open_regular(path) as file:
            content = file.read(SIZE_LIMIT + 1)
    except IsADirectoryError:
        raise SettingsError(f"{path}: is a directory, not a settings file", "Remove it or rename it.") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})", "Check its permissions.") from None
    if len(content) > SIZE_LIMIT:
        raise SettingsError(f"{path}: is larger than {SIZE_LIMIT} bytes", "Is this really a settings file?")
    return _decode(path, content)


def _huge(value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Keys of numbers that are larger than TOML has them: Python could not even print some."""
    if isinstance(value, int) and value.bit_length() > 64:
        yield key
    elif isinstance(value, dict) and len(key) < DEPTH_LIMIT:
        for name, each in value.items():
            yield from _huge(each, (*key, name))
    elif isinstance(value, list):
        for each in value:
            yield from _huge(each, key)


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: is not UTF-8 text", "Save the file as UTF-8.") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{path}:1: is nested too deeply", "Settings need at most three levels.") from None
    except ValueError as error:
        message, line = _located(str(error), text)
        raise SettingsError(f"{path}:{line}: is not TOML: {message}", _hint(text, line)) from None


def _located(message: str, text: str) -> tuple[str, int]:
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    if found:
        return message[: found.start()], int(found[1])
    return message.removesuffix(" (at end of document)"), text.rstrip("\n").count("\n") + 1


def _hint(text: str, line: int) -> str:
    written = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    if re.match(r"\s*[\w.-]+\s*=\s*[A-Za-z]", written):
        return 'Text needs quotes: key = "text". true and false are written small.'
    if re.match(r"\s*[\w.-]+\s*:", written):
        return "TOML writes key = value, not key: value."
    return "Correct that line; `clx config check` reads the files again."


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every table and key of a TOML document that ``tomllib`` accepts, where it is first mentioned.

    Lines end with ``\\n``. Keys of more than :data:`DEPTH_LIMIT` parts are noted up to that part.
    """
    return _KeyScanner(text).scan()


class _KeyScanner:
    """Walks over a document that is known to be valid and notes where keys begin.

    ``tomllib`` gives no positions. Because it has accepted the document, this scanner only has to
    tell keys, strings, brackets and comments apart.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[tuple[str, ...], int] = {}

    def scan(self) -> dict[tuple[str, ...], int]:
        table: tuple[str, ...] = ()
        while self._next():
            if self._next() == "[":
                start = self._at
                self._skip("[", "[")
                table = self._key()
                self._note(table, start)
                self._skip("]", "]")
            else:
                self._pair(table)
        return self._lines

    def _pair(self, table: tuple[str, ...]) -> None:
        self._next()
        start = self._at
        key = table + self._key()
        self._note(key, start)
        self._skip("=")
        self._value(key)

    def _value(self, key: tuple[str, ...]) -> None:
        match self._next():
            case "[":
                self._skip("[")
                while self._next() != "]":
                    self._value(key)
                    self._skip(",")
                self._skip("]")
            case "{":
                self._skip("{")
                while self._next() != "}":
                    self._pair(key)
                    self._skip(",")
                self._skip("}")
            case _:
                self._take(_STRING) or self._take(_BARE_VALUE)

    def _key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._next()
            parts.append(self._take(_BARE_KEY) or _unquoted(self._take(_STRING)))
            if self._next() != ".":
                return tuple(parts)
            self._skip(".")

    def _note(self, key: tuple[str, ...], start: int) -> None:
        line = bisect_left(self._ends, start) + 1
        for length in range(1, min(len(key), DEPTH_LIMIT) + 1):
            self._lines.setdefault(key[:length], line)

    def _next(self) -> str:
        """The next significant character, ``""`` at the end."""
        self._take(_BLANK)
        return self._text[self._at : self._at + 1]

    def _skip(self, *characters: str) -> None:
        for character in characters:
            if self._next() == character:
                self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""


def _unquoted(token: str) -> str:
    import tomllib

    return str(tomllib.loads(f"key = {token}")["key"])
