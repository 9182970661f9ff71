"""What there is of each deck in the output: the lines of an index."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from clx.course.build_state import PublishedFile
from clx.course.names import safe_directory, safe_name
from clx.course.pages.places import TASK
from clx.course.plan import OutlineDeck
from clx.course.spec import FORMATS, CourseSpec

_DECK_FILE = re.compile(r"\d\d+ ")
_EXTENSIONS = {"html": ".html", "slides": ".html", "notebook": ".ipynb", "pdf": ".pdf", "slides-pdf": ".pdf"}
_SAFE = "/()!,'~+@="
_QUOTED_BY_BLANKS = re.compile(rf"[A-Za-z0-9_.\-{re.escape(_SAFE)} ]*")
"""Paths of which only blanks are written in another way: nearly all, and ``quote`` takes ten times as long."""
_DEPTH = 5
"""Directories of a target's files above those of sections: language, course, slides, format, kind."""

Variants = Mapping[tuple[str, str], Mapping[str, PublishedFile]]
"""The files of one deck in one target: language and kind → format → file."""


class Entry(msgspec.Struct, frozen=True):
    """One deck in one language.

    Attributes:
        section: its index.
        number: its place in the section.
        state: ``failed`` or ``stale`` where the last build could not make all of it, else empty.
    """

    section: int
    number: int
    source: str
    title: str
    files: Mapping[str, PublishedFile]
    state: str = ""

    @property
    def label(self) -> str:
        """Number and title."""
        return f"{self.number:02d} {self.title}"


class Published:
    """What the owner of a course has in its targets.

    Args:
        owned: by directory of the target and path.
        unmade: source and task of jobs that failed or did not run.
    """

    def __init__(
        self,
        spec: CourseSpec,
        outline: Iterable[OutlineDeck],
        owned: Mapping[str, Mapping[str, PublishedFile]],
        unmade: Collection[tuple[str, str]],
    ) -> None:
        self._spec = spec
        self._outline = list(outline)
        self._unmade = set(unmade)
        self._files: dict[tuple[str, str, str, str], list[PublishedFile]] = {}
        self._made: dict[tuple[str, str, str], list[Entry]] = {}
        self._whole: dict[tuple[str, str], PublishedFile] = {}
        for target, files in owned.items():
            for row in files.values():
                self._add(target, row)

    def _add(self, target: str, row: PublishedFile) -> None:
        parts = row.path.split("/")
        if row.task not in ("", TASK) and len(parts) == _DEPTH + 1:
            self._whole[target, row.slice] = row
        if not row.task or row.task == TASK or len(parts) < _DEPTH + 2 or not _DECK_FILE.match(parts[-1]):
            return
        format_ = row.slice.rpartition("/")[2]
        if parts[-1].endswith(_EXTENSIONS.get(format_, "")):
            self._files.setdefault((target, row.slice, parts[_DEPTH], row.source), []).append(row)

    def entries(self, target: str, language: str, kind: str) -> list[Entry]:
        """The decks of the course, each with the files that it has in one language and kind of a target."""
        asked = (target, language, kind)
        if asked not in self._made:
            self._made[asked] = self._make(*asked)
        return self._made[asked]

    def whole(self, target: str, language: str, kind: str) -> dict[str, PublishedFile]:
        """Files that hold all decks, by format."""
        found = {format_: self._whole.get((target, f"{language}/{kind}/{format_}")) for format_ in FORMATS}
        return {format_: row for format_, row in found.items() if row is not None}

    def _make(self, target: str, language: str, kind: str) -> list[Entry]:
        found = []
        sections = [safe_directory(section.name.in_language(language)) for section in self._spec.sections]
        slices = [(format_, f"{language}/{kind}/{format_}") for format_ in FORMATS]
        for deck in self._outline:
            title = deck.titles.get(language) or PurePosixPath(deck.source).stem
            stem = f"{deck.number:02d} {safe_name(title)}"
            files = {}
            for format_, slice_ in slices:
                rows = self._files.get((target, slice_, sections[deck.section], deck.source))
                if rows:
                    files[format_] = _best(rows, stem)
            found.append(
                Entry(deck.section, deck.number, deck.source, title, files, self._state(deck, language, kind, files))
            )
        return found

    def _state(self, deck: OutlineDeck, language: str, kind: str, files: Mapping[str, PublishedFile]) -> str:
        tasks = ["", f"render {language}", *([f"execute {language}"] if kind != "code-along" else [])]
        if not any((deck.source, task) in self._unmade for task in tasks):
            return ""
        return "stale" if "html" in files else "failed"


def _best(rows: list[PublishedFile], stem: str) -> PublishedFile:
    """The file of a deck that was renamed, or is in the section twice: the one of its present name if it is there."""
    if len(rows) == 1:
        return rows[0]
    return min(rows, key=lambda row: (PurePosixPath(row.path).stem != stem, row.path))


def href(path: str, below: str = "") -> str:
    """A link to an output path from a page in the directory *below* of the same target."""
    quoted, here = quoted_path(path), f"{quoted_path(below)}/"
    if below and quoted.startswith(here):
        return quoted[len(here) :]
    return "../" * (below.count("/") + 1 if below else 0) + quoted


@functools.lru_cache(maxsize=1 << 16)
def quoted_path(path: str) -> str:
    """A path as links have it. The same one stands on several pages."""
    return path.replace(" ", "%20") if _QUOTED_BY_BLANKS.fullmatch(path) else quote(path, safe=_SAFE)
