"""Telling whoever waits for somebody else's lock why nothing happens: a write waits for a minute before it gives up."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

from clx.db.database import Database
from clx.db.sqlite.filesystem import locked_by

TOLD_AFTER = 3.0
"""Seconds of waiting after which it is told, once for each time."""
_LOOK = 0.5


def tell_of_locks(database: Database, tell: Callable[[str], None]) -> None:
    """Have *tell* called, from a thread of its own, when *database* has waited for a lock for a while.

    The thread ends with the database.
    """
    thread = threading.Thread(target=_watch, args=(weakref.ref(database), tell), name="lock watch", daemon=True)
    thread.start()


def _watch(reference: weakref.ref[Database], tell: Callable[[str], None]) -> None:
    told = 0.0
    while True:
        time.sleep(_LOOK)
        database = reference()
        if database is None or database.closed:
            return
        since = database.waits_since
        if since and since != told and time.monotonic() - since > TOLD_AFTER:
            told = since
            tell(f"Waiting for the database {database.path}: it is locked, {locked_by(database.path)}.")
