"""The state directory: what lies beside a database, and who may use it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from clx.errors import UntrustedError
from clx.settings.owners import require_own, who_else_writes

if TYPE_CHECKING:
    from clx.settings.resolve import Resolved

_FOLDERS = frozenset({"artifacts", "bells", "containers", "locks", "logs", "replaced", "shared", "tmp", "work"})
"""What CLX has in a state directory that are directories."""
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


def require_sound_state(database: Path) -> None:
    """See that nothing stands in the place of the state directory, or of what CLX has in it.

    Whoever writes the files of a course could have put it there: what CLX writes would go where a link leads, and a
    pipe would be waited for. ``config.toml`` alone may be a link: who keeps settings elsewhere has one.

    Raises:
        UntrustedError: something does.
    """
    from clx.db.apart import state_directory

    state = state_directory(database)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _require_folder(state, os.lstat(state).st_mode)
        files = {".gitignore", *(f"{database.name}{end}" for end in ("", "-wal", "-shm", "-journal"))}
        with os.scandir(state) as entries:
            for entry in entries:
                if entry.name != "config.toml":
                    _require_sound(entry, is_file=entry.name in files)


def _require_sound(entry: os.DirEntry[str], *, is_file: bool) -> None:
    from clx.db.apart import leads_apart

    path = Path(entry.path)
    if entry.is_symlink():
        if not leads_apart(path):
            raise _in_the_way(path, stat.S_IFLNK)
    elif entry.is_dir():
        if is_file:
            raise _in_the_way(path, stat.S_IFDIR)
    elif entry.name in _FOLDERS:
        _require_folder(path, entry.stat().st_mode)
    elif not entry.is_file():
        raise _in_the_way(path, entry.stat().st_mode)


def _require_folder(path: Path, mode: int) -> None:
    if not stat.S_ISDIR(mode):
        raise _in_the_way(path, mode)


def _in_the_way(path: Path, mode: int) -> UntrustedError:
    from clx.regular import kind_of

    return UntrustedError(
        f"{path} is {kind_of(mode)}, which CLX has not made: it is not used.",
        "Remove it; to have CLX's own files elsewhere, name a database there with --db-path.",
    )


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
