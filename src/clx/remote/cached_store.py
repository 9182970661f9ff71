"""A store in front of that of a server: what is here is used, what is not is fetched, and what others need is sent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clx.artifacts.store import LINK_FROM, ArtifactStore
from clx.errors import ArtifactError, ArtifactMissingError
from clx.remote.artifacts import AT_ONCE, ArtifactServer


class CachedStore(ArtifactStore):
    """The store below one directory, in front of a server's.

    Args:
        root: the directory.
        server: who keeps the artifacts for all machines.
    """

    def __init__(self, root: Path, server: ArtifactServer) -> None:
        super().__init__(root)
        self._server = server
        self._there: set[str] = set()

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the object is here or there. What is only there is not asked for its size."""
        if self._is_here(digest, size):
            return True
        if digest not in self._there:
            self._learn([digest])
        return digest in self._there

    def _is_stored(self, digest: str, size: int) -> bool:
        """Looked at each time: what was lost and is made again must not be taken for stored."""
        self._known.discard(digest)
        return super()._is_stored(digest, size)

    def look_up(self, digests: Iterable[str]) -> None:
        """Learn at once which of *digests* are here or there."""
        absent = {digest for digest in digests if not self._is_here(digest)}
        self._there -= absent
        self._learn(absent)

    def _learn(self, digests: Collection[str]) -> None:
        if digests:
            self._there |= set(digests) - self._server.missing(digests)

    def forget(self) -> None:
        """Take nothing for stored, here or there, because it was."""
        super().forget()
        self._there.clear()

    def share(self, digests: Iterable[str]) -> None:
        """Send those of *digests* that the server has not.

        Raises:
            ArtifactMissingError: one is neither here nor there.
            ServerError: the server does not answer, has no room, or refuses.
        """
        wanted = set(digests)
        if not wanted:
            return
        missing = sorted(self._server.missing(wanted, self._sizes(wanted)))
        self._there -= set(missing)
        for digest in missing:
            if not self._is_here(digest):
                raise self._missing(digest)
        try:
            self._server.put([(digest, self.path(digest)) for digest in missing])
        except ArtifactError:
            for digest in missing:
                if not self.verify(digest):
                    raise self._damaged(digest) from None
            raise
        except FileNotFoundError as error:  # pruned meanwhile
            raise ArtifactMissingError("An artifact is not in the store any more.", "Build again.") from error

    def _sizes(self, digests: Iterable[str]) -> dict[str, int]:
        """Bytes of those that are here."""
        found = {}
        for digest in digests:
            with contextlib.suppress(OSError):
                found[digest] = self.path(digest).stat().st_size
        return found

    def bring(self, digest: str) -> Path:
        """Where the object lies, fetched if it is not here.

        Raises:
            ArtifactMissingError: it is neither here nor there.
            ServerError: the server does not answer, or refuses.
        """
        path = self.path(digest)
        if self._is_here(digest):
            return path
        with self._temporary() as (stream, temporary):
            try:
                self._server.get(digest, stream)
            except ArtifactMissingError:
                self._there.discard(digest)
                raise
            # what a power failure leaves of a copied one is found out when it is read, and fetched anew
            self.settle(stream, temporary, digest, synced=stream.tell() >= LINK_FROM)
        return path

    def bring_all(self, digests: Collection[str]) -> None:
        """Fetch those of *digests* that are not here, several at a time; errors as of :meth:`bring`."""
        absent = sorted({digest for digest in digests if not self._is_here(digest)})
        if len(absent) < 2:
            for digest in absent:
                self.bring(digest)
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(absent)), "artifacts") as pool:
            for _ in pool.map(self.bring, absent):
                pass

    def reader(self, digest: str) -> io.BufferedReader:
        """The object to read, fetched if it is not here; errors as of :meth:`bring`."""
        self.bring(digest)
        return super().reader(digest)

    def get_bytes(self, digest: str) -> bytes:
        """The object's bytes, verified; where those here are damaged, the server's; errors as of :meth:`bring`."""
        try:
            return super().get_bytes(digest)
        except ArtifactMissingError:
            raise
        except ArtifactError:
            return super().get_bytes(digest)

    def copy_to(self, digest: str, target: Path) -> int:
        """Write the object to the new file *target*, as :meth:`get_bytes` gets it; returns its size."""
        try:
            return super().copy_to(digest, target)
        except ArtifactMissingError:
            raise
        except ArtifactError:
            return super().copy_to(digest, target)

    def materialize(self, files: Collection[tuple[str, str]], directory: Path) -> None:
        """Lay out files as its base does, those fetched that are not here; errors also as of :meth:`bring`."""
        self.bring_all([digest for _, digest in files])
        super().materialize(files, directory)

    def verify(self, digest: str) -> bool:
        """Whether the object is here and its bytes are what its name says."""
        return self._is_here(digest) and super().verify(digest)
