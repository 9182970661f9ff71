"""A course whose directory was moved or copied: what is known of its files goes along with it.

Files are known by absolute paths. Without this a moved course would forget its own output: nothing stale would be
removed, and of a cell that becomes private what was published before would stay.
"""

from __future__ import annotations

import os
from pathlib import Path

from clx.course.build_state import BuildState, Owner


def follow_move(state: BuildState, root: Path, owner: Owner) -> bool:
    """Take over for *owner*, of whom nothing is known, what the same course wrote when its directory lay elsewhere.

    It is the same course if its file, its output and the database lie to each other as they did, and what lies in the
    old place now, if anything, has another database.

    Returns:
        Whether something was taken over.
    """
    if state.database is None:
        return False
    here, database = os.path.realpath(root), os.path.realpath(state.database.path)
    if not database.startswith(f"{here}/"):
        return False
    course = owner.course.removeprefix(here)
    for before in state.owners():
        there = before.course.removesuffix(course)
        moved = Owner(_carried(before.course, there, here), _carried(before.output, there, here))
        if moved == owner and not _is_still(Path(there + database[len(here) :]), database):
            state.move(before, owner, there, str(root))
            return True
    return False


def _carried(path: str, there: str, here: str) -> str:
    return here + path[len(there) :] if path == there or path.startswith(f"{there}/") else path


def _is_still(path: Path, database: str) -> bool:
    try:
        return path.samefile(database)
    except OSError:
        return False
