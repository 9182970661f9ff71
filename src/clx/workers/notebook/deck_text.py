"""What planning needs to know of a deck: what its expansions load, are called, link to and mention."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from clx.workers.notebook.deck import MARKDOWN_EXTENSION, deck_language, linked_files

_SOURCES = frozenset({"pu", "puml", "plantuml", "drawio", "py", "cpp", "cs", "java", "ts", "rs", "c", "md"})
_NAME = re.compile(r"[\w.\-]+")
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+((?:slides|topic)_\w+)", re.MULTILINE)


class Asked(msgspec.Struct, frozen=True):
    """Which deck to read, and how.

    Attributes:
        root: the course root.
        deck: the deck's path below it.
        languages: natural languages to expand it for.
        variants: values of ``is_html`` and ``is_notebook``.
        variables: the course's own.
        prog_lang: the course's programming language.
        shared: a directory outside of the root into which links may lead.
    """

    root: str
    deck: str
    languages: list[str]
    variants: list[tuple[bool, bool]]
    variables: dict[str, Any]
    prog_lang: str
    shared: str | None = None


class DeckText(msgspec.Struct, frozen=True):
    """What a deck's expansions say together.

    Attributes:
        templates: what they load, below the course root.
        titles: by language, where ``header`` was called.
        links: local files they link to, as written.
        mentions: names of sources, and of decks that are imported.
    """

    templates: list[str]
    titles: dict[str, str]
    links: list[str]
    mentions: list[str]


def read_deck(asked: Asked) -> DeckText:
    """Expand a deck for every language and variant, and look at its cells.

    Raises:
        ConversionError: it cannot be read, expanded or parsed.
    """
    from clx.workers.notebook.cells import cells_of
    from clx.workers.notebook.expand import expand

    templates, titles, links, mentions = set[str](), dict[str, str](), dict[str, None](), set[str]()
    for language in asked.languages:
        for is_html, is_notebook in asked.variants:
            found = expand(
                PurePosixPath(asked.deck),
                Path(asked.root),
                lang=language,
                is_html=is_html,
                is_notebook=is_notebook,
                variables=asked.variables,
                prog_lang=asked.prog_lang,
                shared=None if asked.shared is None else Path(asked.shared),
            )
            templates |= set(found.templates)
            if is_html:
                is_markdown = asked.deck.endswith(MARKDOWN_EXTENSION)
                cells_of(found, deck_language(asked.deck, asked.prog_lang), is_markdown=is_markdown)
                if found.title:
                    titles[language] = found.title
            links |= dict.fromkeys(linked_files(found.text))
            mentions |= set(mentioned(found.text))
    return DeckText(sorted(templates), titles, list(links), sorted(mentions))


def mentioned(text: str) -> Iterable[str]:
    """Names of decks and diagram sources that occur in a text, and modules called like decks that it imports."""
    for match in _NAME.finditer(text):
        words = match[0].split(".")
        last = max((at for at, word in enumerate(words) if at and word.partition("-")[0] in _SOURCES), default=0)
        if last:
            yield ".".join([*words[:last], words[last].partition("-")[0]])
    yield from _IMPORT.findall(text)
