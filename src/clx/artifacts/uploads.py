"""Objects that come bit by bit: what has come stays when the sender or this process dies, and is added to.

The part of an object lies at ``<root>/tmp/<digest>.part``, locked by whoever writes it. It becomes the object once its
bytes are all there and are what its name says.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import time
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.platforms import system

STILL = 1.0
"""Seconds after which a sender that sends nothing may be replaced by one that goes on with its part."""
_CHUNK = 1 << 20
_CATCHES_UP = 4
"""Bytes of the part that was there which are hashed with each that comes."""
_OPTIONS = os.O_RDWR | os.O_CREAT | system.NO_LINK | system.BINARY


class OffsetError(Exception):
    """An upload was to go on where its part does not end.

    Args:
        offset: bytes that are there.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"{offset} bytes are there")
        self.offset = offset


class InUseError(Exception):
    """Somebody else is sending this object."""


class Upload:
    """One object that is being received; whoever writes it calls one method at a time.

    Attributes:
        offset: bytes that are there.
    """

    def __init__(self, store: ArtifactStore, digest: str, path: Path, *, is_kept: bool) -> None:
        self.digest = digest
        self.offset = 0
        self._store = store
        self._path = path
        self._is_kept = is_kept
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._turn = threading.Lock()
        self._moved_at = time.monotonic()
        self._is_finishing = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = os.fdopen(os.open(path, _OPTIONS, 0o600), "rb+", buffering=0)
        if is_kept and not self._is_mine():
            self._stream.close()
            raise InUseError(digest)

    def _is_mine(self) -> bool:
        """Lock the part; false where another process has it, or has just made an object of it."""
        if not system.lock(self._stream.fileno(), wait=False):
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._stream.fileno()))
        except FileNotFoundError:
            return False

    def resume(self, offset: int | None) -> None:
        """Go on at *offset*; None: from the beginning.

        Raises:
            OffsetError: it ends elsewhere.
        """
        size = os.fstat(self._stream.fileno()).st_size
        if offset is None:
            self._stream.truncate(0)
        elif offset != size:
            raise OffsetError(size)
        self.offset = self._stream.seek(0, os.SEEK_END)

    def _hash_to(self, end: int) -> None:
        """Hash what has not been yet, up to *end*."""
        self._stream.seek(self._hashed)
        while self._hashed < end and (chunk := self._stream.read(min(_CHUNK, end - self._hashed))):
            self._hash.update(chunk)
            self._hashed += len(chunk)
        self._stream.seek(0, os.SEEK_END)

    def is_still(self) -> bool:
        """Whether nothing has come for a while, though it has not come whole."""
        return not self._is_finishing and time.monotonic() - self._moved_at > STILL

    def write(self, data: bytes | bytearray) -> None:
        """Add *data*.

        Raises:
            InUseError: somebody else goes on with this part.
            OSError: it cannot be kept; with ``ENOSPC`` nothing of the object is.
        """
        with self._turn:
            if self._stream.closed:
                raise InUseError(self.digest)
            try:
                view = memoryview(data)
                while view:
                    view = view[self._stream.write(view) :]
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    self._discard()
                raise
            self.offset += len(data)
            if self._hashed == self.offset - len(data):
                self._hash.update(data)
                self._hashed = self.offset
            else:  # what was there before is hashed on the way, so that nobody waits for it at the beginning
                self._hash_to(min(self.offset, self._hashed + _CATCHES_UP * len(data)))
            self._moved_at = time.monotonic()

    def finish(self) -> bool:
        """Keep the object, durably; false when its bytes are not what its name says: then nothing of it is kept.

        Raises:
            InUseError: somebody else goes on with this part.
            OSError: it cannot be kept.
        """
        with self._turn:
            if self._stream.closed:
                raise InUseError(self.digest)
            self._is_finishing = True  # a slow disk takes its time, and nobody else would be faster
            self._hash_to(self.offset)
            if self._hash.hexdigest() != self.digest:
                self._discard()
                return False
            self._store.settle(self._stream, self._path, self.digest)
            self._stream.close()
        with contextlib.suppress(OSError):  # where directories cannot be synced
            descriptor = system.open_folder(self._store.path(self.digest).parent)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return True

    def close(self) -> None:
        """End it; the part stays where another request may go on with it."""
        with self._turn:
            if self._stream.closed:
                return
            if self._is_kept and os.fstat(self._stream.fileno()).st_size:
                self._stream.close()
            else:
                self._discard()

    def discard(self) -> None:
        """Keep nothing of the object."""
        with self._turn:
            if not self._stream.closed:
                self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._stream.close()


class Uploads:
    """The objects that one process receives into a store."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._running: dict[str, Upload] = {}
        self._turn = threading.Lock()

    def offset(self, digest: str) -> int | None:
        """How many bytes of an unfinished object there are; None: there is no part of it."""
        try:
            return self._part(digest).stat().st_size
        except OSError:
            return None

    def is_moving(self, digest: str) -> bool:
        """Whether somebody is sending this object, and nobody may go on with it."""
        with self._turn:
            running = self._running.get(digest)
            return running is not None and not running.is_still()

    def begin(self, digest: str, offset: int | None) -> Upload:
        """Receive an object.

        Args:
            offset: where to go on with its part; None: from the beginning, beside whoever sends it already.

        Raises:
            InUseError: somebody is sending it, and moves.
            OffsetError: the part ends elsewhere.
            OSError: it cannot be kept.
        """
        with self._turn:
            running = self._running.get(digest)
            if running is not None and offset is not None and running.is_still():
                running.close()
                running = None
            upload = self._part_of(digest) if running is None else None
            if upload is None:
                if offset is not None:
                    raise InUseError(digest)
                return self._beside(digest)
            self._running[digest] = upload
        try:
            upload.resume(offset)
        except BaseException:
            self.end(upload)
            raise
        return upload

    def put(self, digest: str, data: bytes | bytearray) -> bool:
        """Keep an object that has come whole, durably; false when its bytes are not what its name says.

        Raises:
            OSError: it cannot be kept; nothing of it is.
        """
        upload = self._beside(digest)
        try:
            upload.write(data)
            return upload.finish()
        finally:
            upload.close()

    def _beside(self, digest: str) -> Upload:
        """An upload with which nobody can go on."""
        return Upload(self._store, digest, self._store.root / "tmp" / os.urandom(12).hex(), is_kept=False)

    def _part_of(self, digest: str) -> Upload | None:
        """The part of an object, for this upload alone; None: another process has it."""
        try:
            return Upload(self._store, digest, self._part(digest), is_kept=True)
        except InUseError:
            return None

    def end(self, upload: Upload) -> None:
        """Let go of an upload that is over, however it went."""
        upload.close()
        with self._turn:
            if self._running.get(upload.digest) is upload:
                del self._running[upload.digest]

    def _part(self, digest: str) -> Path:
        self._store.path(digest)  # refuses what is no digest
        return self._store.root / "tmp" / f"{digest}.part"
