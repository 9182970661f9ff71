"""What a run writes to standard output and standard error: its beginning and its end, whatever lies between."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.workers.run_logs import naming

HALF = 512 << 10
"""Bytes that are kept of the beginning, and of the end."""
SHORT = 4000
"""Bytes that the row of a run holds itself; what is longer is an artifact that it names."""
_MORE = b"\n... (the end of a long output is shown when the run has ended)\n"


class Output:
    """The output of one run."""

    def __init__(self) -> None:
        self._live: Path | None = None
        self._head, self._tail, self._size = bytearray(), bytearray(), 0
        self._written = 0

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

    def show(self, file: Path) -> None:
        """Write what is new to the *file* where it is followed; a full disk stops no run."""
        if self._written == len(self._head) + bool(self._tail):
            return
        self._live = file
        new = bytes(self._head[self._written :]) + (_MORE if self._tail else b"")
        self._written = len(self._head) + bool(self._tail)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as stream:
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
            self.forget()

    def forget(self) -> None:
        """Nobody follows it any more."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.unlink()


class Stream:
    """What a child writes, cut into the outputs of its runs by the mark that it sets after each.

    Args:
        mark: that nothing else writes.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._rest = b""
        self._ended: deque[Output] = deque()
        self.output = Output()
        """That of the run at hand."""

    def add(self, data: bytes) -> None:
        """The child has written *data*."""
        *ended, data = (self._rest + data).split(self._mark)
        for each in ended:
            self.output.add(each)
            self._ended.append(self.output)
            self.output = Output()
        begun = data.rfind(self._mark[:1], -len(self._mark))
        held_back = begun >= 0 and self._mark.startswith(data[begun:])  # the mark has not come whole
        self._rest = data[begun:] if held_back else b""
        self.output.add(data[:begun] if held_back else data)

    def take(self) -> Output | None:
        """The output of the run that ended first and was not taken; None where its mark has not come yet."""
        return self._ended.popleft() if self._ended else None


def readable(data: bytes) -> str:
    """Bytes as text that every table takes."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")
