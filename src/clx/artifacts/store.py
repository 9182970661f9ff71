"""Content-addressed files: ``sha256`` → immutable bytes.

Objects lie at ``<root>/<first two digits>/<rest>``, read-only. They are written to a temporary file on the
same file system, synced, and moved into place, so many processes may put the same bytes at once and a
crash leaves at worst a temporary file. A row that names a digest is written only after the object is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

from clx.errors import ArtifactError, ArtifactMissingError
from clx.platforms import system
from clx.regular import open_regular, read_regular

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DIGEST = re.compile("[0-9a-f]{64}")
_CHUNK = 1 << 20
LINK_FROM = 64 << 20
"""Inputs of at least this many bytes are linked instead of copied, and verified again afterwards."""
_TEMPORARY_AGE = 24 * 3600.0
_RENEWED_AFTER = 3600.0
UNNAMED_FOR = 24 * 3600.0
"""Seconds for which an object that no row names stays, because its row may be about to be written."""
_TO_READ = os.O_RDONLY | system.NO_LINK | system.NO_WAIT | system.BINARY


class ArtifactStore:
    """The store below one directory, which is made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: set[str] = set()

    def path(self, digest: str) -> Path:
        """Where the object of *digest* lies or would lie.

        Raises:
            ArtifactError: it is no digest: a name that a row gives must not lead out of the store.
        """
        if not _DIGEST.fullmatch(digest):
            raise ArtifactError(f"{digest[:80]!r} is not the name of an artifact.", "Build again to make it anew.")
        return self.root / digest[:2] / digest[2:]

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the object is there, and of *size* bytes where that is given; its bytes are not read."""
        return self._is_here(digest, size)

    def _is_here(self, digest: str, size: int | None = None) -> bool:
        try:
            found = os.stat(self.path(digest))  # noqa: PTH116  (hot: thousands a build)
        except (OSError, ArtifactError):
            return False
        return stat.S_ISREG(found.st_mode) and (size is None or found.st_size == size)

    # -- among machines ---------------------------------------------------------------------------

    def look_up(self, digests: Iterable[str]) -> None:
        """Learn at once which of *digests* are there, where :meth:`has` would ask another machine for each."""

    def forget(self) -> None:
        """Take nothing for stored because it was: something has gone that should be there."""
        self._known.clear()

    def share(self, digests: Iterable[str]) -> None:
        """See that whoever may read a row that names *digests* finds them; called before it is written.

        Raises:
            ArtifactMissingError: one of them is nowhere.
            ServerError: the server that keeps them for others cannot take them.
        """

    def bring(self, digest: str) -> Path:
        """Where the object lies, once it is here.

        Raises:
            ArtifactMissingError: it is nowhere; where there is but this store, whoever opens it will see.
        """
        return self.path(digest)

    # -- in ---------------------------------------------------------------------------------------

    def put_bytes(self, data: bytes) -> str:
        """Store *data*; returns its digest."""
        digest = hashlib.sha256(data).hexdigest()
        if not self._is_stored(digest, len(data)):
            with self._temporary() as (stream, temporary):
                stream.write(data)
                self.settle(stream, temporary, digest)
        return digest

    def put_file(self, source: Path, digest: str | None = None) -> tuple[str, int]:
        """Store a file; returns digest and size in bytes.

        Args:
            digest: what the caller believes it is; saves work when it is stored already.

        Raises:
            OSError: the source cannot be read.
        """
        size = source.stat().st_size
        if digest is not None and self._is_stored(digest, size):
            return digest, size
        if size <= _CHUNK:
            data = read_regular(source)
            return self.put_bytes(data), len(data)
        with open_regular(source) as reader, self._temporary() as (stream, temporary):
            found, size = _copy_hashing(reader, stream)
            if self._is_stored(found, size):
                return found, size
            self.settle(stream, temporary, found)
        return found, size

    def put_written(self, write: Callable[[HashingWriter], None]) -> tuple[str, int]:
        """Store what *write* writes into the stream that it is given; returns digest and size in bytes.

        Nothing is copied, and what was written must stay as it is until this returns.
        """
        with self._temporary() as (stream, temporary):
            with HashingWriter(stream.fileno()) as writer:
                write(writer)
                is_synced = writer.is_hashing
                if is_synced:  # it may be stored already, but waiting for the digest would take as long
                    os.fsync(stream.fileno())
            digest, size = writer.digest, writer.size
            if not self._is_stored(digest, size):
                self.settle(stream, temporary, digest, synced=not is_synced)
        return digest, size

    def holds(self, digest: str, size: int) -> bool:
        """Whether the object is here, and stays for a while: who asks is about to write a row that names it."""
        return self._is_stored(digest, size)

    def _is_stored(self, digest: str, size: int) -> bool:
        if digest in self._known:
            return True
        if not self._is_here(digest, size):
            return False
        self.renew(digest)
        self._known.add(digest)
        return True

    def renew(self, digest: str) -> None:
        """Make an old object young: whoever puts it is about to write a row that names it."""
        path = self.path(digest)
        with contextlib.suppress(OSError):  # somebody else's file: then its age protects it only from its owner
            if time.time() - path.stat().st_mtime > _RENEWED_AFTER:
                os.utime(path)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[IO[bytes], Path]]:
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / os.urandom(12).hex()
        try:
            with temporary.open("xb") as stream:
                yield stream, temporary
        finally:
            temporary.unlink(missing_ok=True)

    def settle(self, stream: IO[bytes], temporary: Path, digest: str, *, synced: bool = True) -> None:
        """Keep a file below ``tmp``, whose bytes are those of *digest*: move it into place.

        Args:
            synced: whether it is to be on the disk before it has its name.
        """
        stream.flush()
        if synced:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o444)  # noqa: PTH101
        final = self.path(digest)
        try:
            os.replace(temporary, final)  # noqa: PTH105
        except FileNotFoundError:
            final.parent.mkdir(exist_ok=True)
            os.replace(temporary, final)  # noqa: PTH105
        self._known.add(digest)

    # -- out --------------------------------------------------------------------------------------

    def get_bytes(self, digest: str) -> bytes:
        """The object's bytes, verified.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        with self.reader(digest) as reader:
            data = reader.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._damaged(digest)
        return data

    def copy_to(self, digest: str, target: Path) -> int:
        """Write the object to the new file *target*, verified on the way; returns its size.

        Raises:
            ArtifactError: it is missing or damaged; *target* is removed then.
        """
        with self.reader(digest) as reader, target.open("xb") as stream:
            found, size = _copy_hashing(reader, stream)
        if found != digest:
            target.unlink()
            raise self._damaged(digest)
        return size

    def materialize(self, files: Collection[tuple[str, str]], directory: Path) -> None:
        """Lay out ``(relative POSIX path, digest)`` pairs below *directory*.

        Small files are copied and verified; large ones are cloned where the file system can, else
        linked read-only: :meth:`verify_links` tells afterwards whether a job wrote into one.

        Raises:
            ArtifactError: an object is missing or damaged, or a path leaves *directory*.
        """
        made: set[Path] = set()
        for name, digest in files:
            target = directory / name
            if ".." in target.parts or not target.is_relative_to(directory):
                raise ArtifactError(f"The input path {name!r} leaves the job's directory.")
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            self._place(digest, target)

    def _place(self, digest: str, target: Path) -> None:
        origin = self.path(digest)
        try:
            found = origin.lstat()
        except OSError as error:
            raise self._missing(digest) from error
        if found.st_size < LINK_FROM or not stat.S_ISREG(found.st_mode):
            self.copy_to(digest, target)
            return
        if system.share_blocks(origin, target):
            target.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
            return
        try:
            os.link(origin, target)
        except OSError:
            shutil.copyfile(origin, target)

    def verify_links(self, files: Collection[tuple[str, str]]) -> None:
        """Check the large objects among *files* again after a job could have written into them.

        Raises:
            ArtifactError: one was damaged; it has been removed from the store.
        """
        for _, digest in files:
            path = self.path(digest)
            if path.exists() and path.stat().st_size >= LINK_FROM and not self.verify(digest):
                raise self._damaged(digest)

    # -- care -------------------------------------------------------------------------------------

    def verify(self, digest: str) -> bool:
        """Whether the object is there and its bytes are what its name says."""
        try:
            with self.reader(digest) as reader:
                return hashlib.file_digest(reader, "sha256").hexdigest() == digest
        except (OSError, ArtifactError):
            return False

    def require_whole(self, digest: str) -> None:
        """See that the object is there and its bytes are what its name says.

        Raises:
            ArtifactError: it is missing, or damaged: then it was removed from the store.
        """
        with self.reader(digest) as reader:
            is_whole = hashlib.file_digest(reader, "sha256").hexdigest() == digest
        if not is_whole:
            raise self._damaged(digest)

    def reader(self, digest: str) -> io.BufferedReader:
        """The object to read: never what a link leads to, and never what one would wait for.

        Raises:
            ArtifactError: it is missing, or no file: it was removed from the store.
        """
        try:
            descriptor = os.open(self.path(digest), _TO_READ)
        except OSError as error:
            raise (self._damaged(digest) if error.errno == errno.ELOOP else self._missing(digest)) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._damaged(digest)
        return os.fdopen(descriptor, "rb")

    def digests(self) -> Iterator[str]:
        """Every object in the store."""
        if not self.root.is_dir() or self.root.is_symlink():
            return
        for folder in sorted(self.root.iterdir()):
            # a job in a container may have made a link: what lies behind it is none of the store's
            if len(folder.name) == 2 and folder.is_dir() and not folder.is_symlink():
                names = (folder.name + entry.name for entry in sorted(folder.iterdir()))
                yield from (name for name in names if _DIGEST.fullmatch(name))

    def prune(self, keep: Collection[str], *, older_than: float = UNNAMED_FOR) -> tuple[int, int]:
        """Remove objects older than *older_than* seconds that no row names; returns how many, and their bytes."""
        wanted, count, freed, now = set(keep), 0, 0, time.time()
        for digest in list(self.digests()):
            path = self.path(digest)
            with contextlib.suppress(FileNotFoundError):  # another prune was faster
                found = path.lstat()
                if digest not in wanted and now - found.st_mtime >= older_than:
                    path.unlink()
                    self._known.discard(digest)
                    count, freed = count + 1, freed + found.st_size
        self._remove_temporaries(now)
        return count, freed

    def size(self) -> tuple[int, int]:
        """How many objects there are, and their bytes."""
        sizes = [self.path(digest).lstat().st_size for digest in self.digests()]
        return len(sizes), sum(sizes)

    def _remove_temporaries(self, now: float) -> None:
        folder = self.root / "tmp"
        for entry in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
            with contextlib.suppress(FileNotFoundError):
                if now - entry.stat().st_mtime > _TEMPORARY_AGE:
                    entry.unlink()

    def _missing(self, digest: str) -> ArtifactMissingError:
        self._known.discard(digest)
        return ArtifactMissingError(f"Artifact {digest[:12]} is not in the store.", "Build again to make it anew.")

    def _damaged(self, digest: str) -> ArtifactError:
        """Take a damaged object out of the store, so that the next put or job makes it anew."""
        self._known.discard(digest)
        path = self.path(digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # a directory, say
            return ArtifactError(f"{path} is no artifact, and cannot be removed: {error.strerror}.", "Remove it.")
        return ArtifactError(
            f"Artifact {digest[:12]} is damaged: its bytes are not what its name says.",
            "It was removed from the store; build again to make it anew.",
        )


class HashingWriter:
    """A stream into a file whose digest is made beside, by a thread: with large buffers in the time of one of both."""

    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._hash, self.size = descriptor, hashlib.sha256(), 0
        self._thread = ThreadPoolExecutor(1, "digest")  # starts with the first large buffer
        self._hashing: Future[None] | None = None

    def __enter__(self) -> HashingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    @property
    def is_hashing(self) -> bool:
        """Whether the thread is behind what was written."""
        return self._hashing is not None and not self._hashing.done()

    @property
    def digest(self) -> str:
        """Of what was written so far, in hexadecimal digits."""
        self._wait()
        return self._hash.hexdigest()

    def write(self, buffer: Buffer) -> int:
        """Write all of *buffer*, which must stay as it is; returns its bytes."""
        view = memoryview(buffer).cast("B")
        self._wait()
        if view.nbytes <= _CHUNK:
            self._hash.update(view)
        else:
            self._hashing = self._thread.submit(self._hash.update, view)
        self._write(view)
        self.size += view.nbytes
        return view.nbytes

    def _wait(self) -> None:
        """One buffer at a time is ahead of its digest, so that not all of them stay in memory."""
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[os.write(self._descriptor, view) :]

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Whoever opened the file closes it."""


def _copy_hashing(reader: IO[bytes], writer: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := reader.read(_CHUNK):
        digest.update(chunk)
        writer.write(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
