"""The last look before something is published: no public file may hold the text of a hidden cell.

Whichever way it got there: by a template, by the output of a cell, in a file that is copied. What counts
as the text of a cell is :mod:`clx.jobtypes.notebook.telltale`'s to say.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from clx.course.archives import ClosedArchiveError
from clx.course.file_text import windows, windows_of
from clx.course.report import PRIVATE_TEXT
from clx.jobtypes.notebook.figures import without_carried
from clx.jobtypes.notebook.telltale import Telltale, is_prose, letters_of, without_blanks
from clx.regular import read_regular

_TOGETHER = 40
"""Characters that lines which say little must have together to tell of a cell."""
_FEW = 60
"""Lines up to which looking for each is faster than splitting a file into words."""
_DATA = re.compile(rb"\bdata:(?:text/|application/|image/svg)[^,\"'<>]*;base64,([A-Za-z0-9+/]+)")
_RUN = re.compile(rb"[A-Za-z]{3,}|[0-9]{3,}")
_UNICODE = re.compile(rb"\\u[0-9a-fA-F]{4}")
_SHORT_ESCAPE = re.compile(rb"\\[bfnrt]")
_TAG = re.compile(r"<[^>]{0,9999}>")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_STEP = "Look for how it got there; what students may read must not stand in a hidden cell as well."


class _Line(msgspec.Struct, frozen=True):
    """One line that is looked for.

    Attributes:
        form: as it is compared.
        by_letters: whether only letters are.
        runs: letters and digits that stand in any file with it, however that is written.
    """

    form: str
    by_letters: bool
    runs: tuple[bytes, ...]


class _Secret(msgspec.Struct, frozen=True):
    deck: str
    telltale: Telltale
    alone: tuple[_Line, ...]
    together: tuple[_Line, ...]

    @property
    def lines(self) -> tuple[_Line, ...]:
        return self.alone + self.together


class Hit(msgspec.Struct, frozen=True):
    """A hidden cell whose text would be published, what hides it, and that as a job's error is stored."""

    deck: str
    tag: str
    error: dict[str, Any]


class PrivateText:
    """Knows the hidden cells of a course: by deck, as the plan has *found* them.

    *names* are those that pages show beside their deck's text.
    """

    def __init__(self, found: Mapping[str, list[Any]], names: Iterable[str] = ()) -> None:
        self._found = found
        self._names = letters_of(" ".join(names))
        self._secrets: dict[str, list[_Secret]] = {}

    @cached_property
    def _all(self) -> list[_Secret]:
        return [secret for deck in self._found for secret in self._of(deck)]

    def _of(self, deck: str) -> list[_Secret]:
        if deck not in self._secrets:
            told = msgspec.convert(self._found.get(deck, []), list[Telltale])
            self._secrets[deck] = [
                _Secret(deck, each, self._lines(each.alone), self._lines(each.together)) for each in told
            ]
        return self._secrets[deck]

    def _lines(self, texts: Iterable[str]) -> tuple[_Line, ...]:
        lines = (_line(text) for text in texts)
        return tuple(line for line in lines if not (line.by_letters and line.form in self._names))

    def may_be_in(self, shown: str, decks: Iterable[str]) -> Hit | None:
        """The first hidden cell of these *decks*: a file of them that nobody can look through may hold its text."""
        secret = next((secret for deck in decks for secret in self._of(deck)), None)
        return _hit(secret, shown) if secret is not None else None

    def look(
        self, path: Path, shown: str, decks: Iterable[str] | None = None, carried: Collection[str] = ()
    ) -> Hit | None:
        """The first hidden cell, of these *decks* or of any, whose text a file holds; people call the file *shown*.

        Args:
            carried: digests of libraries that may be in it, in which nobody's text is.
        """
        secrets = self._all if decks is None else [secret for deck in decks for secret in self._of(deck)]
        if not secrets:
            return None
        try:
            read = windows(BytesIO(without_carried(read_regular(path), carried))) if carried else windows_of(path)
            found = next((secret for window in read for secret in _held(window, secrets)), None)
        except (OSError, ClosedArchiveError):
            return None  # whoever publishes it will say why it cannot be read; an archive, what is known of it
        if found is None and path.suffix == ".html":
            return self.look_inside(path, shown, decks)
        return _hit(found, shown) if found is not None else None

    def look_inside(self, page: Path, shown: str, decks: Iterable[str] | None = None) -> Hit | None:
        """As :meth:`look`, in the files that cells have written and a page carries."""
        secrets = self._all if decks is None else [secret for deck in decks for secret in self._of(deck)]
        files = (base64.b64decode(match[1] + b"==") for match in _DATA.finditer(read_regular(page)))
        held = (secret for file in files for window in windows(BytesIO(file)) for secret in _held(window, secrets))
        found = next(held, None)
        return _hit(found, shown) if found is not None else None


def _line(text: str) -> _Line:
    by_letters = is_prose(text)
    # what stands behind a backslash is set apart in pages and written in other ways in notebooks
    plain = re.sub(r"\\.", " ", text).encode("ascii", "replace")
    runs = sorted(set(_RUN.findall(plain)), key=len, reverse=True)
    return _Line(letters_of(text) if by_letters else without_blanks(text), by_letters, tuple(runs))


def _suspects(data: bytes, secrets: list[_Secret]) -> Iterator[_Secret]:
    """The cells of which a line may be in *data*: all its words are."""
    is_escaped = bool(_UNICODE.search(data))
    if not is_escaped and sum(len(secret.lines) for secret in secrets) > _FEW:
        words = set(_RUN.findall(_SHORT_ESCAPE.sub(b" ", data)))
        secrets = [each for each in secrets if any(words.issuperset(line.runs[:1]) for line in each.lines)]
    for secret in secrets:
        if is_escaped or any(all(run in data for run in line.runs) for line in secret.lines):
            yield secret


def _held(window: bytes, secrets: list[_Secret]) -> Iterator[_Secret]:
    views: _Views | None = None
    for secret in _suspects(window, secrets):
        views = views or _Views(window)
        if _holds(views, secret):
            yield secret


def _holds(views: _Views, secret: _Secret) -> bool:
    for text in views.texts:
        if any(line.form in text(line.by_letters) for line in secret.alone):
            return True
        if sum(len(line.form) for line in secret.together if line.form in text(line.by_letters)) >= _TOGETHER:
            return True
    return False


class _Views:
    """A file's text in the ways in which it may be written: as it is, as HTML, as JSON."""

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        written = [text]
        if b"<" in data:
            written.append(html.unescape(_TAG.sub("", text)))
        if b"\\" in data:
            written.append(_ESCAPE.sub(_unescaped, text))
        self.texts = [_comparable(each) for each in written]


def _comparable(text: str) -> Callable[[bool], str]:
    forms: dict[bool, str] = {}

    def form(by_letters: bool) -> str:
        if by_letters not in forms:
            forms[by_letters] = letters_of(text) if by_letters else without_blanks(text)
        return forms[by_letters]

    return form


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return {"n": "\n", "t": "\t", "r": "\n"}.get(match[2], match[2])


def _hit(secret: _Secret, shown: str) -> Hit:
    told = secret.telltale
    error: dict[str, Any] = {
        "type": PRIVATE_TEXT,
        "message": f"the text of this {told.tag} cell would be published in {shown}",
        "next_step": _STEP,
        "cell": told.cell,
    }
    return Hit(secret.deck, told.tag, error | ({"source_line": told.line} if told.line else {}))
