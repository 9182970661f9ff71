"""Files as arguments and results: they travel as artifacts, by what is in them and never by where they lay."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path
from typing import Any

from clx.errors import RoutineValueError
from clx.regular import open_regular
from clx.routines.codecs.canonical import Files, Refusal, Sink, Writer, as_type, find_object, need, quoted

_VERIFIED_UP_TO = 64 << 20
"""Bytes up to which an object's bytes are read once more before they are given out; larger ones were when they came."""


class File:
    """A file that travels with a call. Two are equal when their bytes and names are.

    ``open(file)`` works as with a path; what came from a routine is read-only.

    Args:
        path: where it lies. It is read when the call is made.
        name: what it is called; None: as it is there.

    Raises:
        RoutineValueError: the name leads to another directory.
    """

    __slots__ = ("_digest", "_files", "_path", "_size", "name")

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        self._path: Path | None = Path(path)
        self.name = self._path.name if name is None else name
        if not self.name or self.name in {".", ".."} or set(self.name) & set("/\\\0"):
            raise RoutineValueError(f"A file cannot be called {self.name!r}.", "Give a name without a directory.")
        self._digest, self._size = "", -1
        self._files: Files | None = None

    @property
    def path(self) -> Path:
        """Where it lies; what came from a routine is fetched, if it is not here yet.

        Raises:
            ArtifactError: it is missing, or damaged.
        """
        if self._path is None:
            assert self._files is not None
            found = find_object(self._files, self._digest, self._size)
            if self._size <= _VERIFIED_UP_TO:
                self._files.require_whole(self._digest)
            self._path = found
        return self._path

    @property
    def sha256(self) -> str:
        """The digest of its bytes, 64 hexadecimal digits."""
        if self._digest:
            return self._digest
        with open_regular(self.path) as stream:
            return file_digest(stream, "sha256").hexdigest()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size if self._digest else self.path.stat().st_size

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, File):
            return NotImplemented
        return (self.name, self.size, self.sha256) == (other.name, other.size, other.sha256)

    def __hash__(self) -> int:
        return hash((self.name, self.sha256))

    def __repr__(self) -> str:
        return f"File({self.name!r}, {self._digest[:12] or self._path})"


def writer(kind: type) -> Writer | None:
    """How a :class:`File` is written."""
    return _write if kind is File else None


def _write(value: File, files: Sink | None, depth: int) -> str:  # noqa: ARG001
    digest, size = value._digest, value._size
    if not digest or not need(files).holds(digest, size):
        try:
            digest, size = need(files).put_file(value.path)
        except OSError as error:
            raise Refusal(f"{value._path}: {error.strerror}.", "Give a file that can be read.") from error
    return f'{{"$file":["{digest}",{size},{quoted(value.name)}]}}'


def _read(data: Any, files: Files | None, depth: int) -> File:  # noqa: ARG001
    digest, size, name = as_type(list, data, 3)
    file = File("-", name=as_type(str, name))
    find_object(need(files), digest, size)
    file._digest, file._size, file._files, file._path = digest, size, files, None
    return file


READ = {"$file": _read}
