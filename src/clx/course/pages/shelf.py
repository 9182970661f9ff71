"""What stands on the pages of a course as a whole: of each shelf, at the top of a target, and in the sitemap."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup as SafeText
from markupsafe import escape

from clx.course.build_state import PublishedFile
from clx.course.pages import writing
from clx.course.pages.entries import Entry, Published, href, quoted_path
from clx.course.pages.page_text import Section, sections
from clx.course.pages.places import INDEX, NAVIGATION, SEARCH, SITEMAP, TASK, Shelf, Shelves
from clx.course.pages.renewal import SHORT, bytes_of, says_digest
from clx.course.pages.words import format_word, language_name, words
from clx.course.plan import OutlineDeck, OutputPath
from clx.course.publish import Publisher
from clx.course.spec import KINDS, CourseSpec
from clx.jobtypes.notebook.theme import Theme


class _Line(NamedTuple):
    """A deck on an index; an object, which templates ask faster than mappings."""

    number: str
    title: str
    href: str
    formats: SafeText
    state: str


class _Row(NamedTuple):
    """A deck in one language on a sitemap."""

    section: int
    label: str
    lang: str
    language: str
    state: str
    cells: list[SafeText]


class Maker:
    """Makes the files of all shelves on which pages are."""

    def __init__(
        self,
        spec: CourseSpec,
        outline: Sequence[OutlineDeck],
        publisher: Publisher,
        shelves: Shelves,
        owned: Mapping[str, Mapping[str, PublishedFile]],
        unmade: Collection[tuple[str, str]],
        theme: Theme,
    ) -> None:
        self._spec = spec
        self._theme = theme
        self._publisher = publisher
        self._shelves = shelves
        self._owned = owned
        self._published = Published(spec, outline, self._owned, unmade)
        every = {shelf: self._entries(shelf) for shelf in shelves.all}
        self._said = {each: words(each, spec.labels.get(each)) for each in spec.languages}
        self._filled = {
            shelf: found for shelf, found in every.items() if any(shelf.format in each.files for each in found)
        }

    def files(self) -> Iterator[tuple[OutputPath, bytes]]:
        """Each with its place."""
        for shelf, entries in self._filled.items():
            yield shelf.place(INDEX), self._index(shelf, entries)
            found = self._search(shelf, entries)
            yield shelf.place(SEARCH), writing.search_script(found)
            yield shelf.place(NAVIGATION), self._navigation(shelf, entries, found)
            if SITEMAP in shelf.names():
                yield shelf.place(SITEMAP), self._sitemap(shelf)
        for target in dict.fromkeys(shelf.target for shelf in self._filled):
            yield self._shelves.top(target), self._top(target)

    def _entries(self, shelf: Shelf) -> list[Entry]:
        target = self._publisher.targets[shelf.target]
        return self._published.entries(target, shelf.language, shelf.kind)

    def _words(self, language: str) -> dict[str, str]:
        return self._said[language]

    def _page(self, language: str, heading: str, **parts: Any) -> bytes:
        author = self._spec.author.in_language(language) if self._spec.author else ""
        return writing.index_page(language, heading, self._words(language), self._theme, author=author, **parts)

    def _kind(self, shelf: Shelf) -> str:
        return self._words(shelf.language)[shelf.kind.replace("-", "_")]

    def _edition(self, shelf: Shelf) -> str:
        """What a reader chooses a shelf by."""
        names = [language_name(shelf.language), self._kind(shelf)]
        return " · ".join([*names, *([self._words(shelf.language)["slides"]] if shelf.format == "slides" else [])])

    def _course(self, shelf: Shelf) -> str:
        return self._spec.name.in_language(shelf.language)

    # -- the index --------------------------------------------------------------------------------

    def _index(self, shelf: Shelf, entries: Sequence[Entry]) -> bytes:
        about = self._spec.description.in_language(shelf.language) if self._spec.description else ""
        return self._page(
            shelf.language,
            self._course(shelf),
            kind=self._kind(shelf),
            up=href(INDEX, shelf.directory),
            about=about,
            whole=self._whole(shelf),
            editions=self._editions(shelf),
            sections=list(self._sections(shelf, entries)),
            navigation=NAVIGATION,
            sitemap=SITEMAP if SITEMAP in shelf.names() else "",
        )

    def _whole(self, shelf: Shelf) -> list[dict[str, str]]:
        """Links to the files that hold the whole course."""
        files = self._published.whole(self._publisher.targets[shelf.target], shelf.language, shelf.kind)
        names = self._words(shelf.language)
        return [
            {"label": format_word(names, format_), "href": href(row.path, shelf.directory)}
            for format_, row in files.items()
        ]

    def _editions(self, shelf: Shelf) -> list[dict[str, str]]:
        """The shelves of the target, as links but for this one."""
        return [
            {
                "label": self._edition(each),
                "lang": each.language,
                "href": "" if each == shelf else href(f"{each.directory}/{INDEX}", shelf.directory),
            }
            for each in self._filled
            if each.target == shelf.target
        ]

    def _sections(self, shelf: Shelf, entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
        for number, section in enumerate(self._spec.sections):
            decks = [self._deck(shelf, entry) for entry in entries if entry.section == number]
            if decks:
                yield {"name": section.name.in_language(shelf.language), "decks": decks}

    def _deck(self, shelf: Shelf, entry: Entry) -> _Line:
        names = self._words(shelf.language)
        links = {format_: href(row.path, shelf.directory) for format_, row in entry.files.items()}
        others = [(format_word(names, format_), link) for format_, link in links.items() if format_ != shelf.format]
        state = entry.state or ("" if links else "missing")
        if shelf.kind != "speaker" and state != "missing":
            state = ""  # students are not told what went wrong
        formats = _anchors(others, entry.title)
        return _Line(f"{entry.number:02d}", entry.title, links.get(shelf.format, ""), formats, state)

    # -- the way and the search -------------------------------------------------------------------

    def _search(self, shelf: Shelf, entries: Sequence[Entry]) -> dict[str, tuple[str, list[Section]]]:
        known = self._known(shelf)
        found = {}
        for row in (entry.files[shelf.format] for entry in entries if shelf.format in entry.files):
            link, digest = href(row.path, shelf.directory), row.digest[:SHORT]
            before = known.get(link)
            if before is not None and before[0] == digest:
                found[link] = before
            elif (page := bytes_of(row)) is not None:
                found[link] = (digest, sections(page.decode("utf-8", "replace")))
        return found

    def _known(self, shelf: Shelf) -> dict[str, tuple[str, list[Section]]]:
        """What the search of the last build says, if it is there as it was written."""
        place = shelf.place(SEARCH)
        row = self._owned.get(self._publisher.targets[place.target], {}).get(place.path)
        data = bytes_of(row) if row is not None else None
        return writing.read_search_script(data) if data is not None else {}

    def _navigation(
        self, shelf: Shelf, entries: Sequence[Entry], found: Mapping[str, tuple[str, Sequence[Section]]]
    ) -> bytes:
        decks = []
        for entry in entries:
            if shelf.format in entry.files:
                link = href(entry.files[shelf.format].path, shelf.directory)
                _, says = found.get(link, ("", ()))
                decks.append([str(entry.section), link, entry.label, says_digest(says)])
        names = [section.name.in_language(shelf.language) for section in self._spec.sections]
        return writing.navigation_script(self._words(shelf.language), self._course(shelf), decks, names)

    # -- the top of a target, and the sitemap -----------------------------------------------------

    def _top(self, target: int) -> bytes:
        own = [shelf for shelf in self._filled if shelf.target == target]
        others = [path for path in self._publisher.paths_of_others(target, TASK) if path.endswith(f"/{INDEX}")]
        language = own[0].language
        name = " · ".join(dict.fromkeys(map(self._course, own)))  # as each language has it
        courses = [{"name": name, "decks": list(map(self._link, own))}]
        if others:
            courses = _by_directory([*(f"{shelf.directory}/{INDEX}" for shelf in own), *others])
        heading = self._words(language)["courses"] if others else name
        return self._page(language, heading, courses=courses)

    def _link(self, shelf: Shelf) -> dict[str, str]:
        return {"title": self._edition(shelf), "lang": shelf.language, "href": href(f"{shelf.directory}/{INDEX}")}

    def _sitemap(self, shelf: Shelf) -> bytes:
        """Rows are decks in their languages, columns what each target has of a kind."""
        columns = self._columns()
        names = self._words(shelf.language)
        here = f"{self._publisher.targets[shelf.target]}/{shelf.directory}"
        rows = list(self._rows(columns, here))
        heads = [
            f"{os.path.relpath(target, self._publisher.owner.output)}: {names[kind.replace('-', '_')]}"
            for target, kind in columns
        ]
        tables = []
        for number, section in enumerate(self._spec.sections):
            own = [row for row in rows if row.section == number]
            if own:
                tables.append({"name": section.name.in_language(shelf.language), "columns": heads, "rows": own})
        return self._page(
            shelf.language,
            self._words(shelf.language)["sitemap"],
            course=self._course(shelf),
            kind=self._kind(shelf),
            up=INDEX,
            tables=tables,
        )

    def _columns(self) -> list[tuple[str, str]]:
        """Each target with each kind of which anything was built there."""
        built = {
            (target, row.slice.split("/")[1])
            for target, rows in self._owned.items()
            for row in rows.values()
            if row.task not in ("", TASK)
        }
        return [(target, kind) for target in sorted(self._owned) for kind in KINDS if (target, kind) in built]

    def _rows(self, columns: Sequence[tuple[str, str]], here: str) -> Iterator[_Row]:
        ups = [quoted_path(os.path.relpath(target, here)) for target, _kind in columns]
        per_language = {
            language: zip(*(self._published.entries(target, language, kind) for target, kind in columns), strict=True)
            for language in self._spec.languages
        }
        for of_languages in zip(*per_language.values(), strict=True):
            for language, cells in zip(per_language, of_languages, strict=True):
                states = {cell.state for cell in cells} - {""}
                yield _Row(
                    cells[0].section,
                    cells[0].label,
                    language,
                    language_name(language),
                    min(states, default="" if any(cell.files for cell in cells) else "missing"),
                    [self._links(cell, up, language) for cell, up in zip(cells, ups, strict=True)],
                )

    def _links(self, entry: Entry, up: str, language: str) -> SafeText:
        """Links to the files of a deck, whose target lies *up* from the page."""
        names = self._words(language)
        files = entry.files.items()
        links = [(format_word(names, format_), f"{up}/{quoted_path(row.path)}") for format_, row in files]
        return _anchors(links, f"{entry.label}, {language_name(language)}") or SafeText("–")


def _anchors(links: Sequence[tuple[str, str]], what: str) -> SafeText:
    """Links to files of a deck, given their labels and addresses: a template would take thousands piece by piece."""
    of, found = escape(what), []
    for label, address in links:
        shown = escape(label)
        found.append(f'<a href="{escape(address)}" aria-label="{shown}: {of}">{shown}</a>')
    return SafeText("".join(found))  # noqa: S704 - escaped


def _by_directory(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Several courses in one target, called as their directories are, whichever of them is built last."""
    found: dict[str, list[dict[str, str]]] = {}
    for path in sorted(set(paths)):
        language, course, *_, kind, _name = path.split("/")
        link = {"title": f"{language_name(language.lower())} · {kind}", "lang": language.lower(), "href": href(path)}
        found.setdefault(course, []).append(link)
    return [{"name": course, "decks": links} for course, links in found.items()]
