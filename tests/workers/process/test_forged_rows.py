"""What a row says that a job in a container could have written: nothing of this machine is ended or done for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scene import until

from clx.db.apart import apart
from clx.db.database import Database
from clx.db.identity import process_identity
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerTable
from clx.errors import ConversionError
from clx.settings.schema import Settings
from clx.workers.executors.foreign_worker import log_of
from clx.workers.process.seal import require_sealed, sealed
from clx.workers.processes import is_worker_of
from clx.workers.supervision.cleanup import cleanup, stop_worker
from clx.workers.supervision.services import stop_services


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database that containers may use."""
    with Database.open(apart(tmp_path / ".clx" / "jobs.db")) as found:
        yield found


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this user that has nothing to do with CLX."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        yield process
        process.kill()


def forge(database: Database, process: subprocess.Popen[bytes], **columns: object) -> int:
    """The row of a worker that it never was."""
    told = {"type": "notebook", "pool": "direct:x", "mode": "direct", "host": "here", "version": "0", "log": None}
    return WorkerTable(database).register(
        **{**told, "pid": process.pid, "identity": process_identity(process.pid), **columns}  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "columns", [{"batch_id": 77}, {"service": "services"}, {}], ids=["build", "services", "program"]
)
def test_process_is_not_ended_for_a_row(
    database: Database, bystander: subprocess.Popen[bytes], columns: dict[str, object]
) -> None:
    worker = forge(database, bystander, **columns)
    table, settings = WorkerTable(database), Settings()
    cleanup(database, settings, dry_run=False)
    row = table.get(worker)
    assert row is not None
    stop_worker(row, table, settings, grace=0.0, reason="stop")
    cleanup(database, settings, dry_run=False)  # its row has ended, and its process lives
    forge(database, bystander, **columns)
    stop_services(database, timeout=0.1)
    time.sleep(0.1)
    assert bystander.poll() is None


def test_worker_of_this_database_is_known_by_its_command_line(database: Database, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()", "-m", "clx.workers", "plantuml", "--db"]
    with (
        subprocess.Popen([*command, str(database.path)], stdin=-1) as mine,
        subprocess.Popen([*command, str(tmp_path / "other.db")], stdin=-1) as other,
    ):
        until(lambda: process_identity(mine.pid) and process_identity(other.pid))
        assert is_worker_of(process_identity(mine.pid), database.path)
        assert not is_worker_of(process_identity(other.pid), database.path)
        mine.kill()
        other.kill()


@pytest.mark.parametrize("name", ["clx.jsonl", "supervisor.log", "..", "../config.toml", "a/b.log"])
def test_row_names_no_file_but_a_log_of_a_worker(
    database: Database, bystander: subprocess.Popen[bytes], name: str
) -> None:
    assert log_of(forge(database, bystander, log=name), WorkerTable(database)) == Path()
    mine = log_of(forge(database, bystander, log="notebook-1-2.log"), WorkerTable(database))
    assert mine == database.state.path / "logs" / "notebook-1-2.log"


@pytest.mark.parametrize("change", [{"files": [["a.py", "1" * 64]]}, {"seal": "0" * 64}, {"seal": ""}, {}])
def test_job_that_this_machine_has_not_put_in_is_not_done_here(database: Database, change: dict[str, object]) -> None:
    payload = sealed(database, "notebook", "direct:x", {"files": [("a.py", "0" * 64)], "cell_timeout": 1.0})
    queue = Queue(database)
    job = queue.get(queue.enqueue(NewJob("notebook", {**payload, **change}, pool="direct:x")))
    assert job is not None
    if not change:
        require_sealed(database, job)
        return
    with pytest.raises(ConversionError, match="not put in by CLX on this machine"):
        require_sealed(database, job)


def test_key_of_the_seals_is_out_of_reach(database: Database) -> None:
    sealed(database, "notebook", "direct:x", {})
    key = database.state.path / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert not key.is_relative_to(database.state.shared)


def test_nothing_is_sealed_where_no_container_looks(tmp_path: Path) -> None:
    with Database.open(tmp_path / ".clx" / "jobs.db") as database:
        assert sealed(database, "notebook", "direct:x", {"a": 1}) == {"a": 1}
        assert not (database.state.path / "key").exists()
