"""What a server says of its models in the job table, at most once a second: for the page, and for whoever asks."""

from __future__ import annotations

import json
import logging
from time import monotonic, time_ns

from clx.db.serving.figures import FiguresTable
from clx.serving.failures import Refusal
from clx.serving.figures import Watch
from clx.serving.shelf import TableShelf
from clx.serving.tasks import Tasks

SIGN = 5.0
"""Seconds between two signs of life, which also tell of the workers."""
_log = logging.getLogger("clx.serving")


class Telling:
    """Writes down what is new.

    Args:
        shelf: the table.
        watch: what looks at models.
        server: the number of this start.
    """

    def __init__(self, shelf: TableShelf, watch: Watch, server: int) -> None:
        self._shelf = shelf
        self._table = FiguresTable(shelf.table.database)
        self._watch = watch
        self._server = server
        self._tasks = Tasks()
        self._signed = -SIGN

    def look(self) -> None:
        """Write down what is new, beside what else is done; nothing while the last of it is still being written."""
        if not self._tasks:
            self._tasks.begin(self.tell())

    async def tell(self) -> None:
        """Write down what is new; what cannot be written is told with the next."""
        now = time_ns() // 1_000_000
        told, gone = self._watch.news(self._server, now)
        try:
            if told or gone:
                await self._shelf.ask(lambda: self._table.tell(told, gone))
            if monotonic() - self._signed >= SIGN:
                workers = json.dumps({"at": now, "workers": self._watch.workers()})
                await self._shelf.ask(lambda: self._shelf.table.set("workers", workers))
                self._signed = monotonic()
        except Refusal as refusal:
            self._watch.tell_again(gone)
            _log.warning("what models do is not written down yet: %s", refusal)
