"""``clx doctor --db`` says a problem where there is one, and none where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.tools import skip_or_fail

from clx.db.facts import Fact, examine
from clx.db.jobs import NewJob, Queue
from clx.db.sqlite import facts


def _fact(queue: Queue, name: str) -> Fact:
    with Queue.open(queue.database.path, readonly=True) as looking:
        return next(fact for fact in examine(queue.database.path, looking.database) if fact.name == name)


def test_a_long_log_is_a_problem_only_while_somebody_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_LONG_LOG", 10_000)
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db") as reader:
        assert _fact(queue, "write-ahead log").ok
        with reader.database.snapshot() as connection:
            connection.execute("SELECT count(*) FROM jobs").fetchall()
            queue.enqueue_many([NewJob("t") for _ in range(200)])
            kept = _fact(queue, "write-ahead log")
            assert (kept.ok, "a reader keeps it" in kept.detail) == (False, True)
            assert str(os.getpid()) in kept.hint or "this program" in kept.hint
        free = _fact(queue, "write-ahead log")
        assert (free.ok, free.hint) == (True, "")
        assert "all of it in the database" in free.detail


_LOOK = """
import sys, json
from msgspec.structs import asdict
from clx.db.facts import examine
from clx.db.jobs import Queue
with Queue.open(sys.argv[1], readonly=True) as queue:
    facts = examine(queue.database.path, queue.database)
print(json.dumps([asdict(fact) for fact in facts if fact.name == "waking"]))
"""


@pytest.mark.parametrize("closed", ["", ".clx/bells", ".clx/bells/t", "socket"])
def test_a_user_who_wakes_nobody_is_told_why(shared: Path, closed: str) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        skip_or_fail("root", "another user cannot be played here: that takes root and setpriv")
    with Queue.open(shared / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        for each in shared.glob("jobs.db*"):
            each.chmod(0o666)
        with queue.database.doorbell.listen("t"):
            [socket] = (shared / ".clx/bells/t").iterdir()
            shut = socket if closed == "socket" else shared / closed
            if closed:
                shut.chmod(0o755)
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            told = subprocess.check_output([*nobody, sys.executable, "-c", _LOOK, str(shared / "jobs.db")])
            [fact] = json.loads(told)
    assert fact["ok"] == (not closed)
    if closed:
        assert fact["detail"].startswith(f"{shut} is closed to this user")
        assert str(shared) in fact["hint"]
