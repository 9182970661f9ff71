"""Structured logs: one JSON object per line in ``<state directory>/logs/clx.jsonl``, written by every process.

Lines are appended whole, so that processes do not tear each other's. The file is set aside when it is
full and :data:`KEPT` old ones stay. Every line has ``at`` (seconds UTC), ``level``, ``logger``, ``pid`` and
``message``; lines about workers have ``action`` (``worker_started``, ``worker_stopped``, …) and ``worker``
besides whatever else belongs to that action.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from clx.platforms import system
from clx.regular import open_regular

if TYPE_CHECKING:
    from clx.db.database import Database

FULL = 4 << 20
"""Bytes after which the file is set aside."""
KEPT = 3
"""How many files that were set aside stay."""

_NEEDED = {"at": int | float, "level": str, "message": str}
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Handler):
    """Appends records to a file that several processes share; every line of this one carries the *context*."""

    def __init__(self, path: Path, **context: Any) -> None:
        super().__init__()
        self._path = path
        self._context = context
        self._descriptor = -1

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line; a log that cannot be written never stops the work."""
        with contextlib.suppress(OSError):
            os.write(self._open(), self._line(record))

    def _line(self, record: logging.LogRecord) -> bytes:
        extra = {key: value for key, value in vars(record).items() if key not in _PLAIN}
        fields = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            **self._context,
            **extra,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        try:
            return msgspec.json.encode(fields, enc_hook=str) + b"\n"
        except UnicodeEncodeError:  # half a character
            return json.dumps(fields, default=str).encode() + b"\n"

    def _open(self) -> int:
        """The descriptor to write to: another one once somebody has set the file aside."""
        if self._descriptor >= 0 and self._is_current():
            return self._descriptor
        self._forget()
        # no link to another file, no pipe that would be waited for
        own = system.NO_LINK | system.NO_WAIT | system.BINARY
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | own, 0o644)
        return self._descriptor

    def _is_current(self) -> bool:
        mine = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        if (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            return False
        if mine.st_size < FULL:
            return True
        self._set_aside()
        return False

    def _set_aside(self) -> None:
        """Shift the files by one; only one process does it, the others find another file of that name, or none yet."""
        system.lock(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return
        if named.st_ino != os.fstat(self._descriptor).st_ino or named.st_size < FULL:
            return
        for number in range(KEPT, 0, -1):
            older = self._path if number == 1 else set_aside_name(self._path, number - 1)
            with contextlib.suppress(FileNotFoundError):
                older.replace(set_aside_name(self._path, number))

    def _forget(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def close(self) -> None:
        """Release the file."""
        self._forget()
        super().close()


def set_aside_name(path: Path, number: int) -> Path:
    """The name of the *number*-th newest file that was set aside."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def log_path(state_dir: Path) -> Path:
    """Where the log of a state directory is."""
    return state_dir / "logs" / "clx.jsonl"


@contextlib.contextmanager
def logged(state_dir: Path, level: str, **context: Any) -> Iterator[None]:
    """Write what CLX logs in here to the file too, from *level* on, each line with the *context*."""
    path = log_path(state_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = JsonLines(path, **context)
    handler.setLevel(level.upper())
    root = logging.getLogger("clx")
    before = root.level
    root.addHandler(handler)
    if not root.isEnabledFor(handler.level):
        root.setLevel(handler.level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def log_paths(database: Database) -> list[Path]:
    """The logs about workers of *database*: of this machine's processes, and of containers."""
    return [log_path(folder) for folder in dict.fromkeys((database.state.path, database.state.shared))]


def entries(
    state_dir: Path, *, worker: int | None = None, since: float = 0.0, end: int | None = None
) -> Iterator[dict[str, Any]]:
    """What was logged, oldest first.

    Args:
        worker: only about this one.
        since: only from this moment on, seconds UTC: a database that was made anew counts from 1 again.
        end: only up to this byte of the file that is written to; whoever follows goes on from there.
    """
    path = log_path(state_dir)
    for name in (*(set_aside_name(path, number) for number in range(KEPT, 0, -1)), path):
        stream = open_log(name)
        if stream is not None:
            with stream:
                lines = stream if end is None or name != path else io.BytesIO(stream.read(end))
                yield from (entry for entry in matching(lines, worker) if entry["at"] >= since)


def entries_of(database: Database, ends: Mapping[Path, int], **which: Any) -> Iterator[dict[str, Any]]:
    """What was logged about a database, by processes of this machine and in containers, oldest first.

    Args:
        ends: state directory → the byte of its log up to which is read; one that is missing is read to its end.
    """
    each = [entries(folder, end=ends.get(folder), **which) for folder in log_folders(database)]
    return heapq.merge(*each, key=lambda entry: float(entry["at"]))


def log_folders(database: Database) -> list[Path]:
    """The state directories in which something is logged about *database*: this machine's, and the containers'."""
    return list(dict.fromkeys((database.state.path, database.state.shared)))


def open_log(path: Path) -> BinaryIO | None:
    """A log to read; None where there is no such file. What a job in a container made of it is none."""
    with contextlib.suppress(OSError):
        return open_regular(path, follow=False)
    return None


def matching(lines: Iterator[bytes] | Any, worker: int | None) -> Iterator[dict[str, Any]]:
    """The entries in *lines*; a line cut short by a full disk is passed over."""
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        known = isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in _NEEDED.items())
        if known and (worker is None or entry.get("worker") == worker):
            yield entry
