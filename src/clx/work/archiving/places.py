"""Where archived files go: a directory of this machine, or a bucket; each copy is read again before it counts."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from clx.errors import ClxError, UsageError
from clx.platforms import system
from clx.regular import open_regular

_CHUNK = 1 << 20
_PATIENCE = 30
"""Seconds for which a bucket is asked again that does not answer."""
Readable = io.BufferedReader | io.BytesIO
_ODD = re.compile(r"[^\w.+=@-]")


class NotKept(ClxError):
    """A copy could not be made, or is not what was copied."""


class Place(Protocol):
    """Keeps copies."""

    def keep(self, source: Readable, folder: str, name: str) -> tuple[str, str, int]:
        """Copy all of *source*, under *name* or that with a number; returns where it is, its digest, and its bytes.

        Raises:
            NotKept, OSError: it could not; nothing has come there that counts.
        """


def folder_of(work: Mapping[str, Any]) -> str:
    """``YYYYMMDD/pipeline/id``, whatever characters pipeline and id are made of."""
    day = time.strftime("%Y%m%d", time.gmtime(work["creation"]))
    return f"{day}/{_part(work['pipeline'])}/{_part(work['id'])}"


def _part(text: str) -> str:
    return _ODD.sub("_", text).lstrip(".")[:128] or "_"


def numbered(name: str) -> Iterator[str]:
    """The name, then with numbers: ``a.png``, ``a-1.png``, ``a-2.png``, …"""
    name = name[-200:]
    yield name
    stem, dot, rest = name.rpartition(".")
    for number in count(1):
        yield f"{stem}-{number}{dot}{rest}" if stem else f"{name}-{number}"


class Directory:
    """A directory: copies appear there whole, or not at all, whenever this program is killed.

    Args:
        root: made when it is needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, source: Readable, folder: str, name: str) -> tuple[str, str, int]:
        """As :meth:`Place.keep`."""
        target = self._root / folder
        _make(target)
        _clean(target)
        temporary, file = _begun(target)
        try:
            with file:
                digest, size = _write(source, file)
                if _digest_of(temporary) != digest:
                    raise NotKept(f"What was written to {target} is not what was read.", "Check the disk.")
                final = _placed(temporary, target, name, digest)
        finally:
            with suppress(OSError):
                temporary.unlink()
        _sync(target)
        return str(final), digest, size


def _make(directory: Path) -> None:
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync(each.parent)


def _begun(target: Path) -> tuple[Path, BinaryIO]:
    """A new file for a copy, locked as long as it is open, so that :func:`_clean` leaves it."""
    while True:
        path = target / f".{secrets.token_hex(8)}.part"
        file = path.open("xb")
        if _is_mine(path, file):
            return path, file
        file.close()  # somebody cleaned up between its creation and the lock


def _is_mine(path: Path, file: BinaryIO) -> bool:
    try:
        if not system.lock(file.fileno(), wait=False):
            return False
    except OSError:  # a file system without locks, where nothing is cleaned up either
        return True
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _clean(target: Path) -> None:
    """Remove what copies have left that were killed; those that are still being made are locked."""
    for path in target.glob(".*.part"):
        with suppress(OSError), open_regular(path, follow=False) as file:
            if system.lock(file.fileno(), wait=False) and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                path.unlink()


def _write(source: Readable, file: BinaryIO) -> tuple[str, int]:
    hasher, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        file.write(chunk)
        size += len(chunk)
    file.flush()
    os.fsync(file.fileno())
    with suppress(AttributeError, OSError):  # so that what is read again comes from the disk
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return hasher.hexdigest(), size


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _placed(temporary: Path, target: Path, name: str, digest: str) -> Path:
    """Give a copy its name, or the next number; one that is there already, of an attempt that was killed, serves."""
    for each in numbered(name):
        final = target / each
        try:
            os.link(temporary, final)
        except FileExistsError:
            if final.is_file() and _digest_of(final) == digest:
                return final
            continue
        except OSError:  # a file system without links: the name is taken first
            try:
                final.open("xb").close()
            except FileExistsError:
                continue
            temporary.replace(final)
        return final
    raise AssertionError


def _sync(directory: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Bucket:
    """A bucket of S3, or of whatever speaks like it: ``s3://bucket/prefix``.

    Key, secret, region and address are read from the variables that all tools for it read (``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``).

    Raises:
        UsageError: *url* is no such address, or the library is not installed.
    """

    def __init__(self, url: str) -> None:
        found = re.fullmatch(r"s3://([^/]+)(?:/(.*?))?/*", url)
        if found is None:
            raise UsageError(f"archive.s3 is no bucket: {url}.", "Write s3://BUCKET/PREFIX.")
        try:
            from obstore.store import S3Store
        except ImportError:
            raise UsageError("Buckets need the package obstore.", 'Type: pip install "clx-build[s3]"') from None
        bucket, self._prefix = found[1], found[2] or ""
        self._url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        more: dict[str, Any] = {"client_options": {"allow_http": True}} if endpoint.startswith("http://") else {}
        if endpoint:
            more["endpoint"] = endpoint
        tries = {"max_retries": 5, "retry_timeout": timedelta(seconds=_PATIENCE)}
        self._store = S3Store(bucket, prefix=self._prefix or None, retry_config=tries, **more)

    def keep(self, source: Readable, folder: str, name: str) -> tuple[str, str, int]:
        """As :meth:`Place.keep`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.seek(0, io.SEEK_END)
        try:
            for each in numbered(name):
                path = f"{folder}/{each}"
                source.seek(0)
                try:
                    if size <= _WHOLE:
                        obstore.put(self._store, path, source.read(), mode="create", use_multipart=False)
                    elif self._digest(path) is None:
                        obstore.put(self._store, path, source)
                    else:
                        raise AlreadyExistsError  # noqa: TRY301
                except AlreadyExistsError:
                    if self._digest(path) != digest:
                        continue
                if self._digest(path) != digest:
                    raise NotKept(f"What lies at {self._url}/{path} is not what was sent.", "Try again.")
                return f"{self._url}/{path}", digest, size
        except (BaseError, OSError) as error:  # there is no such bucket: FileNotFoundError
            raise NotKept(f"{self._url} did not take it: {str(error).splitlines()[0]}.", "See archive.s3.") from error
        raise AssertionError

    def _digest(self, path: str) -> str | None:
        """The digest of what lies there, read again; None where nothing does."""
        import obstore

        hasher = hashlib.sha256()
        try:
            for chunk in obstore.get(self._store, path).stream(min_chunk_size=_CHUNK):
                hasher.update(chunk)
        except FileNotFoundError:
            return None
        return hasher.hexdigest()


_WHOLE = 64 << 20
"""Bytes that are sent in one piece; then the bucket itself sees that nothing is written over."""
