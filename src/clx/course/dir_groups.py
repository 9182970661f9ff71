"""Directory groups: which files they copy, and what they must not hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from clx.course.source_files import SourceFiles
from clx.course.spec import DirGroup
from clx.course.symlinks import is_below
from clx.jobtypes.notebook.deck import NOTEBOOK_EXTENSION, decks_among, is_deck

_NEXT_STEP = "Name a directory of its own for what students shall have, or choose `subdirs`."


def group_files(group: DirGroup, files: SourceFiles) -> Iterator[tuple[str, list[str]]]:
    """Each directory that a group copies, with its files; all are POSIX paths below the course root."""
    list_files = files.tree if group.recursive else files.listing
    if group.subdirs and group.include_root_files and _is_inside(group.path, files):
        yield group.path, files.listing(group.path)
    for folder in group.directories():
        if _is_inside(folder, files):
            yield folder, list_files(folder)


def _is_inside(folder: str, files: SourceFiles) -> bool:
    return folder in ("", ".") or not files.bounds.misled(str(files.root / folder))


def group_problem(group: DirGroup, files: SourceFiles) -> str:
    """Why a group cannot be copied, with the next step in a second line; empty if it can."""
    if not (files.root / group.path).is_dir():
        return f"the dir_groups path {group.path} is not a directory.\nCorrect the path."
    for folder in group.directories():
        if not (files.root / folder).is_dir():
            return f"the dir_groups directory {folder} does not exist.\nCorrect subdirs."
    deep = [(folder, group.recursive) for folder in group.directories()]
    for folder, recursive in [*deep, *([(group.path, False)] if group.include_root_files else [])]:
        found = _own_in(os.path.realpath(files.root / folder), files.bounds.own, recursive=recursive)
        if found:
            return f"the directory group {_shown(folder)} contains {found}.\n{_NEXT_STEP}"
    deck = _deck_in(group, files)
    if deck:
        return (
            f"the directory group {_shown(deck[0])} contains the deck {deck[1]} with its private cells.\n{_NEXT_STEP}"
        )
    return ""


def _shown(folder: str) -> str:
    return f"{folder} (the whole course)" if folder in ("", ".") else folder


def _own_in(folder: str, own: Mapping[str, str], *, recursive: bool) -> str:
    """What of CLX's own a directory holds, or lies in."""
    for place, what in own.items():
        if is_below(folder, place) or (recursive and is_below(place, folder)):
            return what
    return ""


def _deck_in(group: DirGroup, files: SourceFiles) -> tuple[str, str] | None:
    """The first deck below ``slides/`` that a group would copy, also by a link to it, behind its directory."""
    slides = os.path.realpath(files.root / "slides")
    for folder, found in group_files(group, files):
        for path in found:
            if is_deck(path.rpartition("/")[2]) and is_below(files.real(path), slides) and not _is_pair(path, files):
                return folder, path
    return None


def _is_pair(path: str, files: SourceFiles) -> bool:
    """Whether a notebook is that of a text deck beside it, or one directory further up, and no deck itself."""
    if not path.endswith(NOTEBOOK_EXTENSION):
        return False
    folder = PurePosixPath(path).parent
    beside = [name for each in (folder, folder.parent) for name in files.listing(each.as_posix())]
    return path not in decks_among([*beside, path])
