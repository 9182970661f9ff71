"""The files of a course: which there are, and their digests without reading what has not changed.

A file whose size, modification time and inode are as they were is taken to have the digest it had. One
modified within the last two seconds is never remembered: a later write could leave all three unchanged.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clx.db.ledger import FileFacts
from clx.errors import CourseError

JUNK_DIRECTORIES = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", ".ipynb_checkpoints"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode", ".clx"),
        *("node_modules", "target", "build", "dist"),
    }
)
"""Directories below a topic that are never part of it."""
_JUNK_SUFFIXES = (".pyc", ".pyo", "~", ".swp", ".tmp", ".bkp", ".dtmp")
_JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_SETTLED_NS = 2_000_000_000


@dataclass(slots=True)
class SourceFiles:
    """The files below one course root.

    Attributes:
        root: the course root.
        known: what the ledger knew of files.
        learned: what it should be told.
        left_out: paths that are symbolic links to outside the course root.
    """

    root: Path
    known: Mapping[str, FileFacts]
    learned: dict[str, FileFacts] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _digests: dict[str, str | None] = field(default_factory=dict)
    _trees: dict[str, list[str]] = field(default_factory=dict)
    _prefix: str = ""

    def __post_init__(self) -> None:
        self._prefix = f"{self.root}/"

    def digest(self, path: str) -> str | None:
        """The digest of a file by its POSIX path below the root; None when there is no such file.

        Raises:
            CourseError: it cannot be read.
        """
        if path in self._digests:
            return self._digests[path]
        full = self._prefix + path
        try:
            found = os.stat(full)  # noqa: PTH116  (hot: every source of every build)
        except (FileNotFoundError, NotADirectoryError):
            self._digests[path] = None
            return None
        except OSError as error:
            raise unreadable(path, error) from error
        known = self.known.get(path)
        if known is not None and known[:3] == (found.st_size, found.st_mtime_ns, found.st_ino):
            digest = known[3]
        else:
            digest = self._hash(path, found)
        self._digests[path] = digest
        return digest

    def _hash(self, path: str, found: os.stat_result) -> str:
        try:
            with open(self._prefix + path, "rb") as stream:  # noqa: PTH123
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error) from error
        if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
            self.learned[path] = (found.st_size, found.st_mtime_ns, found.st_ino, digest)
        return digest

    def tree(self, directory: str) -> list[str]:
        """Every file below *directory* but junk, as sorted POSIX paths below the root."""
        if directory not in self._trees:
            found: list[str] = []
            self._walk(directory, found, deep=True)
            self._trees[directory] = sorted(found)
        return self._trees[directory]

    def listing(self, directory: str) -> list[str]:
        """The files directly in *directory* but junk, as sorted POSIX paths below the root."""
        found: list[str] = []
        self._walk(directory, found, deep=False)
        return sorted(found)

    def _walk(self, directory: str, found: list[str], *, deep: bool) -> None:
        try:
            with os.scandir(self._prefix + directory) as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}" if directory not in ("", ".") else entry.name
                    if entry.is_symlink() and not self.is_inside(path):
                        self.left_out.append(path)
                    elif entry.is_dir():
                        if deep and entry.name not in JUNK_DIRECTORIES and not entry.is_symlink():
                            self._walk(path, found, deep=True)
                    elif entry.is_file() and not is_junk(entry.name):
                        found.append(path)
        except OSError as error:
            raise unreadable(directory, error) from error

    def is_inside(self, path: str) -> bool:
        """Whether a path below the root stays there when links are followed."""
        return os.path.realpath(self._prefix + path).startswith(os.path.realpath(self.root) + os.sep)


def unreadable(path: str, error: OSError) -> CourseError:
    """Our error for a source the system will not let us read."""
    return CourseError(f"{path}: cannot be read: {error.strerror}.", "Check its permissions.")


def is_junk(name: str) -> bool:
    """Whether a file of this name is never a source: caches, backups, what editors leave."""
    return name in _JUNK_NAMES or name.endswith(_JUNK_SUFFIXES) or name.startswith((".~lock.", ".$"))
