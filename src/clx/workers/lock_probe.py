"""Whether a database is to be reached from here: run inside a container while the host holds its write lock.

``python -m clx.workers.lock_probe PATH`` prints one word: ``BUSY`` (the lock is seen: all is well), ``FREE``
(it is not seen: two writers would damage the file), ``MISSING`` (no such file here), or ``ERROR`` and what SQLite said.
With ``--wait`` it prints ``READY`` first and looks on SIGUSR1, so that the lock need not be held while a container
is made and started.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from clx.db.sqlite.database import SqliteDatabase
from clx.errors import DatabaseBusyError, DatabaseError

READY = "READY"
WAIT = 60.0
"""Seconds after which a look is made though nobody has asked for it."""


def look(path: Path) -> str:
    """The answer for the database at *path*; nothing is made or changed."""
    if not path.is_file():
        return "MISSING"
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        # SQLite would open it for reading and take any BEGIN as granted
        return "ERROR it cannot be written there"
    database = SqliteDatabase(path, journal_mode="keep", busy_timeout=0.05)
    try:
        database.write("look", lambda connection: None)  # noqa: ARG005
    except DatabaseBusyError:
        return "BUSY"
    except DatabaseError as error:
        return f"ERROR {error.fact}"
    finally:
        database.close()
    return "FREE"


def wait_to_be_told() -> None:
    """Say that all is ready, and wait for SIGUSR1, or for :data:`WAIT` seconds."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # blocked it is kept, also for the first process
    print(READY, flush=True)  # noqa: T201
    signal.sigtimedwait({signal.SIGUSR1}, WAIT)


if __name__ == "__main__":
    if "--wait" in sys.argv[2:]:
        wait_to_be_told()
    print(look(Path(sys.argv[1])))  # noqa: T201
