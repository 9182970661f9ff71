"""Removing what CLX wrote: below one directory that is held open, never through a symbolic link.

Where a file lies is said by a row of the job table, and what lies there now may be anything. So each directory on
the way is opened for itself, and nothing goes that is not, byte for byte, what was written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from clx.course.build_state import PublishedFile
from clx.errors import OutputError
from clx.platforms import system

_NOT_OURS = (errno.ELOOP, errno.ENOTDIR)


def remove_published(row: PublishedFile, root: str, *, kept_folders: int = 0) -> list[str]:
    """Remove a file, and directories that are empty then.

    Args:
        root: the directory above which nothing is touched; it must be one of the user's, not from the job table.
        kept_folders: how many directories of the way from *root* stay, even when they are empty.

    Returns:
        Its path instead when something is there that CLX did not write, or that does not lie below *root*.

    Raises:
        OutputError: it cannot be removed.
    """
    full = Path(row.target, row.path)
    parts = _parts(os.path.relpath(row.target, root).replace(os.sep, "/"), row)
    if parts is None:
        return [str(full)] if full.exists() else []
    *folders, name = parts
    try:
        with _opened(root, folders) as opened:
            if not _is_as_written(name, opened[-1], row):
                return [str(full)]
            opened[-1].remove(name)
            _remove_empty(opened, folders, kept_folders)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno in _NOT_OURS:
            return [str(full)]
        raise OutputError(
            f"{full} is no longer made but cannot be removed: {error.strerror}.",
            "Make its directory writable and build again, or remove it yourself.",
        ) from error
    return []


def _parts(base: str, row: PublishedFile) -> list[str] | None:
    """The way to the file, name by name; None when it leads anywhere but down."""
    parts = [*(base.split("/") if base != "." else []), *row.path.split("/")]
    return None if any(part in ("", ".", "..") or "\0" in part for part in parts) else parts


@contextlib.contextmanager
def _opened(root: str, folders: Sequence[str]) -> Iterator[list[system.Folder]]:
    """*root* and each directory below it on a way; a link on it is an ``OSError``."""
    opened = [system.Folder(root)]
    try:
        for name in folders:
            opened.append(system.Folder(name, opened[-1]))
        yield opened
    finally:
        for folder in opened:
            folder.close()


def _is_as_written(name: str, folder: system.Folder, row: PublishedFile) -> bool:
    found = folder.stat(name, follow=False)
    if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (row.size, row.mtime_ns):
        return False
    with folder.open(name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == row.digest


def _remove_empty(opened: Sequence[system.Folder], folders: Sequence[str], kept: int) -> None:
    with contextlib.suppress(OSError):
        for depth in range(len(folders), kept, -1):
            opened[depth - 1].remove_folder(folders[depth - 1])
