"""The plan of a build: which jobs there are, what each depends on, where each result goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from clx.course.names import job_label
from clx.jobtypes.registry import JOB_TYPES


class OutputPath(NamedTuple):
    """One path of the output tree: index of the target, POSIX path below it, the variant it belongs to."""

    target: int
    path: str
    variant: str

    @property
    def is_public(self) -> bool:
        """Whether students get it."""
        return "/speaker/" not in self.variant

    @property
    def is_slides(self) -> bool:
        """Whether a page that goes there is shown as slides at once."""
        return self.variant.endswith("/slides")


class MadeFrom(NamedTuple):
    """An input of a job that another job makes: where it is laid out, that job's key, and what it calls the file."""

    path: str
    key: str
    output: str


class PlannedJob(msgspec.Struct):
    """A job the course needs, whether or not its result is known already.

    Attributes:
        type: job type.
        source: the file it converts, below the course root.
        task: what of it, e.g. ``execute de``; empty for diagrams.
        key: digest of everything its result depends on.
        payload: what the worker gets, without its files.
        files: its input closure: path and digest.
        tools: the converter's fingerprint.
        places: where its outputs go; for diagrams the place of the first picture.
        made_from: what it gets of other jobs.
        made: path and digest of those, once they are known.
    """

    type: str
    source: str
    task: str
    key: str
    payload: dict[str, Any]
    files: list[tuple[str, str]]
    tools: Mapping[str, str]
    places: dict[str, list[OutputPath]] = {}
    made_from: tuple[MadeFrom, ...] = ()
    made: list[tuple[str, str]] = []

    @property
    def label(self) -> str:
        """What a person calls it."""
        return job_label(self.source, self.task)

    @property
    def is_diagram(self) -> bool:
        """Whether it makes pictures, of which there may be more than are known beforehand."""
        return bool(JOB_TYPES[self.type].sources)

    @property
    def priority(self) -> int:
        """Diagrams before the pages that show them, long work before short."""
        return JOB_TYPES[self.type].priority

    def places_of(self, name: str) -> list[OutputPath]:
        """Where the output *name* goes; further pages of a diagram are called ``<stem>-2.png``, …"""
        found = self.places.get(name)
        if found is not None:
            return found
        number, dot, extension = name.partition(".")
        first = self.places.get(f"1.{extension}", ()) if number.isdigit() else ()
        cut = len(dot + extension)
        return [OutputPath(target, f"{path[:-cut]}-{number}.{extension}", variant) for target, path, variant in first]


class StaticFile(msgspec.Struct):
    """A file that is copied as it is."""

    source: str
    digest: str
    places: list[OutputPath]


class OutlineDeck(NamedTuple):
    """A deck in the order of the course: index of its section, place in it, source, and titles by language."""

    section: int
    number: int
    source: str
    titles: Mapping[str, str]


class Plan(msgspec.Struct):
    """All a build does.

    Attributes:
        jobs: in the order of the course.
        copies: files copied as they are.
        warnings: what the author should know.
        notes: what is not wrong but may surprise.
        places: every output path known beforehand, with the source and content that has it.
        hidden: by deck, what tells of its hidden cells.
        names: what pages show beside their deck's text.
        outline: the decks as an index lists them.
        pointers: files that are not there, only what says where Git LFS keeps them.
        told_links: decks and what they link to, relative to their pages, of which *warnings* tell already.
    """

    jobs: list[PlannedJob] = []
    copies: list[StaticFile] = []
    warnings: list[str] = []
    notes: list[str] = []
    places: dict[tuple[int, str], tuple[str, str]] = {}
    decks: int = 0
    hidden: dict[str, list[Any]] = {}
    names: list[str] = []
    outline: list[OutlineDeck] = []
    pointers: list[str] = []
    told_links: set[tuple[str, str]] = set()

    @property
    def hides_anything(self) -> bool:
        """Whether any deck has a hidden cell."""
        return any(self.hidden.values())


def is_near(source: str, deck: str) -> bool:
    """Whether a file that is copied lies beside a deck, or outside of all topics."""
    return source.startswith(f"{deck.rpartition('/')[0]}/") or not source.startswith("slides/")
