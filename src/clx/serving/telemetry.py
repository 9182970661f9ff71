"""What became of requests, and what workers did: noted in memory, written to the job table by a thread.

A note costs the event loop one append. Batches go out twice a second, or when they have a thousand rows; what a
``kill -9`` takes along is younger than a second.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic_ns, time_ns
from typing import Any

from clx.db.serving.models import ActionRow, RequestRow
from clx.db.serving.table import ServingTable
from clx.errors import ClxError

EVERY = 0.5
"""Seconds between two batches."""
ROWS = 1000
"""Rows that do not wait for the time to be over."""
MOST = 200_000
"""Rows that are kept while the table cannot be written; later ones are lost, and counted."""
_log = logging.getLogger("clx.serving")


class Telemetry:
    """The notes of one start of a server.

    Args:
        table: where they go.
        server: the number of this start.
    """

    def __init__(self, table: ServingTable, server: int) -> None:
        self._table = table
        self._server = server
        self._requests: list[tuple[Any, ...]] = []
        self._actions: list[tuple[Any, ...]] = []
        self._left: tuple[list[RequestRow], list[ActionRow]] = ([], [])
        self._woken = threading.Event()
        self._over = False
        self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="clx-telemetry")
        self._thread.start()

    def request(self, *row: Any) -> None:
        """Note a request; as :class:`~clx.db.serving.models.RequestRow` without ``arrived_at``."""
        self._requests.append(row)
        if len(self._requests) == ROWS:
            self._woken.set()

    def action(self, *row: Any) -> None:
        """Note an action; as :class:`~clx.db.serving.models.ActionRow` without ``sent_at``."""
        self._actions.append(row)
        if len(self._actions) == ROWS:
            self._woken.set()

    def close(self) -> None:
        """Write what there is."""
        self._over = True
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over:
            self._woken.wait(EVERY)
            self._woken.clear()
            self.write()
        self.write()

    def write(self) -> None:
        """Write what has been noted; what cannot be written is tried again with the next batch."""
        requests, self._requests = self._requests, []
        actions, self._actions = self._actions, []
        ahead = time_ns() - monotonic_ns()
        kept_requests, kept_actions = self._left
        kept_requests += [RequestRow._make((*row[:5], (row[5] + ahead) // 1_000_000, *row[5:])) for row in requests]
        kept_actions += [ActionRow._make((*row[:6], (row[6] + ahead) // 1_000_000, *row[6:])) for row in actions]
        for kept in (kept_requests, kept_actions):
            self.lost += max(0, len(kept) - MOST)
            del kept[MOST:]
        try:
            while kept_requests or kept_actions:
                self._table.log(self._server, kept_requests[:ROWS], kept_actions[:ROWS])
                del kept_requests[:ROWS], kept_actions[:ROWS]
        except ClxError as error:
            _log.warning("what became of requests is not written down yet: %s", error)
