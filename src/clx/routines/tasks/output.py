"""What a run writes to standard output and standard error: its beginning and its end, whatever lies between."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.workers.run_logs import live_log, naming

HALF = 512 << 10
"""Bytes that are kept of the beginning, and of the end."""
SHORT = 4000
"""Bytes that the row of a run holds itself; what is longer is an artifact that it names."""
_LIVE_AFTER = 0.25
"""Seconds after which a run's output is written to a file, to be followed."""
_MORE = b"\n... (the end of a long output is shown when the run has ended)\n"


class Output:
    """The output of one run.

    Args:
        folder: where the file lies that others follow while it runs.
    """

    def __init__(self, folder: Path, job_id: int, run: int) -> None:
        self._live = live_log(folder, job_id, run)
        self._head, self._tail, self._size = bytearray(), bytearray(), 0
        self._written = -1
        self._live_at = time.monotonic() + _LIVE_AFTER

    def add(self, data: bytes) -> None:
        """It has written *data*."""
        self._size += len(data)
        room = HALF - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            if len(self._tail) > 2 * HALF:
                del self._tail[:-HALF]

    def data(self) -> bytes:
        """All of it, or beginning and end, and between them how much was left out."""
        tail = self._tail[-HALF:]
        left_out = self._size - len(self._head) - len(tail)
        between = f"\n... {left_out} bytes were left out here ...\n".encode() if left_out else b""
        return bytes(self._head + between + tail)

    def show(self) -> None:
        """Write what is new to the file, once the run has lasted for a while; a full disk stops no run."""
        if time.monotonic() < self._live_at or self._written == len(self._head) + bool(self._tail):
            return
        new = bytes(self._head[max(self._written, 0) :]) + (_MORE if self._tail else b"")
        self._written = len(self._head) + bool(self._tail)
        with contextlib.suppress(OSError):
            self._live.parent.mkdir(parents=True, exist_ok=True)
            with self._live.open("ab") as stream:
                stream.write(new)

    def keep(self, store: ArtifactStore) -> str | None:
        """What the row of the run is to hold: None where it said nothing. Nobody follows it any more.

        Raises:
            OSError, ServerError: it is too long for the row and cannot be stored.
        """
        try:
            if not self._size:
                return None
            data = self.data()
            if len(data) <= SHORT:
                return readable(data)
            digest = store.put_bytes(data)
            store.share([digest])
            return naming(digest, len(data), readable(data[-SHORT:]))
        finally:
            if self._written >= 0:
                with contextlib.suppress(OSError):
                    self._live.unlink()


def readable(data: bytes) -> str:
    """Bytes as text that every table takes."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")
