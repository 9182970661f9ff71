"""Files that works name: looked at before any of them is read, copied or removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from clx.platforms import system

_HEAD = 1024
_OUTSIDE = "it lies outside of the current directory and of archive.sources"
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
        place: the directory below which it lies, and has to.
        is_link: whether the work names a link to it.
    """

    named: str
    path: Path
    place: Path
    is_link: bool
    size: int
    mark: Mark

    def open(self) -> BufferedReader:
        """Open what was looked at: whatever was put in its place since, or in that of a directory, is not read.

        Raises:
            Refused: it is something else by now.
            OSError: it cannot be opened.
        """
        with _folder(self.place, self.path) as folder:
            file = folder.open(self.path.name)
        if _marked(os.fstat(file.fileno())) != self.mark:
            file.close()
            raise Refused("it was changed while it was looked at")
        return file

    def remove(self) -> bool:
        """Remove it where it still is what was looked at; returns whether it was.

        Raises:
            OSError: it cannot be removed.
        """
        with _folder(self.place, self.path) as folder:
            if _marked(folder.stat(self.path.name, follow=False)) != self.mark:
                return False
            folder.remove(self.path.name)
        return True


@contextmanager
def _folder(place: Path, path: Path) -> Iterator[system.Folder]:
    """The directory of a file, reached from *place* without following a link."""
    held = [system.Folder(place)]
    try:
        for part in path.relative_to(place).parts[:-1]:
            held.append(system.Folder(part, within=held[-1]))
        yield held[-1]
    finally:
        for each in held:
            each.close()


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
        place = next((each for each in places if real != each and real.is_relative_to(each)), None)
        if place is None:
            raise Refused(_OUTSIDE if real not in places else "it is a directory")
        with _folder(place, real) as folder:
            found = folder.stat(real.name, follow=False)
        is_link = path.is_symlink()
    except FileNotFoundError:
        raise Refused("it is not there") from None
    except OSError as error:
        raise Refused(error.strerror or str(error)) from None
    if stat.S_ISDIR(found.st_mode):
        raise Refused("it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("it is no regular file")
    if named in before and before[named] == _mark(path):
        raise Refused("it was there before, and the run has not changed it")
    looked_at = Source(named, real, place, is_link, found.st_size, _marked(found))
    if picture and not _is_picture(looked_at):
        raise Refused("it is no picture")
    return looked_at


def _is_picture(source: Source) -> bool:
    try:
        with source.open() as file:
            return is_picture(file.read(_HEAD))
    except OSError:
        return False


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture: PNG, JPEG, GIF, WebP, BMP, TIFF, SVG, PDF."""
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in head
