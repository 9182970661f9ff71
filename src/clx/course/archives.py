"""What lies in archives and compressed files, read within bounds and by their first bytes, whatever they are called."""

from __future__ import annotations

import codecs
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any, Protocol

MOST = 256 << 20
"""Bytes that are read of one archive at most: what is unpacked counts, in each of the archives that it lies in."""
_MOST_MEMBERS = 100_000
_DEEPEST = 4
"""Archives in archives that are opened."""
_HEAD = 512
_CLOSED = re.compile(
    rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|\x1f\x9d|LZIP\x01|MSCF\0\0\0\0|hsqs|sqsh|xar!|MSWIM\0"
    rb"|..-l[hz][0-9d]-",
    re.DOTALL,
)
"""How archives begin that nothing here reads: 7z, rar, zstd, lz4, compress, lzip, cab, squashfs, xar, wim, lzh."""
_AR = b"!<arch>\n"
"""How an archive of ar (``.deb``) begins, which nothing here reads either: like a text."""
_ZLIB = frozenset(bytes([0x78, second]) for second in range(256) if not (0x7800 + second) % 31)
"""How streams of zlib begin."""
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""What no text has in it (an escape it may have)."""
_OPAQUE = re.compile(
    rb"\x89PNG\r|\xff\xd8\xff|GIF8[79]a|RIFF....(?:WEBP|WAVE|AVI )|II\*\0|MM\0\*|%PDF-|....ftyp|\x1aE\xdf\xa3|OggS\0"
    rb"|ID3[\x02-\x04]|\xff[\xfa\xfb\xf2\xf3]|fLaC\0|wOF[F2]\0|OTTO\0|\x00\x01\x00\x00\x00|\x93NUMPY|PAR1\x15",
    re.DOTALL,
)
"""How pictures, PDF, sound, films, fonts and arrays begin: what they hold is compressed, or is numbers."""


class ClosedArchiveError(Exception):
    """An archive cannot be looked through: it is damaged, too large, or of a kind that nothing here reads."""


class Readable(Protocol):
    """What can be read from its beginning to its end."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most *size*."""
        ...


class _Budget:
    def __init__(self) -> None:
        self.bytes = MOST
        self.members = _MOST_MEMBERS

    def take(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise ClosedArchiveError("it is too large")

    def take_member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise ClosedArchiveError(f"it holds more than {_MOST_MEMBERS} files")


class _Metered:
    """Reads something whose first bytes were read already; what is unpacked is paid from a budget."""

    def __init__(self, head: bytes, rest: Readable, budget: _Budget | None) -> None:
        self._head = head
        self._rest = rest
        self._budget = budget

    def read(self, size: int = -1, /) -> bytes:
        if self._budget is None:
            found = self._rest.read(size if size < 0 else max(0, size - len(self._head)))
        else:
            asked = MOST + 1 if size < 0 else max(0, size - len(self._head))
            found = _guarded(lambda: self._rest.read(asked))
            self._budget.take(len(found))
        head, self._head = self._head[: len(self._head) if size < 0 else size], self._head[size:] if size >= 0 else b""
        return head + found

    def close(self) -> None:
        """For who thinks that it is a file."""


def _guarded(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        raise ClosedArchiveError(str(error)) from error


def files_in(stream: IO[bytes]) -> Iterator[tuple[str, Readable]]:
    """Each file in an archive, with its path in there; of what is no archive, itself, with an empty path.

    A file must be read before the next one is asked for. Pictures and the like are left out.

    Args:
        stream: at its beginning, and seekable.

    Raises:
        ClosedArchiveError: not all of it can be looked through.
        OSError: it cannot be read.
    """
    yield from _files("", stream, None, 0)


def _files(name: str, stream: Any, budget: _Budget | None, depth: int) -> Iterator[tuple[str, Readable]]:
    head = stream.read(_HEAD) if budget is None else _guarded(lambda: stream.read(_HEAD))
    is_text = _is_text(head)
    if not is_text and _OPAQUE.match(head):
        return
    opened = None if is_text else _opener(head)
    is_closed = head.startswith(_AR) or (not is_text and _CLOSED.match(head))
    if is_closed or (opened and depth == _DEEPEST):
        raise ClosedArchiveError("it cannot be opened")
    whole = _Metered(head, stream, budget)
    if opened is None:
        yield name, whole
        if budget is None and _ends_as_zip(stream):  # behind a program that unpacks or runs it
            yield from _zip(name, stream, _Budget(), depth + 1)
        return
    if budget is None:
        stream.seek(0)
    yield from opened(name, stream if budget is None else whole, budget or _Budget(), depth + 1)


def _is_text(head: bytes) -> bool:
    """Whether a file that begins so is a text, whatever else its first letters might mean."""
    if _CONTROLS.search(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _ends_as_zip(stream: IO[bytes]) -> bool:
    import zipfile

    found = zipfile.is_zipfile(stream)
    stream.seek(0)
    return found


def _opener(head: bytes) -> Callable[[str, Any, _Budget, int], Iterator[tuple[str, Readable]]] | None:
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _zip
    if head[257:262] == b"ustar":
        return _tar
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ\0", b"\x5d\0\0")) or re.match(rb"BZh[1-9]1AY&SY", head):
        return _compressed
    return _compressed if _is_zlib(head) else None


def _is_zlib(head: bytes) -> bool:
    """Whether it is a stream of zlib, as git keeps its objects: it bears no name, so a part of it is unpacked."""
    if head[:2] not in _ZLIB:
        return False
    try:
        return bool(zlib.decompressobj().decompress(head, 1))
    except zlib.error:
        return False


class _Inflated(io.RawIOBase):
    """What a stream of zlib holds."""

    def __init__(self, packed: Readable) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some more of it."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._packed.read(1 << 16)
            if not data:
                raise ClosedArchiveError("it is cut off")
            if found := self._inflate.decompress(data, len(buffer)):
                buffer[: len(found)] = found
                return len(found)
        return 0


def _compressed(name: str, stream: Any, budget: _Budget, depth: int) -> Iterator[tuple[str, Readable]]:
    import bz2
    import gzip

    head = stream.read(2)
    whole = _Metered(head, stream, None)
    kinds: dict[bytes, Callable[[Any], Any]] = {
        b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
        b"BZ": bz2.BZ2File,
        **dict.fromkeys(_ZLIB, lambda file: io.BufferedReader(_Inflated(file))),
    }
    yield from _files(name, kinds.get(head, lzma.LZMAFile)(whole), budget, depth)


def _tar(name: str, stream: Any, budget: _Budget, depth: int) -> Iterator[tuple[str, Readable]]:
    import tarfile

    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                budget.take_member()
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None:
                    yield from _files(_joined(name, member.name), file, budget, depth)
    except tarfile.TarError as error:
        raise ClosedArchiveError(str(error)) from error


def _zip(name: str, stream: Any, budget: _Budget, depth: int) -> Iterator[tuple[str, Readable]]:
    import zipfile

    seekable = stream if depth == 1 else io.BytesIO(stream.read())
    try:
        with zipfile.ZipFile(seekable) as archive:
            for member in archive.infolist():
                budget.take_member()
                path = _joined(name, member.filename)
                if member.flag_bits & 1:  # encrypted: nobody reads it without the password
                    yield path, io.BytesIO()
                elif not member.is_dir():
                    with _guarded(partial(archive.open, member)) as file:
                        yield from _files(path, file, budget, depth)
    except zipfile.BadZipFile as error:
        raise ClosedArchiveError(str(error)) from error


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
