"""The state directory: what lies beside a database, and who may use it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from clx.settings.owners import require_own, who_else_writes

if TYPE_CHECKING:
    from clx.settings.resolve import Resolved

_PRIVATE = 0o700
"""Nobody else's are cells that reach no public file, logs, and what is to be run."""


def make_state_directory(database: Path) -> Path:
    """Make the state directory, and what it lies in; one that is there keeps the mode that somebody gave it.

    Nobody else may enter it, unless it lies beside a database in a directory that others may write: they share the
    database on purpose, and the state directory gets the same mode, as SQLite's own files beside it do.

    Raises:
        OSError: it cannot be made.
    """
    from clx.db.apart import state_directory

    state = state_directory(database)
    if state.is_dir():
        return state
    state.parent.mkdir(parents=True, exist_ok=True)
    mode = _PRIVATE if state in database.parents else _mode_beside(state.parent)
    try:
        state.mkdir(mode=mode)
    except FileExistsError:
        if not state.is_dir():
            raise
        return state
    if mode != _PRIVATE:
        state.chmod(mode)  # the umask takes nothing away
    return state


def _mode_beside(folder: Path) -> int:
    found = folder.stat()
    if found.st_mode & stat.S_ISVTX or not who_else_writes(found):  # in /tmp nobody shares anything
        return _PRIVATE
    return stat.S_IMODE(found.st_mode)


def require_own_state(database: Path, resolved: Resolved) -> None:
    """See that a database and its state directory may be used, if it was found by looking or a project names it.

    One that the user named, by an option or in settings of their own, is used whoever else does.

    Raises:
        UntrustedError: one of the two is somebody else's, or others may write it.
    """
    from clx.db.apart import state_directory

    if resolved.origin("database.path").kind in ("default", "project"):
        for path in (state_directory(database), database):
            require_own(path)
