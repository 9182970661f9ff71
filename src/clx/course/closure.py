"""What each source depends on: templates, files beside it, files it names, files it includes.

That closure is what a deck can see when it runs, and what its key covers. What was found out about a
deck is remembered, so that an unchanged deck is not expanded again just to learn its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import msgspec

from clx.course.mistakes import TOLD, Mistakes
from clx.course.source_files import FETCH, SourceFiles
from clx.course.spec import CourseSpec
from clx.course.topics import CourseTopic
from clx.course.withheld import is_named
from clx.errors import ConversionError, CourseError
from clx.jobtypes.notebook.deck import is_deck
from clx.jobtypes.notebook.reader import DeckReader
from clx.jobtypes.registry import JOB_TYPES, TYPE_OF_SOURCE
from clx.regular import read_regular
from clx.visible import visible_line

MAX_DECK = 20 << 20
"""Bytes a deck may have."""
_SOURCES = tuple(TYPE_OF_SOURCE)
_STATEMENT = re.compile(r"(?:\bj2\s+|\{%-?\s*)(?:include|import|from|extends)\b[^\n%]*")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")
_FORM = 7
"""Which form :class:`DeckInfo` has; what was found out in another one is not used."""
_MARKED_BY = 2
"""Which rules :func:`clx.course.private_cells.is_marked` has; what was found out by others is not used."""
_VARIANT_WORDS = (b"is_html", b"is_notebook")


class DeckInfo(msgspec.Struct, frozen=True):
    """What a deck's text says.

    Attributes:
        signature: digest of all but the files that went into this.
        reads: the deck and the templates it uses, each with its digest.
        titles: by language, where the deck says one.
        links: existing local files it links to, below the course root.
        missing: pictures it shows that do not exist in the course, below the course root.
        mentions: names of sibling decks and diagram sources that occur in it.
        absent: files that would be read in place of others if they existed.
        hidden: what tells of its hidden cells (:class:`clx.jobtypes.notebook.telltale.Telltale`).
        respelt: warnings of markers that were only understood.
        outside: files outside of its directory that it shows to students or links to for them.
        outside_noted: those that it does for the speaker only.
        draws: whether there may be diagrams among its texts.
        awaited: as ``missing``, but such as its code names: cells may write them.
    """

    signature: str
    reads: dict[str, str]
    absent: list[str]
    titles: dict[str, str]
    links: list[str]
    missing: list[str]
    mentions: list[str]
    hidden: list[Any] = []
    respelt: list[str] = []
    outside: list[str] = []
    outside_noted: list[str] = []
    draws: bool = False
    awaited: list[str] = []


class Closures:
    """Finds closures for one course.

    Args:
        known: what earlier builds learned of sources.
        tools: the fingerprint of the notebook converter.

    Attributes:
        learned: what later builds should know of sources.
    """

    def __init__(
        self,
        spec: CourseSpec,
        files: SourceFiles,
        known: Mapping[str, Any],
        tools: Mapping[str, str],
        reader: DeckReader,
    ) -> None:
        self._spec = spec
        self._reader = reader
        self._files = files
        self._known = known
        self.learned: dict[str, Any] = {}
        material = [_FORM, spec.languages, spec.variables, spec.prog_lang, tools]
        self._signature = sha256(msgspec.json.encode(material, order="deterministic")).hexdigest()[:16]
        self._infos: dict[str, DeckInfo] = {}
        self._matches: dict[str, list[str]] = {}
        self._diagrams: dict[str, Any] = {}

    # -- decks ------------------------------------------------------------------------------------

    def info(self, deck: str, *, jinja: bool = True) -> DeckInfo:
        """What *deck* says, from memory where nothing it depends on has changed.

        Args:
            jinja: whether it is a template.

        Raises:
            CourseError: it cannot be read, expanded or parsed, with its line.
        """
        if deck not in self._infos:
            self._infos[deck] = self._remembered(deck, jinja) or self._read(deck, jinja)
        return self._infos[deck]

    def _signed(self, jinja: bool) -> str:
        return self._signature if jinja else f"{self._signature} as it is"

    def _remembered(self, deck: str, jinja: bool) -> DeckInfo | None:
        known = self._known.get(deck)
        if known is None or known["signature"] != self._signed(jinja):
            return None
        digest_of = self._files.digest
        if any(digest_of(path) != digest for path, digest in known["reads"].items()):
            return None
        if any(digest_of(path) is not None for path in known["absent"]):
            return None
        return DeckInfo(**known)

    def _read(self, deck: str, jinja: bool) -> DeckInfo:
        self._require_whole(deck)
        size = (self._files.root / deck).stat().st_size
        if size > MAX_DECK:
            raise CourseError(
                f"{deck}: the deck has {size >> 20} MiB; {MAX_DECK >> 20} MiB are allowed.",
                "Move data into files beside it.",
            )
        problems: list[ConversionError] = []
        try:
            info = self._expand(deck, problems, jinja)
        except ConversionError as error:
            raise _all_of(deck, [*problems, error]) from error
        if problems:
            raise _all_of(deck, problems)
        self.learned[deck] = msgspec.to_builtins(info)
        return info

    def _expand(self, deck: str, problems: list[ConversionError], jinja: bool) -> DeckInfo:
        from clx.jobtypes.notebook.deck_text import Asked

        reads = {deck: self._digest(deck)}
        spec, shared = self._spec, None if self._files.bounds.shared is None else str(self._files.bounds.shared)
        variants, variables = self._variants(deck), dict(spec.variables)
        found = self._reader.read(
            Asked(str(self._files.root), deck, list(spec.languages), variants, variables, spec.prog_lang, shared, jinja)
        )
        problems += [ConversionError(each.fact, each.next_step, line=each.line) for each in found.problems]
        reads |= {path: self._digest(path) for path in found.templates}
        self._require_whole(*found.templates)
        existing, missing = self._sorted_out(deck, found.links)
        absent = sorted({*self._would_be_read(deck, reads), *missing})
        written = set(found.written)  # perhaps by cells: whether it is there is looked at once they have run
        shown = [path for path in missing if path.lower().endswith(_PICTURES)]
        awaited = [path for path in shown if path.rpartition("/")[2] in written]
        pictures = [path for path in shown if path not in awaited]
        outside = (self._outside(deck, found.shown, existing), self._outside(deck, found.noted, existing))
        told = (found.mentions, found.hidden, found.respelt, *outside, found.draws, awaited)
        return DeckInfo(self._signed(jinja), reads, absent, found.titles, existing, pictures, *told)

    def _require_whole(self, *paths: str) -> None:
        """See that files are what they should be, and not only say where that is kept."""
        for path in paths:
            if self._files.digest(path) is not None and path in self._files.pointers:
                raise CourseError(f"{path} is a Git LFS pointer, not the file itself.", FETCH)

    def _variants(self, deck: str) -> list[tuple[bool, bool]]:
        """Values of ``is_html`` and ``is_notebook`` that can make a difference."""
        html = (True, False)
        texts = [read_regular(self._files.root / path) for path in (deck, *self._all_templates(deck))]
        if any(word in text for text in texts for word in _VARIANT_WORDS):
            return [html, (False, True), (False, False)]
        return [html]

    def _all_templates(self, deck: str) -> list[str]:
        """Templates a deck could load: only looked at for whether they tell formats apart."""
        if b"j2" not in read_regular(self._files.root / deck):
            return []
        folder = self._files.root / "templates"
        return self._files.tree("templates") if folder.is_dir() and self._files.is_inside("templates") else []

    def _digest(self, path: str) -> str:
        found = self._files.digest(path)
        if found is None:
            raise CourseError(f"{path} is gone.", "It was there a moment ago; build again.")
        return found

    def _would_be_read(self, deck: str, reads: Mapping[str, str]) -> list[str]:
        """Templates that do not exist, but that expanding the deck would read if they did.

        The deck's directory is looked in first, then ``templates/``, then among CLX's own macros.
        """
        names = {"macros.j2"}
        for path in reads:
            names |= set(_names_in_statements(read_regular(self._files.root / path).decode("utf-8", "replace")))
        folder = deck.rpartition("/")[0]
        candidates = {place for name in names for place in (f"{folder}/{name}", f"templates/{name}")}
        return [path for path in candidates if ".." not in path and path not in reads]

    def _sorted_out(self, deck: str, links: Iterable[str]) -> tuple[list[str], list[str]]:
        """The linked files that exist inside the course root, and those that do not; paths below it."""
        folder = PurePosixPath(deck).parent
        existing, missing = set(), set()
        for path in filter(None, (_normalize(folder / link) for link in links)):
            if not (self._files.root / path).is_file():
                missing.add(path)
            elif self._files.is_inside(path):
                existing.add(path)
        return sorted(existing), sorted(missing)

    @staticmethod
    def _outside(deck: str, links: Iterable[str], existing: Iterable[str]) -> list[str]:
        """The existing files that links lead to and that do not lie below the deck's directory."""
        folder = PurePosixPath(deck).parent
        led_to = {_normalize(folder / link) for link in links}
        return [path for path in existing if path in led_to and not path.startswith(f"{folder}/")]

    def deck_closure(self, place: CourseTopic, info: DeckInfo) -> list[tuple[str, str]]:
        """All a deck can see when it runs.

        Other decks and diagram sources of its directory belong to it only when it names them: editing
        one deck must not run its neighbours again.

        Raises:
            CourseError: an ``inputs`` pattern matches nothing.
        """
        topic = place.topic
        members = self._files.tree(topic.path) if topic.is_directory else self._files.listing(topic.base)
        wanted = {path for path in members if self._belongs(path, info.mentions)}
        if not topic.is_directory:
            wanted |= set(info.links)
        wanted |= {path for pattern in place.ref.inputs for path in self._matching(place, pattern)}
        found = dict(info.reads)
        for path in wanted:
            digest = self._files.digest(path)
            if digest is not None:
                found[path] = digest
        return list(found.items())

    @staticmethod
    def _belongs(path: str, mentions: list[str]) -> bool:
        name = path.rpartition("/")[2]
        if is_deck(name) or name.lower().endswith(_SOURCES):
            return name in mentions or name.rpartition(".")[0] in mentions
        return True

    def _matching(self, place: CourseTopic, pattern: str) -> list[str]:
        if pattern not in self._matches:
            self._matches[pattern] = self._match(place, pattern)
        return self._matches[pattern]

    def _match(self, place: CourseTopic, pattern: str) -> list[str]:
        root, where = self._files.root, f"{self._spec.path}:{place.ref.line}:{place.ref.column}"
        try:
            found = [path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()]
        except (OSError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else "directories are nested too deep"
            raise CourseError(
                f'{where}: the input "{pattern}" cannot be looked for: {why}.', "Write a narrower pattern."
            ) from error
        inside = [path for path in found if self._files.is_inside(path)]
        if not inside:
            from clx.spelling import nearly  # only where something is wrong

            beside = (root / pattern).parent
            there = sorted(each.name for each in beside.iterdir()) if beside.is_dir() else []
            step = nearly(PurePosixPath(pattern).name, there) or "Correct the pattern."
            raise CourseError(f'{where}: the input "{pattern}" matches no file below {root}.', step)
        return inside

    def named_inputs(self, place: CourseTopic) -> set[str]:
        """The files that a topic's ``inputs`` name, not only reach by a pattern for everything.

        Raises:
            CourseError: a pattern matches nothing.
        """
        patterns = place.ref.inputs
        return {path for each in patterns for path in self._matching(place, each) if is_named(path, each)}

    def published_inputs(self, place: CourseTopic) -> list[str]:
        """The files under ``inputs`` of a topic that are published.

        Raises:
            CourseError: a pattern matches nothing.
        """
        ref = place.ref
        kept_back = {path for each in ref.kept_back for path in self._matching(place, each)}
        return sorted({path for each in ref.inputs for path in self._matching(place, each)} - kept_back)

    # -- other files ------------------------------------------------------------------------------

    def is_marked(self, path: str) -> bool:
        """Whether a file has a cell that no student gets, from memory where it has not changed."""
        digest = self._files.digest(path)
        if digest is None:
            return False
        looked_into = f"{_MARKED_BY} {digest}"
        known = self._known.get(path)
        if known is None or known.get("looked_into") != looked_into:
            from clx.course.private_cells import is_marked  # most builds need not look into any file

            known = {"looked_into": looked_into, "is_marked": is_marked(self._files.root / path)}
            self.learned[path] = known
        return bool(known["is_marked"])

    def would_be_read(self) -> set[str]:
        """Files that decks link to, and those that would be read or shown if they existed."""
        return {path for info in self._infos.values() for path in (*info.links, *info.absent)}

    def newly_hidden(self) -> list[str]:
        """The decks whose hidden cells say something else than when they were last looked for."""
        return [
            deck
            for deck, info in self._infos.items()
            if deck in self.learned and info.hidden and info.hidden != (self._known.get(deck) or {}).get("hidden")
        ]

    # -- diagrams ---------------------------------------------------------------------------------

    def diagram_closure(self, source: str, type_: str) -> list[tuple[str, str]]:
        """A diagram source and all it includes."""
        found = [(source, self._digest(source))]
        if JOB_TYPES[type_].includes is None:
            return found
        return list(self._diagram(source, type_)["reads"].items())

    def has_picture(self, source: str, type_: str) -> bool:
        """Whether there is a diagram in a source of diagrams; from memory where it has not changed."""
        return JOB_TYPES[type_].draws is None or bool(self._diagram(source, type_)["has_picture"])

    def _diagram(self, source: str, type_: str) -> Any:
        if source in self._diagrams:
            return self._diagrams[source]
        known = self._known.get(source)
        if (
            known is None
            or "has_picture" not in known
            or any(self._files.digest(path) != digest for path, digest in known["reads"].items())
        ):
            reads = {path: self._digest(path) for path in (source, *self._includes(source, type_))}
            has_picture = JOB_TYPES[type_].has_picture(self._files.root / source)
            known = {"reads": reads, "has_picture": has_picture}
            self.learned[source] = known
        self._diagrams[source] = known
        return known

    def _includes(self, source: str, type_: str) -> list[str]:
        root = self._files.root
        return [path.relative_to(root).as_posix() for path in JOB_TYPES[type_].read_by(root / source, root)]


def _all_of(deck: str, problems: list[ConversionError]) -> CourseError:
    """One error for all that is wrong with a deck, each with its line and next step, in their order."""
    name = visible_line(deck)
    told = {
        (
            error.line or 0,
            f"{name}:{error.line}" if error.line else name,
            visible_line(error.fact),
            visible_line(error.next_step),
        )
        for error in problems
    }
    texts = [f"{place}: {fact}\n{step}" if step else f"{place}: {fact}" for _, place, fact, step in sorted(told)]
    if len(texts) > TOLD:
        texts[TOLD - 1 :] = [f"{name}: {len(texts) - TOLD + 1} more mistakes like these.\nCorrect these first."]
    return Mistakes(texts)


def _names_in_statements(text: str) -> list[str]:
    """Every quoted name in a statement that reads another template."""
    return [name for found in _STATEMENT.finditer(text) for name in _QUOTED.findall(found.group(0))]


def _normalize(path: PurePosixPath) -> str:
    """*path* without ``.`` and ``..``; empty when it leaves the root."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if not parts:
                return ""
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
