"""Which PDF files a course becomes: one of each page, and one of all pages of a kind, with contents.

Nothing of it is looked at where no target and nobody asks for the formats ``pdf`` and ``slides-pdf``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from clx.course.closure import DeckInfo
from clx.course.deck_links import DeckPage
from clx.course.layout import KIND_DIRECTORIES, PDF_FORMATS, Layout, VariantDirectory
from clx.course.names import safe_directory
from clx.course.plan import MadeFrom, OutputPath, PlannedJob, StaticFile
from clx.course.topics import CourseTopic
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings

PRINTED = "printed.pdf"
"""What the printer calls its file."""
_SHOWN = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".webp"),
        *(".css", ".js", ".otf", ".ttf", ".woff", ".woff2"),
    }
)
"""Endings of files that pages show."""


class PrintedDeck(NamedTuple):
    """A deck in one language, of which pages are printed.

    Attributes:
        page: where its files go.
        keys: of its jobs, by task.
    """

    place: CourseTopic
    deck: str
    info: DeckInfo
    language: str
    page: DeckPage
    evaluate: bool
    keys: dict[str, str]

    @property
    def title(self) -> str:
        """With its number, as its files are called."""
        return self.page.names[self.language]


class _Shown(NamedTuple):
    """A file that lies beside printed pages."""

    path: str
    """Below the directory of their section."""
    source: str
    digest: str
    made: tuple[str, str] | None = None
    """Key and output of the job that makes it, where one does."""


Job = Callable[..., str]
"""Plans a job; returns its key."""


class Prints:
    """Collects what is to be printed while a course is planned.

    Args:
        job: plans one job.
    """

    def __init__(self, layout: Layout, settings: Settings, job: Job) -> None:
        self._layout = layout
        self._settings = settings
        self._job = job
        self._variants = [each for each in layout.variants if each.variant.format in PDF_FORMATS]
        self._decks: list[PrintedDeck] = []
        self._shown: dict[tuple[int, str], list[_Shown]] = {}

    def tasks(self, language: str, *, evaluate: bool) -> set[str]:
        """The tasks whose pages are printed for a deck in a language."""
        if not self._variants:
            return set()
        return {_task_of(each, evaluate) for each in self._variants if each.variant.language == language}

    def add(self, deck: PrintedDeck) -> None:
        """Note a deck whose pages are printed."""
        self._decks.append(deck)

    def plan(
        self,
        jobs: Mapping[str, PlannedJob],
        copies: Mapping[str, StaticFile],
        places: dict[tuple[int, str], tuple[str, str]],
    ) -> None:
        """Plan the jobs. What *jobs* and *copies* would put beside PDF files goes into them instead."""
        if not self._variants:
            return
        self._take_shown(jobs, copies, places)
        for each in self._variants:
            decks = [deck for deck in self._decks if deck.language == each.variant.language]
            printed = [(deck, self._print(each, deck)) for deck in decks]
            if printed:
                self._join(each, printed)

    def _folder(self, each: VariantDirectory, deck: PrintedDeck) -> str:
        return f"{each.path}/{self._layout.sections[deck.language][deck.place.section]}"

    def _take_shown(
        self,
        jobs: Mapping[str, PlannedJob],
        copies: Mapping[str, StaticFile],
        places: dict[tuple[int, str], tuple[str, str]],
    ) -> None:
        folders = {(each.target, self._folder(each, deck)) for each in self._variants for deck in self._decks}
        found: list[tuple[list[OutputPath], str, str, tuple[str, str] | None]] = []
        for job in jobs.values():
            found += [(wanted, job.source, "", (job.key, name)) for name, wanted in job.places.items()]
        found += [(copy.places, copy.source, copy.digest, None) for copy in copies.values()]
        for wanted, source, digest, made in found:
            beside = [place for place in wanted if place.variant.rpartition("/")[2] in PDF_FORMATS]
            if not beside:
                continue
            wanted[:] = [place for place in wanted if place not in beside]
            for place in beside:
                places.pop((place.target, place.path), None)
                folder = place.path
                while folder and (place.target, folder) not in folders:
                    folder = posixpath.dirname(folder)
                if folder and posixpath.splitext(place.path)[1].lower() in _SHOWN:
                    path = place.path[len(folder) + 1 :]
                    self._shown.setdefault((place.target, folder), []).append(_Shown(path, source, digest, made))

    def _print(self, each: VariantDirectory, deck: PrintedDeck) -> str:
        """Plan the PDF file of one page; the job's key."""
        language, kind, format_ = each.variant
        folder = self._folder(each, deck)
        page = MadeFrom(f"{deck.page.folder}page.html", deck.keys[_task_of(each, deck.evaluate)], f"{kind}.html")
        own = [shown for shown in self._shown.get((each.target, folder), ()) if _may_show(deck, shown)]
        pictures = [MadeFrom(shown.path, *shown.made) for shown in own if shown.made]
        files = [(shown.source, shown.digest) for shown in own if not shown.made]
        options = {
            **self._options(deck.deck, "print", format_),
            "page": page.path,
            # where files of the course are laid out for the page
            "beside": sorted((shown.source, shown.path) for shown in own if not shown.made),
        }
        places = {PRINTED: [OutputPath(each.target, f"{folder}/{deck.page.folder}{deck.title}.pdf", str(each.variant))]}
        task = f"{format_} {kind} {language}"
        return self._job("pdf", deck.deck, task, options, files, places, (page, *sorted(pictures)))

    def _join(self, each: VariantDirectory, printed: list[tuple[PrintedDeck, str]]) -> None:
        """Plan the one file of a course."""
        language, kind, format_ = each.variant
        spec = self._layout.spec
        name = spec.name.in_language(language)
        parts: list[tuple[int, list[tuple[str, str]]]] = []
        for number, (deck, _key) in enumerate(printed, 1):
            if not parts or parts[-1][0] != deck.place.section:
                parts.append((deck.place.section, []))
            parts[-1][1].append((deck.title, f"{number}.pdf"))
        options = {
            **self._options(posixpath.basename(spec.path), "join", format_),
            "course": name,
            "kind": KIND_DIRECTORIES[kind],
            "lang": language,
            "parts": [
                {"name": spec.sections[section].name.in_language(language), "decks": decks} for section, decks in parts
            ],
        }
        places = {PRINTED: [OutputPath(each.target, f"{each.path}/{safe_directory(name)}.pdf", str(each.variant))]}
        made_from = tuple(MadeFrom(f"{number}.pdf", key, PRINTED) for number, (_, key) in enumerate(printed, 1))
        self._job("pdf", options["source"], f"{format_} {kind} {language}", options, [], places, made_from)

    def _options(self, source: str, task: str, format_: str) -> dict[str, Any]:
        view = "slides" if format_ == "slides-pdf" else "page"
        return {"source": source, "task": task, "view": view, **JOB_TYPES["pdf"].options(self._settings)}


def _task_of(each: VariantDirectory, evaluate: bool) -> str:
    return "execute" if evaluate and each.variant.kind != "code-along" else "render"


def _may_show(deck: PrintedDeck, shown: _Shown) -> bool:
    """Whether the deck's pages may show a file: it lies in its topic, or the deck names it."""
    named = (*deck.info.links, *deck.info.outside, *deck.info.outside_noted)
    return shown.source.startswith(f"{deck.place.topic.base}/") or shown.source in named
