"""Files where somebody else may have put something: no pipe or device is waited for, and no link written through."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from clx.platforms import system

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


class NotRegularError(OSError):
    """Something is no regular file; ``strerror`` says what it is."""


def kind_of(mode: int) -> str:
    """What something is by its ``st_mode``, in words."""
    if stat.S_ISREG(mode):
        return "a file"
    return "a directory" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


def not_regular(mode: int, path: str | os.PathLike[str] = "") -> OSError:
    """The error for something that is no regular file, by its ``st_mode``."""
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    told = f"it is {kind_of(mode)}, not a regular file"
    return NotRegularError(errno.EINVAL, told, os.fspath(path))


def open_regular(path: str | os.PathLike[str], *, follow: bool = True) -> BufferedReader:
    """Open a regular file for reading; nothing else is even opened.

    Args:
        path: where it is.
        follow: whether a symbolic link in its place is followed.

    Raises:
        NotRegularError: it is no regular file.
        OSError: it cannot be opened.
    """
    _check(path, os.stat(path, follow_symlinks=follow))  # noqa: PTH116  (hot: every source of every build)
    flags = os.O_RDONLY | system.NO_WAIT | system.BINARY
    descriptor = os.open(path, flags | (0 if follow else system.NO_LINK))
    try:
        _check(path, os.fstat(descriptor))  # it may have been exchanged since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise not_regular(found.st_mode, path)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    Raises:
        NotRegularError: it is no regular file.
        OSError: it cannot be read.
    """
    with open_regular(path) as stream:
        return stream.read()


def replace_text(path: Path, text: str, *, denied: int = 0) -> None:
    """Put a file with *text* in the place of *path*, whole or not at all; a link there is replaced, not followed.

    It is on the disk before it gets its name, so that an empty one is never found there after a power failure.

    Args:
        denied: bits of its mode that it does not get, whatever the umask.

    Raises:
        OSError: it cannot be written; nothing is left beside it then.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}")  # nobody can have put a link there
    try:
        with temporary.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if denied:
            temporary.chmod(temporary.stat().st_mode & ~denied)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def mark_of(folder: Path, name: str, given: str | None = None) -> str:
    """What tells a directory from others, by whatever path and from whichever machine it is seen.

    It lies there in the file *name*; who asks first makes both, and whoever asks at the same moment gets the same.

    Args:
        given: what a new one is; None: something that no other is.

    Raises:
        OSError: it cannot be read or made.
    """
    path = folder / name
    with contextlib.suppress(FileNotFoundError):
        return read_regular(path).decode("ascii", "replace").strip()
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f".{name.lstrip('.')}.{os.urandom(6).hex()}"
    try:
        with made.open("x", encoding="ascii") as stream:
            stream.write(given or os.urandom(8).hex())
            stream.flush()
            os.fsync(stream.fileno())  # no empty one after a power failure
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
    return read_regular(path).decode("ascii", "replace").strip()


_CURES = {
    errno.EMFILE: "Close what this program has open, or let it open more: `ulimit -n` shows how many.",
    errno.ENFILE: "End programs that have many files open, or raise fs.file-max.",
    errno.ENOSPC: "Free some space and run again.",
}


def cure(error: OSError, otherwise: str) -> str:
    """What to do about *error*; *otherwise* where it is none of what can run out."""
    return _CURES.get(error.errno or 0, otherwise)
