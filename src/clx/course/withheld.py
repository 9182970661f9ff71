"""Files beside a deck that are not copied, because they may show what the deck keeps private.

Editors, merges and jupytext leave copies of a deck beside it, under names of their own: with all cells,
private ones too. Left out are dot files, files whose name is a deck's with something in front or behind,
and texts and notebooks in which a cell is marked ``private``, ``notes`` or ``del``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from clx.jobtypes.notebook.deck import DECK_EXTENSIONS, is_deck

_BINARY = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".zip", ".gz", ".xlsx", ".parquet", ".npy", ".npz"),
        *(".mp3", ".mp4", ".webm", ".ogg", ".wav", ".ttf", ".otf", ".woff", ".woff2", ".pptx", ".docx", ".db", ".h5"),
    }
)
"""Extensions of files that hold no text: not worth opening in every build."""
_BESIDE = _BINARY | {".svg", ".css", ".js", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".toml"}
"""Extensions that a deck's pictures, styles and data have, which may well be called like it."""
_QUIET = (".git",)
"""How dot files begin that nobody expects to be copied (``.gitignore``, ``.gitkeep``)."""


def is_dotted(path: str, base: str) -> bool:
    """Whether a file, or a directory between *base* and it, begins with a dot; both are POSIX paths."""
    return "/." in f"/{path.removeprefix(f'{base}/')}"


def is_worth_telling(path: str) -> bool:
    """Whether somebody may miss a dot file."""
    return not path.rpartition("/")[2].startswith(_QUIET)


def is_copy_of_deck(path: str, decks: Iterable[str]) -> bool:
    """Whether a file is called like a deck with something in front or behind, or with another extension.

    Args:
        path: POSIX path of the file.
        decks: names of the decks beside it.
    """
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
def _marked() -> re.Pattern[bytes]:
    hidden = rb"\b(?:private|notes|del)\b"
    return re.compile(
        # a marker of the percent or light format, a region or fence of Markdown
        rb"^[ \t>|+<-]*(?:\S{1,4}[ \t]*(?:%%|\+)|<!--[ \t]*#|`{3,}|~{3,})[^\n]{0,500}?\btags?\b[^\n]{0,500}?"
        + hidden
        # a notebook's metadata
        + rb'|"tags"\s{0,99}:\s{0,99}\[[^\]]{0,999}?"(?:private|notes|del)"'
        + rb'|"slide_type"\s{0,99}:\s{0,99}"notes"',
        re.IGNORECASE | re.MULTILINE,
    )


@functools.cache
def _like_deck() -> re.Pattern[str]:
    extensions = "|".join(re.escape(each) for each in sorted(DECK_EXTENSIONS))
    return re.compile(rf"(?<![a-z0-9_])(?:slides|topic)_.*(?:{extensions})(?![a-z0-9])")


def may_be_marked(path: str) -> bool:
    """Whether a file of this name is looked into by :func:`is_marked`."""
    return PurePosixPath(path).suffix.lower() not in _BINARY


def is_marked(path: Path) -> bool:
    """Whether a text or notebook has a cell that no student gets."""
    from clx.course.texts import windows_of  # most builds need not look into any file

    return any(_marked().search(window) for window in windows_of(path))


def names_of_decks(paths: Collection[str]) -> list[str]:
    """The names, without directories, of the decks among some paths."""
    return [name for name in (path.rpartition("/")[2] for path in paths) if is_deck(name)]


def is_named(path: str, pattern: str) -> bool:
    """Whether an ``inputs`` pattern that matches a file says something about its name, as ``*.ipynb`` does."""
    last = pattern.rpartition("/")[2]
    return bool(re.search(r"\w", re.sub(r"\[[^\]]*\]", "", last))) or path.endswith(f"/{last}")


def told(paths: Collection[str]) -> str:
    """One warning about files that were left out."""
    shown = list(paths)[:20]
    more = f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
    return (
        f"Not copied, because they are dot files, copies of decks or have private cells: {', '.join(shown)}{more}. "
        "Name a file under `inputs:` of its topic, or put it into a directory group, if students shall have it."
    )
