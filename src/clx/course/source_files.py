"""The files of a course: which there are, and their digests without reading what has not changed.

A file whose size, times and inode are as they were is taken to have the digest it had. One changed
within the last two seconds is never remembered: a later write could leave all of them unchanged.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from clx.course.build_state import FileStat
from clx.course.symlinks import Bounds
from clx.errors import CourseError
from clx.regular import NotRegularError, not_regular, open_regular

JUNK_DIRECTORIES = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".ipynb_checkpoints"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode", ".clx", "node_modules"),
    }
)
"""Directories below a topic that are never part of it."""
DOUBTFUL_DIRECTORIES = frozenset({"venv", "target", "build", "dist"})
"""Directories that are no part of a topic if they hold what tools leave: a lesson may well have a ``target``, too."""
_LEFT_BY_TOOLS = re.compile(
    r"pyvenv\.cfg|CACHEDIR\.TAG|\.rustc_info\.json|CMakeCache\.txt|build\.ninja|\.ninja_log|maven-status|classes"
    r"|bdist\..*|.*\.whl|.*\.dist-info|.*\.class"
)
FETCH = "Type: git lfs pull"
_POINTER = b"version https://git-lfs.github.com/spec/v1"
_POINTER_SIZE = 1024
"""Bytes that a Git LFS pointer has at most (its specification)."""
_JUNK_SUFFIXES = (".pyc", ".pyo", "~", ".swp", ".tmp", ".bkp", ".dtmp")
_JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_DEEPEST = 100
"""Directories in one another that are looked into: no course needs more, and the paths of the output have an end."""
_SETTLED_NS = 2_000_000_000


class SourceFiles:
    """The files below one course root.

    Args:
        known: what earlier builds learned of files.
        shared: as in :class:`Bounds`, like *own*.

    Attributes:
        learned: what later builds should know.
        left_out: what was not taken, and why.
        links: which of the files that were found are links.
        pointers: files that only say where Git LFS keeps their contents.
        junk: files and directories that were passed over as what tools and editors leave.
    """

    def __init__(
        self,
        root: Path,
        known: Mapping[str, FileStat],
        *,
        shared: Path | None = None,
        own: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.bounds = Bounds(root, shared, own or {})
        self.learned: dict[str, FileStat] = {}
        self.left_out: list[str] = []
        self.links: set[str] = set()
        self.pointers: set[str] = set()
        self.junk: list[str] = []
        self._known = known
        self._digests: dict[str, str | None] = {}
        self._trees: dict[str, list[str]] = {}
        self._prefix = f"{root}/"

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
        if not stat.S_ISREG(found.st_mode):
            raise unreadable(path, not_regular(found.st_mode))
        known = self._known.get(path)
        is_as_known = known and known[:4] == (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        digest = self._digests[path] = known.digest if known and is_as_known else self._hash(path, found)
        return digest

    def _hash(self, path: str, found: os.stat_result) -> str:
        try:
            with open_regular(self._prefix + path) as stream:
                if found.st_size <= _POINTER_SIZE:
                    data = stream.read()
                    digest = hashlib.sha256(data).hexdigest()
                    if data.startswith(_POINTER):
                        self.pointers.add(path)  # and not remembered: it is told of in every build
                        return digest
                else:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error) from error
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
            self.learned[path] = FileStat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, digest)
        return digest

    def tree(self, directory: str) -> list[str]:
        """Every file below *directory* but junk, as sorted POSIX paths below the root.

        Raises:
            CourseError: a directory cannot be read, or directories are nested too deep.
        """
        if directory in self._trees:
            return self._trees[directory]
        found: list[str] = []
        waiting = [directory]
        while waiting:
            folder = waiting.pop()
            waiting += self._look_into(folder, found)
            if folder.count("/") - directory.count("/") > _DEEPEST:
                raise CourseError(
                    f"{directory}: directories are nested more than {_DEEPEST} deep: {folder[:200]}…",
                    "Move what is needed further up, or remove it.",
                )
        self._trees[directory] = sorted(found)
        return self._trees[directory]

    def listing(self, directory: str) -> list[str]:
        """The files directly in *directory* but junk, as sorted POSIX paths below the root."""
        found: list[str] = []
        self._look_into(directory, found)
        return sorted(found)

    def _look_into(self, directory: str, found: list[str]) -> list[str]:
        """Add the files of one directory to *found*; returns the directories in it."""
        folders: list[str] = []
        try:
            with os.scandir(self._prefix + directory) as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}" if directory not in ("", ".") else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        (self.junk if self.is_junk_directory(entry.name, path) else folders).append(path)
                    elif is_junk(entry.name):
                        self.junk.append(path)
                    elif self._counts(entry, path):
                        found.append(path)
        except OSError as error:
            raise unreadable(directory, error) from error
        return folders

    def is_junk_directory(self, name: str, path: str) -> bool:
        """Whether a directory is one that tools make."""
        return name in JUNK_DIRECTORIES or (
            name in DOUBTFUL_DIRECTORIES and is_left_by_tools(Path(self._prefix + path))
        )

    def _counts(self, entry: os.DirEntry[str], path: str) -> bool:
        """Whether something that is no directory is a file of the course; notes what is left out.

        Raises:
            CourseError: its name cannot be written down.
        """
        if not path.isascii():
            check_name(path)
        if not entry.is_symlink():
            if not entry.is_file():
                self.left_out.append(f"{path} is not a regular file")
            return entry.is_file()
        if not entry.is_file():
            kind = "a directory" if entry.is_dir() else "nothing"
            self.left_out.append(f"{path} is a link to {kind}")
            return False
        self.links.add(path)
        return self.admits(path)

    def is_inside(self, path: str) -> bool:
        """Whether a path below the root stays there, or in the shared directory, when links are followed."""
        return self.bounds.holds(self._prefix + path)

    def admits(self, path: str) -> bool:
        """Whether a file or directory of the course may be read wherever links lead; notes that it is left out."""
        where = self.bounds.misled(self._prefix + path) if path not in ("", ".") else ""
        if where:
            self.left_out.append(f"{path} is a link to {where}")
        return not where

    def is_own(self, path: str) -> bool:
        """Whether a file lies in a directory that CLX writes into."""
        return bool(self.bounds.own_at(self.real(path)))

    def real(self, path: str) -> str:
        """The absolute path of a file of the course once links are followed."""
        return os.path.realpath(self._prefix + path)

    def names(self, path: str) -> list[str]:
        """By what a file is judged: its path and, if it is a link, that of what it leads to."""
        return [path, self.real(path)] if path in self.links else [path]


def check_name(path: str) -> None:
    """See that a path is text: the table could not name it otherwise.

    Raises:
        CourseError: it is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise CourseError(
            f"{shown}: its name is not UTF-8, or this locale cannot tell.",
            "Rename the file, or set a UTF-8 locale: LC_ALL=C.UTF-8",
        ) from None


def unreadable(path: str, error: OSError) -> CourseError:
    """Our error for a source the system will not let us read."""
    step = "Remove it." if isinstance(error, NotRegularError) else "Check its permissions."
    step = "Name a file." if isinstance(error, IsADirectoryError) else step
    return CourseError(f"{path}: cannot be read: {error.strerror}.", step)


def is_left_by_tools(directory: Path) -> bool:
    """Whether a directory holds what only tools leave: builds of CMake, Cargo or Maven, packages, environments."""
    try:
        return any(_LEFT_BY_TOOLS.fullmatch(name) for name in os.listdir(directory))  # noqa: PTH208
    except OSError:
        return False


def is_junk(name: str) -> bool:
    """Whether a file of this name is never a source: caches, backups, what editors leave."""
    return name in _JUNK_NAMES or name.endswith(_JUNK_SUFFIXES) or name.startswith((".~lock.", ".$"))
