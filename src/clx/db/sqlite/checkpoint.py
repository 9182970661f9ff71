"""Copying the write-ahead log back into the database, without a race that older SQLite has.

A checkpoint that begins while somebody else's commit starts the log anew may take old pages for copied: they are
lost for good (:func:`clx.db.sqlite.driver.can_lose_a_reset`). SQLite makes its own checkpoints right after a commit,
when everybody may write. Here they are made while one of our connections holds the write lock, so that nobody can
start the log anew meanwhile. With a newer SQLite nothing of this is needed, and its own checkpoints are left to it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from clx.db.sqlite.driver import GUARDS_RESETS, driver
from clx.db.sqlite.thread_connection import Held

PAGES = 4000
"""Pages of the log above which it is copied back: four times SQLite's own measure. Each time the disk is waited for,
and pages that were written often are copied once."""
LOG = PAGES * 4096
"""The same in bytes of the file, which tells of the others' pages too."""
LEFT = 2 * LOG
"""Bytes that are left of a longer file. More than the log usually has when it begins anew: cutting and lengthening it
each time would cost a tenth of all commits."""
_EVERY = 100
"""Rows changed by a connection between two looks at the size of the log."""


def prepare(connection: Any) -> None:
    """See that a new *connection* keeps the log short, and makes no checkpoints where they must be guarded."""
    connection.execute(f"PRAGMA journal_size_limit = {LEFT}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if GUARDS_RESETS else PAGES}")


class Checkpointer:
    """Keeps the log of one database short.

    Args:
        log: the file of the log.
        connect: makes a connection that waits for nobody; it holds the write lock during a checkpoint.
    """

    def __init__(self, log: str, connect: Callable[[], Held]) -> None:
        self._log = log
        self._connect = connect
        self._gate: Held | None = None
        self._lock = threading.Lock()
        self._due = LOG  # the size of the file above which it is time
        self._rows = 0  # changed by us since the log was last copied
        self._share = 0  # of so many of them it is time: the file does not shrink when the log begins anew
        self._pages = 0
        self.thread = 0  # which one makes a checkpoint: it holds the write lock by another connection

    def committed(self, held: Held) -> None:
        """A transaction of *held* has just been committed: now and then, see to the log."""
        connection = held.connection
        changes = connection.total_changes
        if not GUARDS_RESETS or changes - held.changes < _EVERY:
            return
        self._rows += changes - held.changes
        held.changes = changes
        self._look(connection)

    def look(self, connection: Any) -> None:
        """See to the log, whoever has written."""
        if GUARDS_RESETS:
            self._rows += _EVERY
            self._look(connection)

    def _look(self, connection: Any) -> None:
        with suppress(OSError):  # no log: another journal mode
            size = os.stat(self._log).st_size  # noqa: PTH116
            if size > self._due or (size > LOG and self._rows >= self._share):
                self._copy(connection, size)

    def _copy(self, connection: Any, size: int) -> None:
        """Copy the log back, and see when it will be time again."""
        is_whole = self.run(connection)
        if is_whole is None:
            return
        # where others write more, a log of so many pages holds fewer rows of ours, and their checkpoints spare us ours
        self._share = max(_EVERY, self._rows * PAGES // max(1, self._pages))
        self._rows = 0
        self._due = max(size, LOG) if is_whole else size + LOG // 4

    def run(self, connection: Any) -> bool | None:
        """Copy back what can be copied; *connection* is in no transaction.

        Returns:
            Whether that was everything (else a reader stands in the way); None where somebody writes just now.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._gate is None:
                self._gate = self._connect()
            gate = self._gate.connection
            self.thread = threading.get_ident()
            gate.execute("BEGIN IMMEDIATE")
            try:
                _, self._pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                gate.execute("ROLLBACK")
        except driver.Error:  # busy, or the disk is full: nothing is lost, the log only stays longer
            return None
        finally:
            self.thread = 0
            self._lock.release()
        return bool(self._pages == copied)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._gate is not None:
                self._gate.close()
                self._gate = None
