"""Plain ``open()`` of a database that this process uses is refused, and so is another SQLite library.

POSIX drops every lock that a process holds on a file as soon as the process closes any descriptor of it: a program
that hashes, copies or reads the file beside its queue lets others write in the middle of its own transactions, and
acknowledged jobs are lost (sqlite.org/howtocorrupt.html, 2.2). SQLite itself knows, and keeps its descriptors for
as long as it must; so whoever looks with the same library is safe, whichever module of Python he came by.
What cannot be refused here is noticed by :mod:`clx.db.sqlite.marks`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from typing import Any

from clx.db.sqlite import fence
from clx.errors import DatabaseInUseError
from clx.platforms import system

File = tuple[int, int]
"""Device and inode: what a file is, whatever it is called."""

_used: Counter[File] = Counter()
"""How many connections of this process each file has."""
_folders: set[int] = set()
"""Descriptors of directories that nobody but CLX opens files by."""
_installed = False
_lock = threading.RLock()  # a connection may be freed in the middle of it


def file_number(path: str | os.PathLike[str], folder: int | None = None) -> File | None:
    """Which file *path* names, from a *folder* held open; None where there is none, or none that can be looked at."""
    try:
        found = os.stat(path) if folder is None else system.stat_below(folder, path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def watch(file: File) -> None:
    """From here on, one connection more of this process uses *file*."""
    global _installed
    with _lock:
        if not _installed:
            _installed = True
            sys.addaudithook(_refuse)
            fence.install(_refuse_used)
        _used[file] += 1


def unwatch(file: File) -> None:
    """One connection less uses *file*."""
    with _lock:
        _used[file] -= 1
        if _used[file] <= 0:
            del _used[file]


def forget() -> None:
    """In a forked child: it holds none of its parent's locks, and may not use the file anyway."""
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it
    _used.clear()


def keep_folder(descriptor: int) -> None:
    """Names that the program opens do not count from this *descriptor* of a directory; it is CLX's own."""
    _folders.add(descriptor)


def close_folder(descriptor: int) -> None:
    """Close such a descriptor."""
    _folders.discard(descriptor)
    os.close(descriptor)


def open_descriptors() -> list[int]:
    """The descriptors of this process, some of which may be closed by now; empty where nobody can tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208
        except OSError:  # no such place, or no descriptor left to look into it
            continue
    return []


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _used or event not in ("open", "sqlite3.connect"):
        return
    if not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    name = os.fsdecode(arguments[0])
    if event == "open":
        _, mode, flags = arguments
        if flags & system.PATH_ONLY:
            return
        _refuse_used(name)
        if mode is None and not flags & system.FOLDER and not os.path.isabs(name):  # noqa: PTH117
            _refuse_below_folders(name)
    elif name.startswith("file:") and "vfs=" in name and "vfs=unix-excl" not in name:
        _refuse_used(fence.path_of(name))  # other ways of locking, or none


def _refuse_used(path: str) -> None:
    if _is_used(path):
        raise DatabaseInUseError(path)


def _refuse_below_folders(name: str) -> None:
    """``os.open`` may count *name* from a directory that is open, which is not said: any that is open may be it."""
    for descriptor in open_descriptors():
        if descriptor not in _folders and _is_used(name, descriptor):
            raise DatabaseInUseError(name)


def _is_used(path: str, folder: int | None = None) -> bool:
    # the locks of a write-ahead log are held on -shm, which one connection of many may not have seen yet
    return file_number(path, folder) in _used or (
        path.endswith("-shm") and file_number(path.removesuffix("-shm"), folder) in _used
    )
