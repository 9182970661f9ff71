"""Files beside a deck that are not copied, because they may show what the deck keeps private.

Editors, merges and jupytext leave copies of a deck beside it, under names of their own: with all cells,
private ones too. Left out are dot files, files whose name is a deck's with something in front or behind, and those
that :mod:`clx.course.private_cells` finds marked cells in.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from clx.jobtypes.notebook.deck import DECK_EXTENSIONS, is_deck

_BESIDE = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".zip", ".gz", ".xlsx", ".parquet", ".npy", ".npz"),
        *(".mp3", ".mp4", ".webm", ".ogg", ".wav", ".ttf", ".otf", ".woff", ".woff2", ".pptx", ".docx", ".db", ".h5"),
        *(".svg", ".css", ".js", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".toml"),
    }
)
"""Extensions that a deck's pictures, styles and data have, which may well be called like it."""
DOTTED, COPY = "dot file", "copy of a deck"
"""Why files are not copied."""
_SHOWN = 20
_ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".jar", ".rar", ".tar", ".tgz", ".whl", ".xz", ".zip", ".zst"})
_QUIET = (".git",)
"""How dot files begin that nobody expects to be copied (``.gitignore``, ``.gitkeep``)."""


def is_dotted(path: str, base: str) -> bool:
    """Whether a file, or a directory between *base* and it, begins with a dot; both are POSIX paths."""
    return "/." in f"/{path.removeprefix(f'{base}/')}"


def is_worth_telling(path: str) -> bool:
    """Whether somebody may miss a dot file."""
    return not path.rpartition("/")[2].startswith(_QUIET)


def is_copy_of_deck(path: str, decks: Iterable[str]) -> bool:
    """Whether a file is called like one of the decks beside it, with more in front or behind, or another extension."""
    name = path.rpartition("/")[2].casefold()
    if _like_deck().search(name):
        return True
    if PurePosixPath(name).suffix in _BESIDE:
        return False
    return any(_is_part(deck[: deck.rfind(".")].casefold(), name) for deck in decks)


def _is_part(stem: str, name: str) -> bool:
    """Whether *name* holds a deck's name; ``slides_1`` is no part of ``slides_12``."""
    _, found, behind = name.partition(stem)
    return bool(found) and not (stem[-1:].isdigit() and behind[:1].isdigit())


@functools.cache
def _like_deck() -> re.Pattern[str]:
    extensions = "|".join(re.escape(each) for each in sorted(DECK_EXTENSIONS))
    return re.compile(rf"(?<![a-z0-9_])(?:slides|topic)_.*(?:{extensions})(?![a-z0-9])")


def is_like_deck(path: str) -> bool:
    """Whether a file is called like some deck or a copy of one, for where nobody knows the decks beside it."""
    name = path.rpartition("/")[2].casefold()
    begins = re.search(r"(?<![a-z0-9])(?:slides|topic)_", name)
    return bool(_like_deck().search(name) or (begins and PurePosixPath(name).suffix not in _BESIDE))


def names_of_decks(paths: Collection[str]) -> list[str]:
    """The names, without directories, of the decks among some paths."""
    return [name for name in (path.rpartition("/")[2] for path in paths) if is_deck(name)]


def is_named(path: str, pattern: str) -> bool:
    """Whether an ``inputs`` pattern names a file letter by letter: one with wildcards only reaches it."""
    return path == os.path.normpath(pattern) and not re.search(r"[*?\[]", pattern)


def marked(path: str) -> str:
    """Why a file with private cells is not copied."""
    is_archive = PurePosixPath(path).suffix.lower() in _ARCHIVES
    return (
        "an archive with private cells or decks in it, or that cannot be looked through"
        if is_archive
        else "private cells"
    )


def told(reasons: Mapping[str, str]) -> str:
    """One warning about files that were left out, by path, each with why."""
    grouped: dict[str, list[str]] = {}
    for path, why in list(reasons.items())[:_SHOWN]:
        grouped.setdefault(why, []).append(path)
    shown = "; ".join(f"{', '.join(paths)} ({why})" for why, paths in grouped.items())
    more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return (
        f"Not copied: {shown}{more}. Write a file's path, without wildcards, under `inputs:` of its topic, or put it "
        "into a directory group, if students shall have it."
    )


def misnamed(path: str) -> str:
    """The warning about a file that is called like a deck and is none."""
    extensions = " ".join(sorted(DECK_EXTENSIONS))
    return (
        f"{path} is called like a deck and is none, so it was left out: decks are {extensions}. Convert it, rename it, "
        "or write its path under `inputs:` of its topic if students shall have it as it is."
    )
