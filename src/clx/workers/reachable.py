"""Whether a database is to be reached from here: run inside a container while the host holds its write lock.

``python -m clx.workers.reachable PATH`` prints one word: ``BUSY`` (the lock is seen: all is well), ``FREE`` (it is
not seen: two writers would damage the file), ``MISSING`` (no such file here), or ``ERROR`` and what SQLite said.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from clx.db.database import Database
from clx.errors import DatabaseBusyError, DatabaseError


def look(path: Path) -> str:
    """The answer for the database at *path*; nothing is made or changed."""
    if not path.is_file():
        return "MISSING"
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        # SQLite would open it for reading and take any BEGIN as granted
        return "ERROR it cannot be written there"
    database = Database(path, journal_mode="keep", busy_timeout=0.05)
    try:
        database.write("look", lambda connection: None)  # noqa: ARG005
    except DatabaseBusyError:
        return "BUSY"
    except DatabaseError as error:
        return f"ERROR {error.fact}"
    finally:
        database.close()
    return "FREE"


if __name__ == "__main__":
    print(look(Path(sys.argv[1])))  # noqa: T201
