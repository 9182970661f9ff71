"""After a build: what pages refer to must be there, in other files and as anchors.

No page is read for it: what a page refers to is found when it is made (:mod:`clx.jobtypes.notebook.page_refs`)
and remembered with it. A build that has changed nothing repeats what the last look told.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote

from clx.course.page_facts import Reference, is_on_the_web
from clx.course.plan import OutputPath, Plan
from clx.errors import ClxError
from clx.jobtypes.notebook.deck import is_deck
from clx.regular import read_regular
from clx.visible import visible_line

_NOT_ANCHORS = (":~:",)
"""How fragments begin that browsers read and pages need not have."""


class PagesKnown(Protocol):
    """What pages refer to."""

    def all(self) -> Iterator[tuple[str, OutputPath, Mapping[str, Any]]]:
        """Each page with its deck, its place, and what it refers to."""
        ...


class LinkCheck:
    """Looks at all references of all pages.

    Args:
        targets: absolute directory of each target.
        published: index of the target and path of every file that is there.
    """

    def __init__(
        self, root: Path, plan: Plan, pages: PagesKnown, targets: list[str], published: Collection[tuple[int, str]]
    ) -> None:
        self._root = root
        self._told = plan.told_links
        self._pointers = {PurePosixPath(path).stem for path in plan.pointers}  # told of already, as failures
        self._pages = pages
        self._targets = targets
        self._published = published if isinstance(published, frozenset) else set(published)
        self._is_there: dict[tuple[int, str], bool] = {}
        self._texts: dict[str, str] = {}

    def warnings(self, *, unless: Callable[[Reference], bool] = lambda _ref: False) -> list[str]:
        """One line for each reference of a deck that leads nowhere, in the order of the course.

        Args:
            unless: of which of those nothing is said.
        """
        found: dict[Reference, tuple[str, str]] = {}
        made = self._made()
        for deck, place, page in self._pages.all():
            folder = posixpath.dirname(place.path)
            for written in page["refs"]:
                ref = Reference(deck, written)
                if (
                    ref not in found
                    and ref not in made  # in pages whose code is not run it is not there yet
                    and not is_on_the_web(written)
                    and (told := self._told_of(place.target, folder, ref, page))
                ):
                    found[ref] = told
        return [
            self.located(Reference(ref.deck, written), why) for ref, (written, why) in found.items() if not unless(ref)
        ]

    def _told_of(self, target: int, folder: str, ref: Reference, page: Mapping[str, Any]) -> tuple[str, str] | None:
        """What the author wrote, and why it leads nowhere; None if it does not."""
        if not (why := self._problem(target, folder, ref, "")):
            return None
        forms = page.get("written", {}).get(ref.written, ())
        for written in sorted(forms, key=lambda form: form not in self._text(ref.deck)):
            if line_of(self._text(ref.deck), written):
                return written, self._problem(target, folder, ref, unquote(written.partition("#")[0]))
        return ref.written, why

    def _made(self) -> set[Reference]:
        """What cells write, in every page whose code is run."""
        run = [(deck, page) for deck, _, page in self._pages.all() if "made" in page]
        made = {Reference(deck, written) for deck, page in run for written in page["made"]}
        return made - {Reference(deck, written) for deck, page in run for written in page["refs"]} if made else made

    def _problem(self, target: int, folder: str, ref: Reference, shown: str) -> str:
        """Why a reference leads nowhere; empty if it does not.

        Args:
            shown: what the author wrote instead of its path; empty if it is that.
        """
        address, _, fragment = ref.written.partition("#")
        path = unquote(address.partition("?")[0])
        if not path:
            return f"the anchor #{unquote(fragment)} is not on the page" if self._is_anchor(fragment) else ""
        if (ref.deck, posixpath.normpath(path)) in self._told or PurePosixPath(path).stem in self._pointers:
            return ""
        full = posixpath.normpath(f"{folder}/{path}")
        if not self._exists(target, full):
            return f"{shown} is not published" if shown else f"{path} is not published{self._near(target, full, path)}"
        anchors = self._anchors.get((target, full))
        if anchors is None or not self._is_anchor(fragment) or {fragment, unquote(fragment)} & anchors:
            return ""
        return f"the page {shown or path} has no anchor #{unquote(fragment)}"

    @staticmethod
    def _is_anchor(fragment: str) -> bool:
        return bool(fragment) and not fragment.startswith(_NOT_ANCHORS)

    def _exists(self, target: int, path: str) -> bool:
        asked = (target, path)
        if asked not in self._is_there:
            is_there = asked in self._published or os.path.exists(f"{self._targets[target]}/{path}")  # noqa: PTH110
            self._is_there[asked] = is_there
        return self._is_there[asked]

    @cached_property
    def _anchors(self) -> dict[tuple[int, str], set[str]]:
        """The anchors of each page."""
        return {place[:2]: set(found["ids"]) for _, place, found in self._pages.all()}

    @cached_property
    def _names(self) -> dict[tuple[int, str], list[str]]:
        """The paths of published files as they are compared, regardless of case and Unicode's forms."""
        found: dict[tuple[int, str], list[str]] = {}
        for target, path in sorted(self._published):
            found.setdefault((target, _compared(path)), []).append(path)
        return found

    def _near(self, target: int, full: str, path: str) -> str:
        """What is there instead, as the end of a sentence."""
        for found in self._names.get((target, _compared(full)), ()):
            if unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", full):
                return "; a file of this name is there, spelled with other Unicode characters"
            return f"; there is {_shown(found, full, path)}"
        if is_deck(posixpath.basename(full)):
            return "; the course has no page of this deck"
        import difflib  # only where something is wrong

        folder, name = posixpath.split(full)
        near = difflib.get_close_matches(name, self._beside.get((target, folder), ()), n=1, cutoff=0.88)
        return f"; there is {_shown(posixpath.join(folder, near[0]), full, path)}" if near else ""

    @cached_property
    def _beside(self) -> dict[tuple[int, str], list[str]]:
        """The names of published files by their directory."""
        found: dict[tuple[int, str], list[str]] = {}
        for target, path in sorted(self._published):
            folder, name = posixpath.split(path)
            found.setdefault((target, folder), []).append(name)
        return found

    def located(self, ref: Reference, text: str) -> str:
        """A warning of a reference, with the line of its deck where that is to be had."""
        line = line_of(self._text(ref.deck), ref.written)
        return visible_line(f"{ref.deck}: line {line}: {text}" if line else f"{ref.deck}: {text}")

    def _text(self, deck: str) -> str:
        if deck not in self._texts:
            try:
                self._texts[deck] = read_regular(self._root / deck).decode("utf-8", "replace")
            except (OSError, ClxError):
                self._texts[deck] = ""
        return self._texts[deck]


def line_of(text: str, written: str) -> int | None:
    """The line of a deck's text in which a page's reference stands first; None if it does not, e.g. in a macro."""
    for form in dict.fromkeys((written, unquote(written), escape(written), written.partition("#")[0])):
        found = re.search(rf"(?<![\w/.\-]){re.escape(form)}(?![\w.\-])", text) if form else None
        if found:
            return text.count("\n", 0, found.start()) + 1
    return None


def _compared(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _shown(found: str, full: str, path: str) -> str:
    """A file that is there, as a reference to it would be written by who wrote *path* for *full*."""
    if posixpath.dirname(found) == posixpath.dirname(full):
        return posixpath.join(posixpath.dirname(path), posixpath.basename(found))
    return posixpath.basename(found) if "/" not in path else found[len(full) - len(path) :]
