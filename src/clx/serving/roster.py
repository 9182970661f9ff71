"""The workers of this machine as rows of the job table: whoever asks who works there sees those of models, too.

The controller speaks for them, so that a worker has nothing to do but to run models. Requests never wait for it.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Collection
from functools import partial
from time import monotonic

from clx import __version__
from clx.db.identity import process_identity
from clx.db.workers import WorkerTable
from clx.serving.failures import Refusal
from clx.serving.shelf import TableShelf
from clx.serving.tasks import Tasks

TYPE = "model"
"""Of these workers; no job has it."""
_log = logging.getLogger("clx.serving")


class Roster:
    """The rows of a server's workers.

    Args:
        shelf: the table.
        heartbeat: seconds between two signs of life of each.
    """

    def __init__(self, shelf: TableShelf, heartbeat: float) -> None:
        self._shelf = shelf
        self._table = WorkerTable(shelf.table.database)
        self._heartbeat = heartbeat
        self._beaten = monotonic()
        self._rows: dict[int, int] = {}  # by process id
        self._tasks = Tasks()

    def look(self, processes: Collection[int]) -> None:
        """Have the rows be of these *processes*, beside what else is done; not while the last of it is being done."""
        if not self._tasks:
            self._tasks.begin(self.follow(processes, "its process is gone"))

    async def begin(self) -> None:
        """Strike off those of a server that was killed."""
        await self._done(self._strike_off)

    async def follow(self, processes: Collection[int], reason: str) -> None:
        """Have the rows be of these *processes*; what cannot be written is with the next.

        Args:
            processes: the ids of those that there are.
            reason: why those have ended that are no longer among them, unless somebody has asked them to.
        """
        is_due = monotonic() - self._beaten >= self._heartbeat
        if is_due or self._rows.keys() != set(processes):
            await self._done(partial(self._write, set(processes), reason, is_due=is_due))

    async def _done(self, doing: Callable[[], None]) -> None:
        try:
            await self._shelf.ask(doing)
        except Refusal as refusal:
            _log.warning("who holds models is not written down yet: %s", refusal)

    def _write(self, processes: set[int], reason: str, *, is_due: bool) -> None:
        for pid in self._rows.keys() - processes:
            asked = self._table.stop_request(self._rows[pid])
            self._table.end(self._rows[pid], reason if asked is None else str(asked.get("reason", reason)))
            del self._rows[pid]
        if is_due:
            for pid, row in list(self._rows.items()):
                if self._table.beat(row) is None:  # somebody has struck it off, and it lives: it is entered anew
                    del self._rows[pid]
            self._beaten = monotonic()
        for pid in processes - self._rows.keys():
            identity = process_identity(pid)
            if identity:  # else it is gone already
                self._rows[pid] = self._table.register(
                    type=TYPE, pool="", mode="direct", host=platform.node(), pid=pid, identity=identity,
                    version=__version__,
                )  # fmt: skip

    def _strike_off(self) -> None:
        for row in self._table.list():
            if row.type == TYPE and row.is_gone():
                self._table.end(row.id, "its process is gone", dead=True)
