"""What only a database of a server has: connections that are lost, a clock, tables that somebody else may be making."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.postgresql import Server, programs

from clx.db import migrate
from clx.db.check import check
from clx.db.clock import Clock
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.postgresql import doubt, driver, tables
from clx.db.postgresql.address import VARIABLE, of_place, parse
from clx.db.postgresql.connect import Connection
from clx.db.postgresql.database import PostgresDatabase
from clx.db.postgresql.driver import translate
from clx.db.postgresql.facts import examine_server
from clx.errors import (
    CommitInDoubtError,
    DatabaseBusyError,
    DatabaseCorruptError,
    DatabaseError,
    NotStorableError,
    QueueError,
    UsageError,
)

_LATER = ", ".join(
    f"clx.{name}"
    for name in (
        *("pipeline_steps", "pipelines", "pipeline_configs", "works", "work_labels"),
        *("calls", "wants", "routines"),
        *("serving_requests", "serving_actions", "serving_settings", "serving_models"),
        "lake_versions",
    )
)
"""Tables of later versions."""


@pytest.fixture
def queue(postgresql: str) -> Iterator[Queue]:
    with Queue.open(postgresql) as found:
        yield found


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """The URL of a database without tables."""
    server.execute("CREATE DATABASE empty")
    yield server.url("empty")
    server.execute("DROP DATABASE empty WITH (FORCE)")


def _database(queue: Queue) -> PostgresDatabase:
    assert isinstance(queue.database, PostgresDatabase)
    return queue.database


def _cut(server: Server) -> None:
    """End every connection but ours."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared' AND pid <> pg_backend_pid()"
    )


# -- connections that are lost --------------------------------------------------------------------------


def test_a_connection_that_is_lost_is_made_anew(server: Server, queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    _cut(server)
    assert [job.id for job in queue.get_many([job_id])] == [job_id]
    _cut(server)
    (job,) = queue.claim(["t"])
    _cut(server)
    queue.finish(job.id, job.run)
    assert queue.stats() == {"t": {"succeeded": 1}}


def test_a_transaction_whose_connection_is_lost_before_its_end_is_done_once(server: Server, queue: Queue) -> None:
    attempts: list[int] = []

    def body(tx: Any) -> None:
        tx.execute("INSERT INTO worker_events (at, worker_id, action, detail) VALUES (1, 1, 'a', '{}')")
        attempts.append(1)
        if len(attempts) == 1:
            _cut(server)

    queue.database.write("note", body)

    assert len(attempts) == 2
    assert queue.sql("SELECT count(*) AS n FROM worker_events") == [{"n": 1}]


@pytest.mark.parametrize("arrives", [True, False])
def test_where_a_commit_was_not_answered_the_server_is_asked(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    """Whether it arrived or not, the job is in the table once."""
    control = Connection.control
    lost: list[Connection] = []

    def cut(self: Connection, statements: str) -> Any:
        if statements == "COMMIT" and not lost:
            lost.append(self)
            if arrives:
                control(self, statements)
            raise psycopg.OperationalError("the connection is lost")
        return control(self, statements)

    monkeypatch.setattr(Connection, "control", cut)
    job_id = queue.enqueue(NewJob("t"))

    assert lost
    assert [job["id"] for job in queue.sql("SELECT id FROM jobs")] == [job_id]


def test_where_nobody_can_tell_it_is_said(queue: Queue) -> None:
    database, before = _database(queue), psycopg.OperationalError("lost")
    with pytest.raises(CommitInDoubtError, match="does not tell whether it was done") as caught:
        doubt.was_committed(database, 0, "999999999", 0.0, before)
    assert caught.value.next_step.endswith(f"clx jobs list --db-path '{database.address}'")


def test_a_server_that_is_started_anew_is_waited_for(tmp_path_factory: pytest.TempPathFactory, own: Server) -> None:
    with Queue.open(own.url("postgres")) as queue:
        queue.enqueue(NewJob("t"))
        own.stop("fast")
        with ThreadPoolExecutor() as threads:
            put = threads.submit(queue.enqueue, NewJob("t"))
            while not queue.database.waits_since:
                threading.Event().wait(0.01)
            own.start()
            put.result(60)
        assert queue.stats() == {"t": {"queued": 2}}


def test_one_that_stays_away_is_named_without_the_password(own: Server) -> None:
    url = own.url("postgres").replace("clx@", "clx:geheim@")
    with Queue.open(url, busy_timeout=0.1) as queue:
        own.stop("fast")
        try:
            with pytest.raises(DatabaseBusyError) as told:
                queue.enqueue(NewJob("t"))
            with pytest.raises(DatabaseBusyError):
                queue.stats()
        finally:
            own.start()
    assert "geheim" not in str(told.value)
    assert str(parse(url)) in told.value.fact
    assert str(own.folder) in str(parse(url))
    assert "pg_isready" in told.value.next_step


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a test may stop."""
    import tempfile

    from tests.support.tools import require

    require("postgres")
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name:
        found = Server(Path(name))
        found.make()
        found.start()
        yield found
        found.stop()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace("clx@", "nobody:geheim@"), "nobody"),
        (lambda url: url.replace("/shared?", "/other?"), "other"),
        (lambda _url: "postgresql://clx:geheim@127.0.0.1:1/shared", "127.0.0.1:1"),
        (lambda _url: "postgresql://clx:geheim@nowhere.invalid/shared", "nowhere.invalid"),
    ],
)
def test_what_cannot_be_opened_is_named_at_once(postgresql: str, change: Callable[[str], str], told: str) -> None:
    with pytest.raises(DatabaseError) as error:
        Queue.open(change(postgresql))
    assert told in error.value.fact
    assert "geheim" not in f"{error.value!r} {error.value}"


@pytest.mark.parametrize(
    ("said", "step"),
    [
        ('connection failed: FATAL:  password authentication failed for user "clx"', "Give the right password"),
        ("connection failed: fe_sendauth: no password supplied", "Give the right password"),
        ('connection failed: FATAL:  database "x" does not exist', "createdb"),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "clx"', "pg_hba.conf"),
        ("connection failed: Connection refused\n\tIs the server running on that host?", "pg_isready"),
    ],
)
def test_who_is_not_let_in_is_told_what_to_type(said: str, step: str) -> None:
    told = driver.translate(psycopg.OperationalError(said), "postgresql://clx@db:5432/x")
    assert step in (told.next_step or "")
    assert "?" not in told.fact
    assert isinstance(told, DatabaseBusyError) == (step == "pg_isready"), "else who hears it tries again for ever"


# -- its clock --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [600_000, -600_000])
def test_a_machine_whose_clock_is_wrong_takes_no_job_from_a_living_worker(
    postgresql: str, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    with Queue.open(postgresql) as right, Queue.open(postgresql) as wrong:
        right.enqueue_many([NewJob("t"), NewJob("t")])
        (job,) = right.claim(["t"], lease=30_000)
        usual = Clock.now
        monkeypatch.setattr(Clock, "now", lambda clock: usual(clock) + ahead)

        (other,) = wrong.claim(["t"], lease=30_000)
        assert wrong.rescue() == []
        monkeypatch.undo()

        assert right.rescue() == []
        assert right.heartbeat(job.id, job.run) == "go on"
        leases = right.sql("SELECT lease_until FROM jobs WHERE state = 'running'")
        assert abs(leases[0]["lease_until"] - leases[1]["lease_until"]) < 20_000
        assert other.id != job.id


# -- the tables -------------------------------------------------------------------------------------------


def test_who_comes_first_makes_the_tables_and_the_others_use_them(empty: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        queues = list(threads.map(Queue.open, [empty] * 6))
    for queue in queues:
        queue.enqueue(NewJob("t"))
        queue.close()
    with Queue.open(empty) as queue:
        assert queue.stats() == {"t": {"queued": 6}}


def test_tables_of_an_application_stay_beside_ours(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.jobs (mine int)")
        with Queue.open(empty) as queue:
            queue.enqueue(NewJob("t"))
        assert connection.execute("SELECT count(*) FROM public.jobs").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM clx.jobs").fetchone() == (1,)


def test_a_schema_of_something_else_is_refused(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA clx; CREATE TABLE clx.theirs (a int)")
    with pytest.raises(DatabaseCorruptError, match="theirs"):
        Queue.open(empty)


def test_tables_of_a_newer_version_are_refused(empty: str) -> None:
    with Queue.open(empty) as queue:
        queue.database.write("note", lambda tx: tx.execute("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"newer version of CLX \(schema 9999\)"):
        Queue.open(empty)


_NEXT = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "{head}", None, None
def upgrade():
    op.execute("ALTER TABLE jobs ADD COLUMN added BIGINT")
"""


def test_older_tables_are_brought_up_once_whoever_comes_first(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue.open(empty) as queue:
        queue.enqueue(NewJob("t"))
    scripts = shutil.copytree(migrate._SCRIPTS, tmp_path / "migrations")
    (scripts / "versions" / "next.py").write_text(_NEXT.format(head=tables.REVISION), encoding="utf-8")
    monkeypatch.setattr(migrate, "_SCRIPTS", scripts)
    monkeypatch.setattr(tables, "REVISION", "next")

    with ThreadPoolExecutor(4) as threads:
        queues = list(threads.map(Queue.open, [empty] * 4))

    for queue in queues:
        assert queue.sql("SELECT added FROM jobs") == [{"added": None}]
        assert queue.database.revision() == "next"
        queue.close()


def test_tables_of_the_last_version_become_todays(empty: str) -> None:
    drawn = "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name"
    columns = f"{drawn} FROM information_schema.columns WHERE table_schema = 'clx' ORDER BY 1, ordinal_position"
    rules = (
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'clx'::regnamespace ORDER BY 1, 2"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'clx' ORDER BY 1"
    with psycopg.connect(empty, autocommit=True) as connection:

        def tables_now() -> list[list[tuple[Any, ...]]]:
            return [connection.execute(query).fetchall() for query in (columns, rules, indexes)]

        with Queue.open(empty) as queue:
            queue.enqueue(NewJob("t"))
        fresh = tables_now()
        connection.execute(f"DROP TABLE {_LATER}")
        connection.execute("UPDATE clx.alembic_version SET version_num = '0005'")
        with Queue.open(empty) as queue:
            assert queue.stats() == {"t": {"queued": 1}}
        assert tables_now() == fresh


def test_tables_without_the_index_of_what_comes_again_get_it(empty: str) -> None:
    with Queue.open(empty) as queue:
        first = queue.enqueue(NewJob("t"))
    drawn = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'clx' AND indexname = 'jobs_again'"
    options = (
        "SELECT relname, reloptions FROM pg_class WHERE relname IN ('jobs', 'workers', 'batches') ORDER BY relname"
    )
    with psycopg.connect(empty, autocommit=True) as connection:
        known = connection.execute(drawn).fetchall(), connection.execute(options).fetchall()
        connection.execute("DROP INDEX clx.jobs_again; UPDATE clx.alembic_version SET version_num = '0004'")
        connection.execute(  # of the versions after
            f"DROP TABLE {_LATER}"
        )
        for table in ("jobs", "workers", "batches"):
            connection.execute(f"ALTER TABLE clx.{table} RESET (vacuum_index_cleanup)")

        with Queue.open(empty) as queue:
            assert [job.id for job in queue.claim(["t"])] == [first]

        assert (connection.execute(drawn).fetchall(), connection.execute(options).fetchall()) == known
        assert len(known[0]) == 1


def test_who_only_reads_makes_no_tables(empty: str) -> None:
    with pytest.raises(DatabaseError, match="holds no job table") as told:
        Queue.open(empty, readonly=True)
    assert told.value.next_step == "Make or upgrade it: clx db migrate"
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regnamespace('clx')").fetchone() == (None,)


# -- what stands for it -----------------------------------------------------------------------------------


def test_a_file_of_this_user_stands_for_it_without_the_password(postgresql: str) -> None:
    url = postgresql.replace("clx@", "clx:geheim@")
    with Queue.open(url) as queue:
        place = queue.database.path
        assert "geheim" not in place.read_text(encoding="utf-8")
        assert place.parent.stat().st_mode & 0o77 == 0
        queue.enqueue(NewJob("t"))
    assert place.is_relative_to(os.environ["XDG_STATE_HOME"])
    with Database.open(place) as database:
        assert Queue(database).stats() == {"t": {"queued": 1}}
        assert database.name == str(parse(postgresql))


def test_a_container_finds_the_database_of_its_machine_by_the_url_it_was_handed(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = parse(postgresql).place
    theirs = here.parent.parent.with_name(here.parent.parent.name.rpartition("-")[0] + "-0000face") / ".clx" / here.name
    monkeypatch.setenv(VARIABLE, postgresql)
    assert of_place(theirs).place == theirs
    other = theirs.parent.parent.with_name("db.example.org-5432-shop-0000face") / ".clx" / here.name
    with pytest.raises(DatabaseError, match="stands for no database"):
        of_place(other)


def test_a_file_that_stands_for_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="stands for no database"):
        Database.open(tmp_path / "x.postgresql")


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:geheim@h:port/d", "postgresql://u:geheim@h/d?what=1", "postgres://u:ge%heim@h/d"],
)
def test_a_url_that_cannot_be_understood_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as told:
        Queue.open(url)
    assert "heim" not in str(told.value)


def test_a_parameter_that_no_server_knows_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match='an unknown parameter "sslmod"') as told:
        parse("postgresql://u:geheim@h/d?sslmod=require")
    assert told.value.next_step == 'Did you mean "sslmode"?'


def test_machines_that_mount_the_same_home_have_each_a_file_of_their_own(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = parse(postgresql)
    here.stand_in()
    monkeypatch.setattr("clx.db.postgresql.address.machine", lambda: "another")
    assert parse(postgresql).place.parent.parent != here.place.parent.parent
    handed = postgresql.replace("clx@", "clx:geheim@")
    monkeypatch.setattr("clx.db.postgresql.address._known", {})
    monkeypatch.setenv("CLX_DATABASE__URL", handed)
    found = of_place(here.place)
    assert (found.place, found.url) == (here.place, handed), "in a container the file of its machine is used"


# -- the rest ---------------------------------------------------------------------------------------------


def test_what_no_column_takes_is_refused(queue: Queue) -> None:
    with pytest.raises(NotStorableError):
        queue.enqueue(NewJob("t", key="k" * 100_000 + os.urandom(5000).hex()))
    assert queue.stats() == {}


def test_a_query_of_ones_own_changes_nothing(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    assert queue.sql("SELECT id, type FROM jobs WHERE type = :type", {"type": "t"}) == [{"id": 1, "type": "t"}]
    for query in (
        "WITH gone AS (DELETE FROM jobs RETURNING id) SELECT * FROM gone",
        "SELECT setval('jobs_id_seq', 99)",
        "SELECT nonsense",
    ):
        with pytest.raises(QueueError, match="PostgreSQL does not take this query"):
            queue.sql(query)
    with pytest.raises(QueueError, match="Only SELECT"):
        queue.sql("DELETE FROM jobs")
    assert queue.stats() == {"t": {"queued": 1}}


def test_a_handler_of_a_signal_that_comes_in_the_middle_is_refused(queue: Queue) -> None:
    def body(_tx: Any) -> str:
        with pytest.raises(DatabaseError, match="in the middle of a transaction"):
            queue.enqueue(NewJob("t"))
        return "whole"

    assert queue.database.write("look", body) == "whole"


def test_a_snapshot_sees_one_state(postgresql: str, queue: Queue) -> None:
    with Queue.open(postgresql) as other, queue.database.snapshot() as connection:
        count = "SELECT count(*) FROM jobs"
        assert connection.execute(count).fetchone() == (0,)
        other.enqueue(NewJob("t"))
        assert connection.execute(count).fetchone() == (0,)
    assert queue.sql(f"{count}") == [{"count": 1}]


def test_a_child_does_not_use_what_its_parent_has_open(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    pid = os.fork()
    if pid == 0:
        try:
            queue.enqueue(NewJob("t"))
        except DatabaseError as error:
            os._exit(0 if "before a fork" in error.fact else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    queue.enqueue(NewJob("t"))
    assert queue.stats() == {"t": {"queued": 2}}


def test_a_copy_holds_all_of_it(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = programs()
    assert found is not None
    queue.enqueue_many([NewJob("t") for _ in range(3)])
    target = tmp_path / "copy.dump"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DatabaseError, match="pg_dump"):
        queue.backup(target)
    monkeypatch.setenv("PATH", str(found))
    assert queue.backup(target) == target.stat().st_size
    listed = subprocess.run([found / "pg_restore", "--list", target], capture_output=True, text=True, check=True)
    assert "TABLE DATA clx jobs" in listed.stdout
    with pytest.raises(UsageError):
        queue.backup(target)


_WAITER = """
import sys, time
from clx import Queue
from clx.db.wait import Bells
with Queue.open(sys.argv[1]) as queue, Bells(queue.database, ["t"]) as bells:
    queue.claim(["none"])
    while not queue.database.doorbell._is_heard:
        time.sleep(0.01)
    bells.silence()
    print("ready", flush=True)
    for _ in range(5):
        began = time.monotonic()
        bells.wait(20)
        bells.silence()
        print(len(queue.claim(["t"])), time.monotonic() - began < 10, flush=True)
"""


def test_who_waits_in_another_process_is_woken_at_once(postgresql: str, queue: Queue) -> None:
    waiter = subprocess.Popen([sys.executable, "-c", _WAITER, postgresql], stdout=subprocess.PIPE, text=True)
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == "ready\n"
    for _ in range(5):
        queue.enqueue(NewJob("t"))
        assert waiter.stdout.readline() == "1 True\n"
    assert waiter.wait(20) == 0
    waiter.stdout.close()


def test_heartbeats_touch_no_index(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"])
    before = _updates(queue)
    for _ in range(50):
        queue.heartbeat(job.id, job.run)
    updated, hot = (now - then for now, then in zip(_updates(queue), before, strict=True))
    assert updated == 50
    assert hot >= 45


def _updates(queue: Queue) -> tuple[int, int]:
    queue.database.read("SELECT pg_stat_force_next_flush()")
    queue.database.read("SELECT 1")
    rows = queue.database.read(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs' AND schemaname = 'clx'"
    )
    return rows[0][0], rows[0][1]


# -- what others do to the tables -----------------------------------------------------------------------


def test_a_table_that_is_gone_is_named(empty: str) -> None:
    with Queue.open(empty) as queue:
        _database(queue).write("drop", lambda tx: tx.execute("DROP TABLE runs"))
        with pytest.raises(DatabaseCorruptError, match=r"missing in .*: runs"):
            check(queue.database)
        with pytest.raises(DatabaseError, match='"runs" does not exist'):
            queue.database.look(lambda connection: connection.execute("SELECT 1 FROM runs"))


@pytest.fixture
def locked(server: Server, postgresql: str) -> Iterator[Queue]:
    """A queue whose jobs somebody else has locked."""
    with Queue.open(postgresql, busy_timeout=0.2) as queue, psycopg.connect(postgresql) as other:
        other.execute("LOCK TABLE clx.jobs IN ACCESS EXCLUSIVE MODE")
        yield queue


def test_that_the_jobs_are_locked_is_told_beside_who_it_may_be(locked: Queue) -> None:
    facts = {fact.name: fact for fact in examine_server(locked.database)}
    assert not facts["leases"].ok
    assert "locked" in facts["leases"].detail
    assert "process" in facts["oldest transaction"].detail


def test_a_query_that_waits_in_vain_is_no_wrong_query(locked: Queue) -> None:
    with pytest.raises(DatabaseBusyError, match="stayed locked"):
        locked.sql("SELECT id FROM jobs")


def test_who_may_not_is_told_what_has_to_be_granted(server: Server, postgresql: str) -> None:
    server.execute("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(DatabaseError, match=r"GRANT USAGE ON SCHEMA clx, GRANT SELECT.*SEQUENCES"):
            Queue.open(postgresql.replace("clx@", "guest@"))
    finally:
        server.execute("DROP ROLE guest")


@pytest.mark.parametrize(
    "error", [psycopg.errors.DuplicatePreparedStatement("x"), psycopg.errors.InvalidSqlStatementName("x")]
)
def test_a_pooler_that_lends_sessions_is_named(error: psycopg.Error) -> None:
    assert "pooler in transaction mode" in translate(error, "postgresql://clx@h/d").next_step


def test_what_alembic_notes_is_no_table_to_vacuum(postgresql: str) -> None:
    with Queue.open(postgresql) as queue:
        told = [fact.detail for fact in examine_server(queue.database) if fact.name == "dead rows"]
    assert told
    assert "alembic" not in told[0]
