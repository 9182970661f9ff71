"""The payload of a notebook job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import ProgLang, deck_language
from clx.jobtypes.notebook.theme import ThemeFiles


class NotebookJob(msgspec.Struct, kw_only=True, frozen=True):
    """What to make of one deck in one language."""

    task: Literal["render", "execute"]
    """``render``: what needs no kernel; ``execute``: the pages with outputs."""
    source: str
    """The deck, relative to the course root."""
    topic: str
    """The deck's topic, relative to the course root."""
    lang: str
    prog_lang: str
    """Language of the course: what a Markdown deck's code is written in."""
    course: str
    """Name of the course in this language; so are the next two."""
    section: str
    number: int | None = None
    """Place of the deck in its section."""
    evaluate: bool = True
    """If false, ``render`` makes all pages and ``execute`` is not asked for."""
    index: bool = True
    """Whether the directory of the kind has an index, and the script that draws the way to other pages."""
    depth: int = 1
    """Directories from that of the kind down to that of the page: the section's, and those below it."""
    jinja: bool = True
    """If false, the deck is no template."""
    variables: dict[str, Any] = {}
    """The course's own Jinja variables."""
    pictures: dict[str, str] = {}
    """New paths of pictures that the deck names by another one; both are relative to the deck's directory."""
    awaited: list[str] = []
    """Pictures, relative to the deck's directory, that are not there before its cells have run."""
    links: dict[Literal["html", "notebook"], dict[str, str]] = {}
    """By format, the places of other decks' files by the paths of those decks; relative likewise."""
    labels: dict[str, str] = {}
    """The course's own words for pages in this language (:data:`clx.jobtypes.notebook.labels.LABELS`)."""
    author: str = ""
    """Who has written the course, as its pages say to programs."""
    theme: ThemeFiles = ThemeFiles()
    downloads: dict[str, list[tuple[str, str]]] = {}
    """By kind, the other formats beside its page, each with the directory that stands for ``Html`` there."""
    kernel: str | None = None
    """The Jupyter kernel that the course names for decks in its language."""
    drawn_by: str = ""
    """What draws diagrams among the deck's texts, if there are any: with another one they are drawn anew."""
    cell_timeout: float | None = None
    """Seconds one cell may take; ``None``: the setting ``notebook.cell_timeout``."""

    @property
    def deck(self) -> PurePosixPath:
        """The deck's path relative to the course root."""
        return PurePosixPath(self.source)

    @property
    def language(self) -> ProgLang:
        """What the deck's code is written in."""
        found = deck_language(self.deck.name, self.prog_lang)
        if self.kernel is None or found.name != self.prog_lang or found.kernel == self.kernel:
            return found
        return msgspec.structs.replace(found, kernel=self.kernel, kernel_display_name=self.kernel)


def read_job(payload: Mapping[str, Any]) -> NotebookJob:
    """The job a payload describes; an error where a key is missing or wrong, or the deck lies outside the course."""
    try:
        job = msgspec.convert(dict(payload), NotebookJob)
    except msgspec.ValidationError as error:
        raise ConversionError(f"not a notebook job: {error}", "Rebuild with one version of CLX.") from error
    if job.deck.is_absolute() or ".." in job.deck.parts:
        raise ConversionError(f"{job.source} lies outside the course")
    return job
