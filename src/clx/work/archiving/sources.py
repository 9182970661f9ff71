"""Files that works name: looked at before any of them is read, copied or removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = 1024
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"%PDF-")
Mark = tuple[int, int, int, int]
"""By what it is seen that a file was changed."""


class Refused(Exception):
    """A file is not archived; says why."""


class Source(NamedTuple):
    """A file that may be archived.

    Attributes:
        named: as the work names it.
        path: where it is, without links.
        is_link: whether the work names a link to it.
    """

    named: str
    path: Path
    is_link: bool
    size: int
    mark: Mark

    def is_unchanged(self) -> bool:
        """Whether it still is what was looked at."""
        return _mark(self.path) == self.mark


def marks(directory: Path, named: Iterable[Any]) -> dict[str, Mark | None]:
    """What there is of files before a run; None: nothing."""
    return {each: _mark(directory / each) for each in named if isinstance(each, str) and "\0" not in each}


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _marked(found)


def _marked(found: os.stat_result) -> Mark:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def source(
    named: str, directory: Path, places: Sequence[Path], before: Mapping[str, Mark | None], *, picture: bool
) -> Source:
    """The file that a work names.

    Args:
        places: below one of these it has to lie.
        before: files that whoever deposited the work has named: only what the run has made or changed is archived.
        picture: whether it has to be one.

    Raises:
        Refused: it is not to be archived.
    """
    if not named or "\0" in named:
        raise Refused("it is no path")
    if ".." in Path(named).parts:
        raise Refused("it goes upwards (..)")
    path = directory / named
    try:
        real = Path(os.path.realpath(path, strict=True))
        found = real.stat()
        is_link = path.is_symlink()
    except FileNotFoundError:
        raise Refused("it is not there") from None
    except OSError as error:
        raise Refused(error.strerror or str(error)) from None
    if not any(real.is_relative_to(each) for each in places):
        raise Refused("it lies outside of the current directory and of archive.sources")
    if stat.S_ISDIR(found.st_mode):
        raise Refused("it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("it is no regular file")
    if named in before and before[named] == _mark(path):
        raise Refused("it was there before, and the run has not changed it")
    if picture and not is_picture(real):
        raise Refused("it is no picture")
    return Source(named, real, is_link, found.st_size, _marked(found))


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture does: PNG, JPEG, GIF, WebP, BMP, TIFF, SVG, PDF."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in head
