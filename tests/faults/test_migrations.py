"""Upgrading a file with jobs in flight: from each earlier schema, interrupted, by two at once, beside old code."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.conftest import Script

import clx.db
from clx.db.jobs import NewJob, Queue
from clx.db.sqlite.database import REVISION, SqliteDatabase
from clx.db.sqlite.driver import driver
from clx.errors import DatabaseError

_ROOM = Path(clx.db.__file__).parent
_VERSIONS = sorted(path.stem.partition("_")[0] for path in (_ROOM / "migrations" / "versions").glob("*.py"))

_NEXT = '''
"""A revision of the future: a column more, and every job a note."""
import sqlalchemy
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("jobs", sqlalchemy.Column("note", sqlalchemy.Text))
    op.execute("UPDATE jobs SET note = 'kept'")
'''
_AS_THE_NEXT = """
from pathlib import Path
from clx.db import migrate
from clx.db.sqlite import database
database.REVISION = "9999"
migrate._SCRIPTS = Path({scripts!r})
queue = Queue.open(path)
print(queue.database.read("SELECT count(*) FROM jobs WHERE note = 'kept'")[0][0], queue.database.revision())
"""


@pytest.fixture
def as_the_next(tmp_path: Path) -> str:
    """A script that opens the database as a later version of CLX would."""
    scripts = tmp_path / "migrations"
    shutil.copytree(_ROOM / "migrations", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9999_next.py").write_text(_NEXT.format(head=REVISION), encoding="utf-8")
    return _AS_THE_NEXT.format(scripts=str(scripts))


def _in_flight(path: Path) -> Queue:
    """A queue with a job in every state."""
    queue = Queue.open(path)
    ids = queue.enqueue_many([NewJob("t", key=str(n)) for n in range(6)])
    for job in queue.claim(["t"], 3)[:1]:
        queue.finish(job.id, job.run, "done")
    queue.cancel(ids[-1:])
    return queue


def _tables(path: Path) -> dict[str, str]:
    connection = driver.connect(str(path))
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows if name != "alembic_version"}
    finally:
        connection.close()


@pytest.mark.parametrize("version", _VERSIONS)
def test_each_earlier_schema_becomes_todays(version: str, tmp_path: Path) -> None:
    fresh, old = tmp_path / "fresh.db", tmp_path / "old.db"
    SqliteDatabase.open(fresh).close()
    _make_at(old, version)
    with Queue.open(old) as queue:
        assert queue.database.revision() == REVISION
        job = queue.claim(["t"])[0] if queue.stats() else None
        assert job is None or job.type == "t"
    assert _tables(old) == _tables(fresh)


def _make_at(path: Path, version: str) -> None:
    """A database as the CLX of that schema made it."""
    connection = driver.connect(str(path))
    script = next((_ROOM / "migrations" / "versions").glob(f"{_VERSIONS[0]}_*.sql"))
    connection.executescript(script.read_text(encoding="utf-8"))
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (_VERSIONS[0],))
    connection.execute("INSERT INTO jobs (type, payload, created_at) VALUES ('t', '{}', 0)")
    connection.commit()
    connection.close()
    if version != _VERSIONS[0]:
        from alembic import command

        from clx.db import migrate

        with migrate.engine(path).begin() as opened:
            command.upgrade(migrate.config(opened), version)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_upgrade_is_all_or_nothing_and_goes_through_the_next_time(
    moment: str, tmp_path: Path, script: Script, judge: Callable[[], str], as_the_next: str
) -> None:
    _in_flight(tmp_path / "jobs.db").close()

    died = script(as_the_next, crash=f"migrate.{moment}_commit:1")

    assert died.returncode == -signal.SIGKILL
    with SqliteDatabase(tmp_path / "jobs.db") as database:
        assert database.revision() == (REVISION if moment == "before" else "9999")
        columns = [row[1] for row in database.read("PRAGMA table_info(jobs)")]
    assert ("note" in columns) == (moment == "after")
    assert script(as_the_next).stdout == "6 9999\n"


def test_an_upgrade_beside_a_running_worker_keeps_its_job(tmp_path: Path, script: Script, as_the_next: str) -> None:
    with _in_flight(tmp_path / "jobs.db") as queue:
        held = queue.search(state="running")
        assert script(as_the_next).stdout == "6 9999\n"
        for job in held:
            queue.finish(job.id, job.run, "across the upgrade")
        assert queue.stats()["t"] == {"succeeded": 3, "queued": 2, "cancelled": 1}
        queue.enqueue(NewJob("t"))


def test_two_may_upgrade_at_once(tmp_path: Path, as_the_next: str) -> None:
    _in_flight(tmp_path / "jobs.db").close()
    code = f"import sys\nfrom clx.db.jobs import *\npath = {str(tmp_path / 'jobs.db')!r}\n{as_the_next}"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in both] == ["6 9999\n"] * 2


def test_a_newer_database_is_refused_with_the_next_step(tmp_path: Path, script: Script, as_the_next: str) -> None:
    _in_flight(tmp_path / "jobs.db").close()
    script(as_the_next)
    with pytest.raises(DatabaseError, match="newer version of CLX") as caught:
        Queue.open(tmp_path / "jobs.db")
    assert "pip install" in caught.value.next_step
