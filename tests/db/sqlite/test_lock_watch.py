"""Whoever waits for somebody else's lock is told for whom, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clx.db.database import Database
from clx.db.sqlite import lock_watch
from clx.errors import DatabaseBusyError

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_holder_is_named_once_for_each_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_watch, "TOLD_AFTER", 0.1)
    monkeypatch.setattr(lock_watch, "_LOOK", 0.05)
    path, told = tmp_path / "jobs.db", list[str]()
    with Database.open(path, busy_timeout=0.5) as database:
        lock_watch.tell_of_locks(database, told.append)
        database.write("free", lambda _: None)
        time.sleep(0.3)
        assert told == [], "nobody waits"
        with subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], stdin=-1, stdout=-1) as holder:
            assert holder.stdout is not None
            assert holder.stdin is not None
            holder.stdout.readline()
            for number in (1, 2):
                with pytest.raises(DatabaseBusyError):
                    database.write("held", lambda _: None)
                assert len(told) == number
                assert f"{path}: it is locked, held by process {holder.pid}" in told[-1]
            with pytest.raises(DatabaseBusyError):
                database.require_writable()
            holder.stdin.close()
        assert database.waits_since == 0.0


def test_who_has_read_what_he_waited_for_waits_no_more(tmp_path: Path) -> None:
    """Without a write-ahead log reading waits too."""
    with Database.open(tmp_path / "jobs.db", journal_mode="delete") as database:
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor() as threads:
            reading = threads.submit(database.read, "SELECT count(*) FROM jobs")
            while not database.waits_since:
                time.sleep(0.01)
            other.execute("ROLLBACK")
            assert reading.result(60) == [(0,)]
        other.close()
        assert database.waits_since == 0.0
