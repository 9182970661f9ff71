"""What planning needs to know of a deck: what its expansions load, are called, link to and mention."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import MARKDOWN_EXTENSION, deck_language, linked_files
from clx.jobtypes.notebook.labels import as_language
from clx.jobtypes.notebook.markers import HIDDEN_TAGS
from clx.jobtypes.registry import TYPE_OF_SOURCE

if TYPE_CHECKING:
    from clx.jobtypes.notebook.cells import Cell
    from clx.jobtypes.notebook.expand import Expanded

_encode = msgspec.json.encode
_SOURCES = {"py", "cpp", "cs", "java", "ts", "rs", "c", "md", *(ending[1:] for ending in TYPE_OF_SOURCE)}
_NAME = re.compile(r"[\w.\-]+")
MERMAID_FENCE = re.compile(r"^[ \t#/>*\-]*(?:`{3,}|~{3,})[ \t]*\{?mermaid\b", re.MULTILINE)
"""Tells of a deck's text that it may hold a diagram; it may stand behind signs of comments."""
_LANG = re.compile(r"\blang\b\W{0,8}([\w-]+)")
"""What a deck says of a language, in whichever form."""
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+((?:slides|topic)_\w+)", re.MULTILINE)


class Asked(msgspec.Struct, frozen=True):
    """Which deck to read, for which languages and ``is_html``, ``is_notebook``; where links may lead besides."""

    root: str
    deck: str
    languages: list[str]
    variants: list[tuple[bool, bool]]
    variables: dict[str, Any]
    prog_lang: str
    shared: str | None = None
    jinja: bool = True


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong in a deck, as :class:`~clx.errors.ConversionError` tells it."""

    fact: str
    next_step: str
    line: int | None


class DeckText(msgspec.Struct, frozen=True):
    """What a deck's expansions say together.

    Attributes:
        templates: what they load, below the course root.
        titles: by language, where the deck says one (:mod:`clx.jobtypes.notebook.titles`).
        links: local files they link to, as written.
        mentions: names of sources, and of decks that are imported.
        hidden: what tells of its hidden cells (:class:`clx.jobtypes.notebook.telltale.Telltale`).
        respelt: warnings of markers that were only understood.
        problems: what is wrong with its markers, all of it; the rest is of no use then.
        written: names of linked files that occur in code, too, which may write them.
        shown: those of *links* that students see in texts.
        noted: those that only the speaker sees there.
        draws: whether there may be diagrams among its texts.
    """

    templates: list[str]
    titles: dict[str, str]
    links: list[str]
    mentions: list[str]
    hidden: list[Any] = []
    respelt: list[str] = []
    problems: list[Problem] = []
    written: list[str] = []
    shown: list[str] = []
    noted: list[str] = []
    draws: bool = False


def read_deck(asked: Asked) -> DeckText:
    """Expand a deck for every language and variant, and look at its cells.

    Raises:
        ConversionError: it cannot be read, expanded or parsed, and nothing is known of its markers yet.
    """
    problems: list[ConversionError] = []
    reading = _Reading(asked, problems)
    try:
        for language in asked.languages:
            for is_html, is_notebook in asked.variants:
                reading.look_at(language, is_html=is_html, is_notebook=is_notebook)
    except ConversionError as error:
        if not problems:
            raise
        problems.append(error)
    return reading.found()


class _Reading:
    """What has been found in the expansions of a deck so far."""

    def __init__(self, asked: Asked, problems: list[ConversionError]) -> None:
        self._asked = asked
        self._problems = problems
        self._language = deck_language(asked.deck, asked.prog_lang)
        self._is_markdown = asked.deck.endswith(MARKDOWN_EXTENSION)
        self._templates = set[str]()
        self._titles: dict[str, str] = {}
        self._links: dict[str, None] = {}
        self._mentions = set[str]()
        self._hidden: dict[bytes, Any] = {}
        self._respelt: dict[str, None] = {}
        self._texts: dict[str, list[Cell]] = {}
        self._written = set[str]()
        self._shown: dict[bool, set[str]] = {True: set(), False: set()}
        """Links in texts: whether students see them."""
        self._draws = False

    def look_at(self, language: str, *, is_html: bool, is_notebook: bool) -> None:
        from clx.jobtypes.notebook.cells import cells_of
        from clx.jobtypes.notebook.expand import expand
        from clx.jobtypes.notebook.titles import title_of

        asked = self._asked
        found = expand(
            PurePosixPath(asked.deck),
            Path(asked.root),
            lang=language,
            is_html=is_html,
            is_notebook=is_notebook,
            variables=asked.variables,
            prog_lang=asked.prog_lang,
            shared=None if asked.shared is None else Path(asked.shared),
            jinja=asked.jinja,
        )
        self._templates |= set(found.templates)
        known = self._texts.get(found.text)
        if known is None:
            cells = cells_of(found, self._language, is_markdown=self._is_markdown, problems=self._problems)
            self._texts[found.text] = cells
        else:
            cells = known
        if is_html and not self._problems:
            title = title_of(found, cells, language, self._language, is_markdown=self._is_markdown)
            self._titles |= {language: title} if title else {}
        if known is None:
            self._look_into(found, cells)

    def _look_into(self, found: Expanded, cells: list[Cell]) -> None:
        from clx.jobtypes.notebook.formats import is_unmarked

        asked = self._asked
        if not self._problems:
            self._hidden |= {_encode(each): each for each in _hidden_in(found, cells, self._language.comment)}
            self._respelt |= dict.fromkeys(_respelt_in(asked.deck, found, cells))
            self._respelt |= dict.fromkeys(_unread_in(asked, found, cells))
            if len(cells) == 1 and not self._is_markdown and is_unmarked(found.text, self._language):
                sign = f"{self._language.comment} %%"
                fact = f"there is no `{sign}` in it, so that all of it is one code cell"
                self._respelt[f"{asked.deck}: {fact}; begin cells with `{sign}`, texts with `{sign} [markdown]`."] = (
                    None
                )
            self._respelt |= dict.fromkeys(
                f"{_place(asked.deck, found, slip.line)}: the braces around {slip.name!r} stand in code and stay as "
                f"they are; did you mean {slip.meant!r}?"
                for slip in found.slips
            )
            for cell in cells:
                if cell.kind == "markdown" and "del" not in cell.tags:
                    self._shown[HIDDEN_TAGS.isdisjoint(cell.tags)].update(linked_files(cell.source))
        self._draws = self._draws or MERMAID_FENCE.search(found.text) is not None
        links = linked_files(found.text)
        self._links |= dict.fromkeys(links)
        code = "\n".join(cell.source for cell in cells if cell.kind == "code")
        self._written |= {name for link in links if (name := link.rpartition("/")[2]) and name in code}
        self._mentions |= set(mentioned(found.text))

    def found(self) -> DeckText:
        return DeckText(
            sorted(self._templates),
            self._titles,
            list(self._links),
            sorted(self._mentions),
            list(self._hidden.values()),
            list(self._respelt),
            [Problem(error.fact, error.next_step, error.line) for error in self._problems],
            sorted(self._written),
            sorted(self._shown[True]),
            sorted(self._shown[False] - self._shown[True]),
            self._draws,
        )


def mentioned(text: str) -> Iterable[str]:
    """Names of decks and diagram sources that occur in a text, and modules called like decks that it imports."""
    for match in _NAME.finditer(text):
        words = match[0].split(".")
        last = max((at for at, word in enumerate(words) if at and word.partition("-")[0] in _SOURCES), default=0)
        if last:
            yield ".".join([*words[:last], words[last].partition("-")[0]])
    yield from _IMPORT.findall(text)


def _hidden_in(found: Expanded, cells: list[Cell], comment: str) -> list[Any]:
    """What tells of the hidden cells of an expanded deck, with the deck's own lines."""
    from clx.jobtypes.notebook.hidden import places_in_deck
    from clx.jobtypes.notebook.telltale import telltales

    told = telltales(cells, comment)
    # the lines of a notebook are nowhere to be seen
    lines = [0] * len(told) if found.notebook else places_in_deck(found, [each.line for each in told])
    return [
        msgspec.to_builtins(msgspec.structs.replace(each, line=line)) for each, line in zip(told, lines, strict=True)
    ]


def _unread_in(asked: Asked, found: Expanded, cells: list[Cell]) -> list[str]:
    """Warnings of attributes that mean nothing, and of languages that the course is not in; each once."""
    from clx.jobtypes.notebook.hidden import places_in_deck

    foreign = _first_of((cell.lang, cell) for cell in cells if cell.lang not in (None, *asked.languages))
    if foreign:  # cells of macros, as those of ``header``, are none of the deck's
        own = {as_language(match[1]) for match in _LANG.finditer(found.source)}
        foreign = {lang: cell for lang, cell in foreign.items() if lang in own}
    unread = _first_of((name, cell) for cell in cells for name in cell.unread)
    lines = iter(places_in_deck(found, [cell.line for cell in (*foreign.values(), *unread.values())]))
    told = [f"{_place(asked.deck, found, next(lines))}: {_foreign(str(lang), asked.languages)}" for lang in foreign]
    for name in unread:
        told.append(
            f"{_place(asked.deck, found, next(lines))}: the attribute {name!r} of this cell means nothing to CLX."
        )
    return told


def _first_of(pairs: Iterable[tuple[str | None, Cell]]) -> dict[str | None, Cell]:
    """The first cell for each of some words."""
    found: dict[str | None, Cell] = {}
    for word, cell in pairs:
        found.setdefault(word, cell)
    return found


def _foreign(lang: str, languages: list[str]) -> str:
    near = next((each for each in languages if each.partition("-")[0] == lang.partition("-")[0]), "")
    step = f'did you mean lang="{near}"?' if near else f"the course is in {', '.join(languages)}."
    return f'cells with lang="{lang}" come out nowhere: {step}'


def _place(deck: str, found: Expanded, line: int) -> str:
    if found.notebook is not None:
        return f"{deck}: {found.place(line)}" if line else deck
    return f"{deck}:{line or '?'}"


def _respelt_in(deck: str, found: Expanded, cells: list[Cell]) -> list[str]:
    """Warnings of markers that are not written as they should be but can be understood."""
    from clx.jobtypes.notebook.hidden import places_in_deck

    odd = [cell for cell in cells if cell.respelt]
    lines = places_in_deck(found, [cell.line for cell in odd])
    return [
        f"{_place(deck, found, line)}: this marker is read with {cell.respelt}; write it so."
        for cell, line in zip(odd, lines, strict=True)
    ]
