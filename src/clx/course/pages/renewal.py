"""The pages of a course as a whole after an edit that moved nothing: what is on them is known but for what decks say.

Pages of links depend on which files there are, not on their bytes. As long as those are the same, they stay as they
are, and of the scripts only what says something of the pages that changed is made anew: one deck costs one deck.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from clx import __version__
from clx.course.build_state import PublishedFile
from clx.course.pages import writing
from clx.course.pages.entries import href
from clx.course.pages.page_text import sections
from clx.course.pages.places import INDEX, NAVIGATION, SEARCH, TASK, Shelf, Shelves
from clx.course.plan import OutputPath, Plan
from clx.course.publish import OutputFile, Publisher
from clx.jobtypes.notebook import labels
from clx.jobtypes.notebook.theme import Theme
from clx.regular import read_regular

SHORT = 12
"""Characters of a digest that tells versions of one page apart."""
_encode = msgspec.json.encode
_MADE_WITH = ("labels.py", "page_assets.py", "slide_words.py", "theme.py")
"""Beside CLX's version and the room's own text, what the look of these pages comes from."""


def digest_of_links(
    publisher: Publisher,
    shelves: Shelves,
    plan: Plan,
    theme: Theme,
    facts: Iterable[PublishedFile],
    rest: Sequence[Any],
) -> str:
    """Digest of all that pages of links depend on.

    Args:
        rest: what the course says of itself, and what could not be made.
    """
    others = [sorted(publisher.paths_of_others(target, TASK)) for target in shelves.targets()]
    depends = [
        *(__version__, _look(), theme, [job.tools for job in plan.jobs[:1]], rest),
        *(plan.outline, shelves.all, others, publisher.targets, publisher.owner),
        # not their bytes: those are only in what is searched
        [fact[:5] for fact in facts if fact.task not in ("", TASK)],
    ]
    return sha256(_encode(depends, order="sorted")).hexdigest()


class Renewal:
    """Makes the scripts from those that are there, and leaves the pages of links."""

    def __init__(self, publisher: Publisher, shelves: Shelves, facts: Sequence[PublishedFile]) -> None:
        self._publisher = publisher
        self._shelves = shelves
        self._numbers = {target: number for number, target in enumerate(publisher.targets)}
        self._own = {
            (self._numbers[fact.target], fact.path): fact
            for fact in facts
            if fact.task == TASK and fact.target in self._numbers
        }
        self._facts = facts

    def is_possible(self, suffix: str, may_write: Callable[[OutputPath], bool]) -> bool:
        """Whether all these files are there as they were written when the course had the same files.

        Args:
            suffix: what the keys of all end with if so.
        """
        ending = f" {suffix} {len(self._own)}"
        places = {OutputPath(*path, fact.slice): fact for path, fact in self._own.items()}
        return bool(places) and all(
            fact.key.endswith(ending) and may_write(place) and self._publisher.is_current(place, fact.key)
            for place, fact in places.items()
        )

    def count(self) -> int:
        """How many files there are."""
        return len(self._own)

    def files(self, source: str, key: str) -> Iterator[tuple[OutputFile, bytes | None]]:
        """Every file with its bytes; None: they stay as they are.

        Raises:
            LookupError: what is there is not as this version writes it.
        """
        made: dict[tuple[int, str], bytes] = {}
        for shelf in self._shelves.all:
            if shelf.place(INDEX)[:2] in self._own:
                made |= self._scripts(shelf)
        for path, fact in self._own.items():
            data = made.get(path)
            digest = sha256(data).hexdigest() if data is not None else fact.digest
            file = OutputFile(OutputPath(*path, fact.slice), source, TASK, key, digest)
            yield file, data if digest != fact.digest else None

    def _scripts(self, shelf: Shelf) -> dict[tuple[int, str], bytes]:
        """Those of one shelf that have changed."""
        found = writing.read_pieces(self._bytes(shelf.place(SEARCH)))
        way = writing.read_navigation(self._bytes(shelf.place(NAVIGATION)))
        pages = self._pages(shelf)
        pieces, decks, changed = {}, [], False
        for deck in way["decks"]:
            section, link, label, says = deck
            page, known = pages[link], found.get(link)
            if known is not None and known[0] == page.digest[:SHORT]:
                pieces[link] = known
            else:
                changed = True
                text, says = _read(page)
                if text is not None:
                    pieces[link] = (page.digest[:SHORT], text)
            decks.append([section, link, label, says])
        if not changed:
            return {}
        return {
            shelf.place(SEARCH)[:2]: writing.search_script(pieces),
            shelf.place(NAVIGATION)[:2]: writing.navigation_of({**way, "decks": decks}),
        }

    def _bytes(self, place: OutputPath) -> bytes:
        fact = self._own[place[:2]]
        data = bytes_of(fact)
        if data is None:
            raise LookupError(fact.path)
        return data

    def _pages(self, shelf: Shelf) -> Mapping[str, PublishedFile]:
        """The files of a shelf by the links that lead to them from it."""
        directory, target = f"{shelf.directory}/", self._publisher.targets[shelf.target]
        variant = f"{shelf.language}/{shelf.kind}/{shelf.format}"
        return {
            href(fact.path, shelf.directory): fact
            for fact in self._facts
            if fact.slice == variant and fact.target == target and fact.path.startswith(directory)
        }


def _read(page: PublishedFile) -> tuple[msgspec.Raw | None, str]:
    """What a page says, and a digest of that."""
    data = bytes_of(page)
    found = sections(data.decode("utf-8", "replace")) if data is not None else None
    return (msgspec.Raw(_encode(found)) if found is not None else None), says_digest(found or [])


def says_digest(found: Sequence[Any]) -> str:
    """A digest of what a page says: its look may change without it."""
    return sha256(_encode(found)).hexdigest()[:SHORT]


def bytes_of(row: PublishedFile) -> bytes | None:
    """A file as it was written; None if it is another one now."""
    try:
        data = read_regular(Path(row.target, row.path))
    except OSError:
        return None
    return data if sha256(data).hexdigest() == row.digest else None


def _look() -> str:
    """Digest of what these pages take from those of decks."""
    digest = sha256()
    room = os.path.dirname(labels.__file__)  # noqa: PTH120
    names = [*_MADE_WITH, *(f"assets/{name}" for name in sorted(os.listdir(f"{room}/assets")))]  # noqa: PTH208
    for name in names:
        if name.endswith((".py", ".js", ".css")):
            digest.update(Path(room, name).read_bytes())
    return digest.hexdigest()
