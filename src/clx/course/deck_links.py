"""Where a deck's page finds what the deck names: other decks' pages, files outside of its topic, misspelt files.

A deck lies among its sources; its page lies in the directory of its section. What stands below the deck's
directory stands below the page's as well, so that only what lies elsewhere needs another path.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Mapping

import msgspec

from clx.course.closure import DeckInfo

OUTSIDE = "course-files"
"""Directory of a section for files outside of its topics: by their paths below the course root."""
_OTHER_ENDINGS = (".ipynb", ".md", ".html")
"""How a deck may be named besides its own extension."""


class DeckPage(msgspec.Struct, frozen=True):
    """Where the files of a deck go.

    Attributes:
        section: index of its section.
        folder: POSIX path below the section's directory; empty, or with a slash at its end.
        names: by language, their name without extension.
        html: whether there are pages.
    """

    section: int
    folder: str
    names: Mapping[str, str]
    html: bool


class DeckLinks:
    """The pages of all decks of a course.

    Args:
        sections: by language, the directory of each section.
    """

    def __init__(self, sections: Mapping[str, list[str]]) -> None:
        self._sections = sections
        self._pages: dict[str, list[DeckPage]] = {}
        self._by_stem: dict[str, str] = {}

    def add(self, deck: str, page: DeckPage) -> None:
        """Tell of a deck, once for each topic that names it."""
        self._pages.setdefault(deck, []).append(page)
        self._by_stem.setdefault(deck.rpartition(".")[0], deck)

    def is_deck(self, path: str) -> bool:
        """Whether a file is a deck of this course."""
        return path in self._pages

    def links(self, deck: str, page: DeckPage, info: DeckInfo, language: str) -> dict[str, dict[str, str]]:
        """By format, the files of other decks by the paths by which this one links to them."""
        named = [(path, other) for path in (*info.links, *info.absent) if (other := self._named(path)) is not None]
        if not named:  # as with most decks
            return {}
        folder = posixpath.dirname(deck)
        found: dict[str, dict[str, str]] = {"html": {}, "notebook": {}}
        for path, other in named:
            seat = self._seat(other, page.section)
            written = relative(path, folder)
            place = self._from(page, seat, language)
            found["notebook"][written] = f"{place}.ipynb"
            if seat.html:
                found["html"][written] = f"{place}.html"
        return {format_: dict(sorted(links.items())) for format_, links in found.items() if links}

    def _named(self, path: str) -> str | None:
        """The deck that a path names, also by the extension that it has elsewhere."""
        if path in self._pages:
            return path
        return self._by_stem.get(path[: path.rindex(".")]) if path.endswith(_OTHER_ENDINGS) else None

    def _seat(self, deck: str, section: int) -> DeckPage:
        pages = self._pages[deck]
        return next((page for page in pages if page.section == section), pages[0])

    def _from(self, page: DeckPage, other: DeckPage, language: str) -> str:
        if (other.section, other.folder) == (page.section, page.folder):
            return other.names[language]
        sections = self._sections[language]
        start = f"{sections[page.section]}/{page.folder}".rstrip("/")
        return relative(f"{sections[other.section]}/{other.folder}{other.names[language]}", start)


def relative(path: str, folder: str) -> str:
    """A normal path as it is written in a file of another directory; ``posixpath.relpath`` takes ten times as long."""
    if path.startswith(f"{folder}/"):
        return path[len(folder) + 1 :]
    to, start = path.split("/"), folder.split("/") if folder else []
    same = next((at for at, (one, other) in enumerate(zip(to, start, strict=False)) if one != other), None)
    same = min(len(to), len(start)) if same is None else same
    return "/".join([*[".."] * (len(start) - same), *to[same:]]) or "."


def path_outside(page: DeckPage, path: str) -> str:
    """Where a page finds a file that lies outside of its topic."""
    return relative(f"{OUTSIDE}/{path}", page.folder.rstrip("/"))


def near_file(path: str, there: Iterable[str]) -> tuple[str, bool] | None:
    """The only file of *there* that is called like *path* but for case and Unicode's forms.

    Returns:
        Its path, and whether it differs by Unicode's forms alone.
    """
    wanted = unicodedata.normalize("NFC", path)
    near = [each for each in there if unicodedata.normalize("NFC", each).casefold() == wanted.casefold()]
    if len(near) != 1:
        return None
    return near[0], unicodedata.normalize("NFC", near[0]) == wanted
