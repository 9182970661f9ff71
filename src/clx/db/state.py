"""The state directory: what lies beside a database, and who may use it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from clx.db.apart import leads_apart, shared_directory, state_directory
from clx.errors import DatabaseError, UntrustedError
from clx.regular import cure
from clx.settings.owners import require_own, who_else_writes

if TYPE_CHECKING:
    from clx.settings.resolve import Resolved

_FOLDERS = frozenset({"artifacts", "bells", "containers", "locks", "logs", "replaced", "shared", "tmp", "work"})
"""What CLX has in a state directory that are directories."""
_PRIVATE = 0o700
"""Nobody else's are cells that reach no public file, logs, and what is to be run."""


class StateDirectory(msgspec.Struct, frozen=True):
    """What lies beside a database: settings, logs, artifacts, bells, the directories of jobs.

    Attributes:
        database: the database whose it is.
        path: the directory itself.
        shared: the directory with what jobs share, artifacts and bells: the same, or in it (:mod:`clx.db.apart`).
    """

    database: Path
    path: Path
    shared: Path

    @classmethod
    def of(cls, database: Path) -> Self:
        """The one of a database, whether or not either is there."""
        return cls(database, state_directory(database), shared_directory(database))

    def make(self) -> None:
        """Make it, and what it lies in; one that is there keeps the mode that somebody gave it.

        Nobody else may enter it, unless it lies beside a database in a directory that others may write: they share the
        database on purpose, and the state directory gets the same mode, as SQLite's own files beside it do.

        Raises:
            OSError: it cannot be made.
        """
        if self.path.is_dir():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        mode = _PRIVATE if self.path in self.database.parents else _mode_beside(self.path.parent)
        try:
            self.path.mkdir(mode=mode)
        except FileExistsError:
            if not self.path.is_dir():
                raise
        else:
            if mode != _PRIVATE:
                self.path.chmod(mode)  # the umask takes nothing away

    def prepare(self) -> None:
        """Make it with a ``.gitignore`` that spares ``config.toml``.

        Raises:
            DatabaseError: it cannot be made.
        """
        try:
            self.make()
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n!.gitignore\n!config.toml\n", encoding="utf-8")
        except OSError as error:
            raise DatabaseError(
                f"The directory of the database cannot be made: {error.filename}: {error.strerror}.",
                cure(error, "Make it writable, or name another file with --db-path."),
            ) from error

    def require_sound(self) -> None:
        """See that nothing stands in its place, or in that of what CLX has in it.

        Whoever writes the files of a course could have put it there: what CLX writes would go where a link leads, and
        a pipe would be waited for. ``config.toml`` alone may be a link: who keeps settings elsewhere has one.

        Raises:
            UntrustedError: something does.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            _require_folder(self.path, os.lstat(self.path).st_mode)
            ends = ("", "-wal", "-shm", "-journal")
            files = {".gitignore", *(f"{self.database.name}{end}" for end in ends)}
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if entry.name != "config.toml":
                        _require_sound(entry, is_file=entry.name in files)

    def require_own(self, resolved: Resolved) -> None:
        """See that it and its database may be used, if they were found by looking or a project names them.

        Those that the user named, by an option or in settings of their own, are used whoever else does.

        Raises:
            UntrustedError: one of the two is somebody else's, or others may write it.
        """
        if resolved.origin("database.path").kind in ("default", "project"):
            for path in (self.path, self.database):
                require_own(path)


def _require_sound(entry: os.DirEntry[str], *, is_file: bool) -> None:
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
