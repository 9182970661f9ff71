"""Which lake a folder is: by the mark in it, and where that is gone by what this machine remembers of the place.

Whoever removes the folder of a lake has not removed what was published into it: it is the same lake that is laid out
there again, and not a new one of which the table knows nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from clx.errors import ClxError
from clx.regular import mark_of, read_regular, replace_text

MARK = ".lake"
"""The file that tells a lake from others, wherever it lies."""


def known_mark(folder: Path, shared: Path | None) -> str | None:
    """The mark of the lake in *folder*; None: there is none, and none is remembered. Nothing is made.

    Args:
        shared: the directory beside the table, with what jobs share; None: there is none yet.
    """
    found = _read(folder / MARK)
    return _read(_place(folder, shared)) if found is None and shared is not None else found


def mark_at(folder: Path, shared: Path) -> str:
    """The same; one that is not there is made, and it is remembered.

    Raises:
        OSError: the folder cannot be read or made.
    """
    place = _place(folder, shared)
    remembered = _read(place)
    found = mark_of(folder, MARK, remembered)
    if found != remembered:
        with contextlib.suppress(OSError):  # it is there for the worst alone
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_text(place, found)
    return found


def _place(folder: Path, shared: Path) -> Path:
    path = os.path.realpath(folder)
    return shared / "lakes" / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]


def _read(path: Path) -> str | None:
    try:
        return read_regular(path).decode("ascii", "replace").strip() or None
    except (OSError, ClxError):
        return None
