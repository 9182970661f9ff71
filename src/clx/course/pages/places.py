"""Where the pages of a course as a whole lie: beside the sections of each kind, and at the top of each target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from clx.course.layout import PAGE_FORMATS, Layout, Selection
from clx.course.plan import OutputPath
from clx.course.spec import CourseSpec

INDEX = "index.html"
"""The page that lists the decks; one more, at the top of a target, leads to those of its languages and kinds."""
NAVIGATION = "course.js"
"""What pages draw the way to their neighbours, and the search box, from."""
SEARCH = "search.js"
"""What is searched; loaded on first use."""
SITEMAP = "sitemap.html"
"""What teachers see of all targets."""
TASK = "index"
"""The task of these files, where decks have ``render de``."""


class Shelf(NamedTuple):
    """A directory with the pages of one language and kind, in one of the formats that are pages: of one target,
    which is counted."""

    target: int
    language: str
    kind: str
    format: str
    directory: str

    def place(self, name: str) -> OutputPath:
        """The output path of one of its files."""
        return OutputPath(self.target, f"{self.directory}/{name}", f"{self.language}/{self.kind}/{self.format}")

    def names(self) -> tuple[str, ...]:
        """What is written there beside the decks."""
        return (INDEX, NAVIGATION, SEARCH, *((SITEMAP,) if (self.kind, self.format) == ("speaker", "html") else ()))


class Shelves:
    """All of them, also those that a build was not asked for; a target that it was not asked for has none."""

    def __init__(self, spec: CourseSpec, selection: Selection) -> None:
        self.layout = Layout(spec, Selection(targets=selection.targets))
        # formats that no target names are there only when they are asked for
        variants = dict.fromkeys([*self.layout.variants, *Layout(spec, selection).variants])
        found = (Shelf(each.target, *each.variant, each.path) for each in variants)
        self.all = [shelf for shelf in found if shelf.format in PAGE_FORMATS]

    def top(self, target: int) -> OutputPath:
        """The page at the top of a target."""
        kinds = self.layout.targets[target].kinds
        return OutputPath(target, INDEX, "/speaker/" if kinds == ("speaker",) else "//")

    def targets(self) -> list[int]:
        """Those that have pages at all."""
        return sorted({shelf.target for shelf in self.all})

    def places(self) -> Iterator[OutputPath]:
        """Every file that there may be."""
        for shelf in self.all:
            yield from map(shelf.place, shelf.names())
        yield from map(self.top, self.targets())
