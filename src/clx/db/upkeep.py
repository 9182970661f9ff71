"""Pruning by itself: whoever keeps a queue removes once a day what is long over, one of them for all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from clx.db import statements as sql
from clx.db.database import Database
from clx.db.retention import Policy, prune
from clx.errors import ClxError

log = logging.getLogger("clx.upkeep")

USUAL: Mapping[str, float | timedelta] = MappingProxyType({})
"""What is kept for as long as usual."""
_FIRST_AFTER = 10.0
"""Seconds that a program has run before it thinks of it: one that only does a few jobs should not be held up."""
_LOOK_EVERY = 600.0
_DAY = 24 * 3600 * 1000


class Upkeep:
    """Prunes one database once a day, in a thread of its own, so that nobody's heartbeat waits for it.

    Args:
        days: as :meth:`~clx.db.jobs.Queue.prune` takes them; None: never.

    Raises:
        QueueError: a value is no number of days.
    """

    def __init__(self, database: Database, days: Mapping[str, float | timedelta] | None) -> None:
        self._database = database
        self._policy = None if days is None else Policy.of(days)
        self._look_at = time.monotonic() + _FIRST_AFTER
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def prune_if_due(self) -> None:
        """Begin to prune when nobody has for a day."""
        if self._policy is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_EVERY
        if (self._thread is None or not self._thread.is_alive()) and take_turn(self._database):
            self._thread = threading.Thread(target=self._prune, args=(self._policy,), name="upkeep", daemon=True)
            self._thread.start()

    def _prune(self, policy: Policy) -> None:
        try:
            with self._database.waiting_until(self._over.is_set):
                pruned = prune(self._database, policy, is_over=self._over.is_set)
            log.info("pruned: %s", pruned)
        except ClxError as error:  # nobody's job is the worse for it
            log.warning("pruning was put off: %s", error.fact)

    def end(self) -> None:
        """Prune no more; what is left goes another day."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()


def take_turn(database: Database) -> bool:
    """Whether it is the caller's turn to prune: once a day it is one caller's, whoever asks."""
    now = database.clock.now()
    named = {"key": sql.PRUNE_TURN, "type": sql.PRUNE_TURN, "pool": ""}
    if database.read(sql.KEY_IS_TAKEN, {**named, "now": now}):
        return False
    taken = {**named, "until": now + _DAY, "now": now}
    return bool(database.write("take_turn", lambda tx: tx.execute(sql.TAKE_KEY, taken).fetchall()))
