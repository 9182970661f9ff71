"""A container that comes back from the dead changes nothing: its run was given to another."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.workers.executors.docker.machine import IMAGE, Machine

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import NewJob, Queue
from clx.db.sqlite.database import SqliteDatabase
from clx.db.workers import WorkerTable
from clx.workers.lock_probe import look

_DECK = """# %% tags=["keep"]
from pathlib import Path
import time
Path('/clx/.clx/mark').touch()
while not Path('/clx/.clx/go').exists():
    time.sleep(0.02)
"""


def payload(database: SqliteDatabase) -> dict[str, object]:
    source = "slides/a/topic_100_x/slides_x.py"
    digest = ArtifactStore(database.state.shared / "artifacts").put_bytes(_DECK.encode())
    return {
        "task": "execute", "source": source, "topic": str(Path(source).parent), "lang": "en", "prog_lang": "python",
        "evaluate": True, "course": "C", "section": "S", "variables": {}, "cell_timeout": 120,
        "files": [(source, digest)],
    }  # fmt: skip


def _pause(container: Any, path: Path) -> None:
    """Pause it, but not while it holds the write lock: then everybody would have to wait for it."""
    container.pause()
    while look(path) != "FREE":
        container.unpause()
        container.pause()


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_paused_worker_is_fenced_out_on_unpause(machine: Machine, journal_mode: str) -> None:
    machine.database.parent.mkdir(parents=True)
    with SqliteDatabase.open(machine.database, journal_mode=journal_mode, busy_timeout=60) as database:
        queue, table = Queue(database), WorkerTable(database)
        job = queue.enqueue(NewJob("notebook", payload(database), pool="docker:test"))
        container = machine.client.containers.create(
            IMAGE,
            ["notebook", "--db", "/clx/.clx/jobs.db", "--pool", "docker:test"],
            environment={"CLX_JOBS__LEASE": "2", "CLX_JOBS__HEARTBEAT": "0.2"},
            volumes={str(machine.database.parent): {"bind": "/clx/data", "mode": "rw"}},
            labels={"clx.worker": "notebook"}, network="none", init=True, user="0:0",
        )  # fmt: skip
        try:
            container.start()
            machine.marked()
            _pause(container, machine.database)
            machine.wait_until(lambda: queue.rescue() == [job], "the silent worker's job is not rescued")
            other = table.register(
                type="notebook", pool="docker:test", mode="direct", host="here", pid=1, identity="test", version="0"
            )
            [taken] = queue.claim(["notebook"], other, pool="docker:test", lease=60_000)
            queue.finish(taken.id, taken.run, {"by": "the other"})
            (machine.database.parent / "go").touch()
            container.unpause()
            machine.wait_until(lambda: b"no longer this worker's" in container.logs(), "the zombie was not told")
        finally:
            container.remove(force=True)
        outcomes = database.read("SELECT run, outcome FROM runs ORDER BY run")
        assert outcomes == [(1, "rescued"), (2, "succeeded")]
        assert json.loads(database.read("SELECT result FROM jobs")[0][0]) == {"by": "the other"}
        assert database.journal_mode() == journal_mode
    with closing(SqliteDatabase(machine.database, journal_mode="keep")) as database:
        assert database.read("PRAGMA integrity_check") == [("ok",)]
