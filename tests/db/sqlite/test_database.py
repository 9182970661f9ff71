"""Opening, journal modes, threads, forks, errors with their next step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.support.sqlite import file_of

from clx.db import identity
from clx.db.apart import state_directory
from clx.db.check import check
from clx.db.identity import is_gone, process_identity
from clx.db.jobs import NewJob, Queue
from clx.db.mark_dead import mark_gone_workers_dead
from clx.db.sqlite import filesystem
from clx.db.sqlite.backup import backup
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import driver, translate
from clx.db.workers import WorkerTable
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError, DatabaseFullError, UsageError


def test_a_reader_never_makes_a_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        SqliteDatabase.open(tmp_path / "none.db", readonly=True)

    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_what_writers_commit(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db", readonly=True) as reader:
        queue.enqueue(NewJob("t"))
        assert reader.stats() == {"t": {"queued": 1}}
        with pytest.raises(DatabaseError):
            reader.enqueue(NewJob("t"))


def test_many_may_make_the_same_database_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    code = f"from clx.db.jobs import *; Queue.open({str(path)!r}).enqueue(NewJob('t'))"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with Queue.open(path) as queue:
        assert queue.stats() == {"t": {"queued": 4}}


@pytest.mark.parametrize(("mode", "synchronous"), [("wal", 1), ("delete", 2)])
def test_the_journal_mode_decides_how_safe_a_commit_is(tmp_path: Path, mode: str, synchronous: int) -> None:
    with Queue.open(tmp_path / "jobs.db", journal_mode=mode) as queue:
        assert queue.database.read("PRAGMA journal_mode") == [(mode,)]
        assert queue.database.read("PRAGMA synchronous") == [(synchronous,)]
        assert queue.database.read("PRAGMA foreign_keys") == [(1,)]


def test_leaving_wal_needs_everybody_out(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as queue:
        queue.enqueue(NewJob("t"))
        queue.claim(["t"])
        with pytest.raises(DatabaseBusyError, match=rf"worker #1 \(t, direct, pid {os.getpid()}\)"):
            SqliteDatabase.open(path, journal_mode="delete", busy_timeout=0.01)
    with Queue.open(path, journal_mode="delete") as queue:
        assert file_of(queue).journal_mode() == "delete"


def test_a_process_without_a_row_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    code = f"from clx.db.jobs import *; q = Queue.open({str(path)!r}); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(DatabaseBusyError, match=f"process {holder.pid} "):
            SqliteDatabase.open(path, journal_mode="delete", busy_timeout=0.01)
    finally:
        holder.communicate(b"\n")


def test_a_fork_after_opening_is_refused(tmp_path: Path) -> None:
    code = f"""
import os
import shutil
from clx.db.jobs import *
queue = Queue.open({str(tmp_path / "jobs.db")!r})
if os.fork() == 0:
    try:
        queue.stats()
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    assert "before a fork" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def test_the_connection_of_a_thread_ends_with_it(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            thread = threading.Thread(target=queue.stats)
            thread.start()
            thread.join()
        # SQLite keeps one spare descriptor while others hold locks: closing it would drop those
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_closing_leaves_no_descriptor(tmp_path: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 5000, b"not a database at all" * 400])
def test_what_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(content)
    if not content:
        SqliteDatabase.open(path).close()  # an empty file is an empty database
        return
    with pytest.raises(DatabaseCorruptError, match="Nothing was touched") as caught:
        SqliteDatabase.open(path)
    assert str(path) in caught.value.fact
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    connection = driver.connect(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(DatabaseCorruptError, match="something else"):
        SqliteDatabase.open(path)


def test_a_locked_database_is_reported_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as holder, Queue.open(path, busy_timeout=0.01) as queue:
        holder.database.connection().execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusyError) as caught:
            queue.enqueue(NewJob("t"))
        holder.database.connection().execute("ROLLBACK")
    assert str(path) in caught.value.fact
    assert "MiB free" in caught.value.fact
    assert caught.value.next_step


def test_errors_are_told_apart_by_name_not_by_text(tmp_path: Path) -> None:
    class Misleading(driver.OperationalError):  # type: ignore[misc]
        sqlite_errorname = "SQLITE_CORRUPT"

    assert isinstance(translate(Misleading("database is locked"), tmp_path), DatabaseCorruptError)


@pytest.mark.parametrize(("free", "is_full"), [(0, True), (1 << 20, False)])
def test_a_disk_without_room_for_the_index_of_the_log_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, is_full: bool
) -> None:
    class Grown(driver.OperationalError):  # type: ignore[misc]
        sqlite_errorname = "SQLITE_IOERR_SHMSIZE"

    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert isinstance(translate(Grown("disk I/O error"), tmp_path / "jobs.db"), DatabaseFullError) is is_full


def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        assert queue.database.is_in_place()
        (tmp_path / "jobs.db-wal").unlink()
        assert not queue.database.is_in_place()


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_removed_file_is_noticed_by_a_thread_that_has_not_used_it(
    tmp_path: Path, journal: Literal["wal", "delete"]
) -> None:
    with Queue.open(tmp_path / "jobs.db", journal_mode=journal) as queue, ThreadPoolExecutor() as threads:
        queue.enqueue(NewJob("t"))
        assert threads.submit(queue.database.is_in_place).result()
        (tmp_path / "jobs.db").unlink()
        assert not threads.submit(queue.database.is_in_place).result()


def test_state_lies_beside_the_database() -> None:
    assert state_directory(Path("/p/jobs.db")) == Path("/p/.clx")
    assert state_directory(Path("/p/.clx/jobs.db")) == Path("/p/.clx")


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://host/db", "sqlite://host/x.db", "sqlite:///x.db?cache=shared", "sqlite:///x.db?journal_mode="),
        *("sqlite:///what?now.db", "sqlite:///a#b.db", "sqlite:///", "sqlite:///:memory:", ":memory:", "memory:x"),
        *("sqlite:x.db", "file:x.db", None, 5, b"x.db"),
    ],
)
def test_what_names_no_database_is_refused_and_no_file_of_some_other_name_is_made(
    url: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        Queue.open(url)
    assert list(tmp_path.iterdir()) == []


def test_any_name_of_a_file_can_be_written_as_path_and_as_url(tmp_path: Path) -> None:
    with Queue.open(f"sqlite:///{tmp_path}/a%23b%3Fc%25d.db") as queue:
        queue.enqueue(NewJob("t"))
    with Queue.open(tmp_path / "a#b?c%d.db") as queue:
        assert queue.stats() == {"t": {"queued": 1}}


def test_queues_in_memory_have_the_tables_of_a_file_and_nothing_of_each_other(tmp_path: Path) -> None:
    """Only the first of a process makes its tables by statements; each other one has copies."""
    with Queue.open("memory:") as first, Queue.open(tmp_path / "jobs.db") as file:
        first.enqueue(NewJob("t"))
        with Queue.open("memory:") as second, Queue.open("memory:") as third:
            second.enqueue(NewJob("u"))
            assert (second.stats(), third.stats()) == ({"u": {"queued": 1}}, {})
            schemas = [
                (
                    each.database.read("SELECT * FROM alembic_version"),
                    *(each.database.read("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")),
                )
                for each in (first, second, third, file)
            ]
        assert [schema == schemas[-1] for schema in schemas] == [True] * 4


def test_a_queue_in_memory_takes_no_options() -> None:
    """They would be ignored."""
    with pytest.raises(UsageError, match="journal_mode"):
        Queue.open("memory:", journal_mode="delete")


_MOUNTS = """\
21 1 254:0 / / rw - ext4 /dev/vda rw
30 21 0:40 / /home/me/My\\040Files rw shared:1 - nfs4 server:/x rw
31 30 0:41 / /home/me/My\\040Files/local rw - tmpfs tmpfs rw""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/home/me", "ext4"), ("/home/me/My Files/a", "nfs4"), ("/home/me/My Files/local/a", "tmpfs"), ("/", "ext4")],
)
def test_the_nearest_mount_decides(path: str, kind: str) -> None:
    assert filesystem.kind_in(_MOUNTS, Path(path)) == kind


def test_a_write_ahead_log_on_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "kind", lambda _path: "nfs4")
    with pytest.raises(DatabaseError, match="network file system"):
        SqliteDatabase.open(tmp_path / "jobs.db")
    SqliteDatabase.open(tmp_path / "other.db", journal_mode="delete").close()


@pytest.mark.parametrize("content", [b"just text, no database at all, and long enough to be looked at" * 20, None])
def test_what_is_no_job_table_gets_nothing_beside_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "notes.txt"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(DatabaseError):
        SqliteDatabase.open(path)

    assert list(tmp_path.iterdir()) == [path]
    assert content is None or path.read_bytes() == content


def test_another_word_for_the_journal_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='"wall" is no journal mode'):
        Queue.open(tmp_path / "jobs.db", journal_mode="wall")
    assert list(tmp_path.iterdir()) == []


_CLOSING = """
import sys, threading
from clx import NewJob, Queue
from clx.errors import DatabaseError
for _ in range(20):
    queue = Queue.open(sys.argv[1])
    begun, said = threading.Semaphore(0), []
    def work():
        try:
            while True:
                queue.enqueue(NewJob("t"))
                begun.release()
        except DatabaseError as error:
            said.append(error.fact)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(9):
        begun.acquire()
    queue.close()
    for thread in threads:
        thread.join()
    assert all("closed by this program" in fact for fact in said) and len(said) == 3, said
print("whole")
"""


def test_what_was_stored_while_another_thread_closes_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed, and with it its directory and its log, while the thread looks whether they are in place."""
    queue = Queue.open(tmp_path / "jobs.db")
    fstat = os.fstat

    def closed_meanwhile(descriptor: int) -> os.stat_result:
        monkeypatch.setattr(os, "fstat", fstat)
        with ThreadPoolExecutor() as threads:
            threads.submit(queue.close).result()
        return os.fstat(descriptor)

    monkeypatch.setattr(os, "fstat", closed_meanwhile)
    queue.database.require_in_place()

    assert not (tmp_path / "jobs.db-wal").exists()


def test_closing_while_threads_use_it_tells_them(tmp_path: Path) -> None:
    """The driver would crash the interpreter: it frees what another thread's statement is at."""
    command = [sys.executable, "-c", _CLOSING, str(tmp_path / "jobs.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


_FORKING = """
import os, sys, threading
from clx import NewJob, Queue
queue = Queue.open(sys.argv[1], journal_mode=sys.argv[2])
done = threading.Event()
told = []
def work():
    while not done.is_set():
        told.append(queue.enqueue(NewJob("t")))
thread = threading.Thread(target=work)
thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        sys.exit(7)  # in order, so that everything is freed
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
thread.join()
assert {job.id for job in queue.search(limit=10**6)} == set(told)
print("whole")
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.slow
def test_a_fork_beside_a_thread_that_writes_harms_neither_side(tmp_path: Path, mode: str) -> None:
    """The child must not close what is the parent's: it would wait for ever, or roll the parent's work back."""
    command = [sys.executable, "-W", "ignore", "-c", _FORKING, str(tmp_path / "jobs.db"), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


@pytest.mark.parametrize("url", ["file", "memory:"])
def test_a_fork_is_refused_for_every_backend(tmp_path: Path, url: str) -> None:
    code = (
        "import os, sys\nfrom clx import NewJob, Queue\nfrom clx.errors import DatabaseError\n"
        "queue = Queue.open(sys.argv[1])\n"
        "if os.fork() == 0:\n"
        "    try:\n        queue.enqueue(NewJob('t'))\n    except DatabaseError as error:\n        print(error.fact)\n"
        "else:\n    os.wait()\n"
    )
    path = url if url == "memory:" else str(tmp_path / "jobs.db")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=120)
    assert done.stdout == "The database was opened before a fork.\n", done.stderr


def test_an_interruption_while_waiting_for_the_lock_leaves_nothing_open(tmp_path: Path) -> None:
    """Python handles the signal when BEGIN has been executed: the lock must not stay with who was interrupted."""
    path = tmp_path / "jobs.db"

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGINT, interrupt)
    try:
        with Queue.open(path) as queue, Queue.open(path) as other:
            connection = other.database.connection()
            connection.execute("BEGIN IMMEDIATE")
            main = threading.get_ident()

            def free_it() -> None:
                while "enqueue" not in {frame.name for frame in traceback.extract_stack(sys._current_frames()[main])}:
                    time.sleep(0.01)
                time.sleep(0.3)  # from there it is not far to BEGIN
                os.kill(os.getpid(), signal.SIGINT)
                connection.execute("COMMIT")

            thread = threading.Thread(target=free_it)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                queue.enqueue(NewJob("t"))
            thread.join()
            assert not queue.database.connection().in_transaction
            other.enqueue(NewJob("t"))
    finally:
        signal.signal(signal.SIGINT, old)


def test_a_removed_file_is_told_by_the_next_call(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        for file in tmp_path.glob("jobs.db*"):
            file.unlink()
        Queue.open(tmp_path / "jobs.db").close()
        with pytest.raises(DatabaseError, match="was removed or replaced"):
            queue.enqueue(NewJob("t"))


def test_an_existing_file_keeps_its_journal_mode_unless_another_is_asked_for(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db", journal_mode="delete"), Queue.open(tmp_path / "jobs.db") as queue:
        assert file_of(queue).journal_mode() == "delete"
        assert file_of(queue).patience == 60
        assert queue.database.read("PRAGMA synchronous") == [(2,)]
    with Queue.open(tmp_path / "new.db") as queue:
        assert file_of(queue).journal_mode() == "wal"


@pytest.mark.parametrize("table", ["notes", "alembic_version"])
def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path, table: str) -> None:
    """Also one that Alembic looks after, in whatever revision."""
    path = tmp_path / "theirs.db"
    connection = driver.connect(str(path))
    connection.execute(f"CREATE TABLE {table} (version_num)")
    connection.execute(f"INSERT INTO {table} VALUES ('0001')")
    connection.commit()
    connection.close()

    for readonly in (False, True):
        with pytest.raises(DatabaseCorruptError, match="database of something else"):
            SqliteDatabase.open(path, readonly=readonly)
    assert list(tmp_path.iterdir()) == [path]
    connection = driver.connect(str(path))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


@pytest.mark.slow
def test_a_write_outlasts_a_lock_that_is_longer_than_one_wait(tmp_path: Path) -> None:
    """One wait of ``busy_timeout`` is not the end: somebody else may have been quicker, several times."""
    with Queue.open(tmp_path / "jobs.db", busy_timeout=1) as queue, Queue.open(tmp_path / "jobs.db") as other:
        lock = other.database.connection()
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor() as threads:
            enqueued = threads.submit(queue.enqueue, NewJob("t"))
            with pytest.raises(TimeoutError):
                enqueued.result(1.7)
            lock.execute("COMMIT")
            assert queue.get(enqueued.result(60)) is not None


def test_a_backup_gets_through_beside_a_busy_writer(tmp_path: Path) -> None:
    """Copied page by page it would begin anew with every commit of others."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue_many([NewJob("t", {"text": "x" * 4000}) for _ in range(5000)])
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                queue.enqueue(NewJob("u"))

        thread = threading.Thread(target=write)
        thread.start()
        backup(queue.database, tmp_path / "copy.db")
        done.set()
        thread.join()
    with Queue.open(tmp_path / "copy.db") as copy:
        assert copy.stats()["t"] == {"queued": 5000}
        assert check(copy.database) == []


_CHILD = """
import os, sys
from clx import NewJob, Queue
from clx.errors import DatabaseError
queue = Queue.open(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        Queue.open(sys.argv[1]).enqueue(NewJob("t"))
    except DatabaseError as error:
        print(error.fact)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
queue.close()
if os.fork() == 0:
    Queue.open(sys.argv[1]).enqueue(NewJob("t"))
    os._exit(0)
os.wait()
with Queue.open(sys.argv[1]) as queue:
    print(queue.stats())
"""


def test_a_child_may_not_open_what_its_parent_has_open(tmp_path: Path) -> None:
    """SQLite would take the parent's locks for the child's own, and lose what the child was told is stored."""
    path = tmp_path / "jobs.db"
    done = subprocess.run([sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [
        f"{path} was open in the process that this one was forked from; no locks hold after that.",
        "{'t': {'queued': 1}}",
    ], done.stderr


def test_closing_a_queue_whose_table_is_locked_closes_it(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as other:
        with Queue.open(tmp_path / "jobs.db", busy_timeout=0.01) as queue:
            queue.enqueue(NewJob("t"))
            queue.claim(["t"])
            other.database.connection().execute("BEGIN IMMEDIATE")
        other.database.connection().execute("ROLLBACK")
        with pytest.raises(DatabaseError, match="closed by this program"):
            queue.stats()


def test_a_database_removed_earlier_raises_no_alarm_for_the_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    old = Queue.open(path)
    old.enqueue(NewJob("t"))
    for file in tmp_path.glob("jobs.db*"):
        file.unlink()
    with Queue.open(path) as queue:
        queue.enqueue(NewJob("t"))
        assert queue.database.is_in_place()
        assert not old.database.is_in_place()
        (tmp_path / "jobs.db-wal").unlink()
        assert not queue.database.is_in_place()
    old.close()


def test_a_process_that_may_not_be_looked_at_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is mounted with hidepid others' processes are invisible; a signal still tells that they are there."""
    other = process_identity().replace(f"/{os.getpid()}/", "/1/")
    monkeypatch.setattr(identity, "_start_time", lambda _pid: None)

    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_gone(other)

    def none_there(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", none_there)
    assert is_gone(other)


def test_who_has_the_pid_of_a_dead_worker_is_another_process(tmp_path: Path) -> None:
    """Pids are given anew: a worker does not live because somebody else has its number now."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        before, started_at = process_identity().rsplit("/", 1)
        of_the_dead = f"{before}/{int(started_at) - 1}"
        worker = WorkerTable(queue.database).register(
            type="t", pool="", mode="direct", host="h", pid=os.getpid(), identity=of_the_dead, version="1"
        )
        queue.claim(["t"], worker=worker)

        assert [row.id for row in mark_gone_workers_dead(queue.database)] == [worker]
        assert queue.runs(job_id)[0]["cause"] == {"kind": "gone"}


@pytest.mark.parametrize("how", ["wait", "claim"])
def test_whoever_waits_for_a_removed_database_is_told(tmp_path: Path, how: str) -> None:
    """Nobody else will ever write to it."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("t"))
        for file in tmp_path.glob("jobs.db*"):
            file.unlink()
        with pytest.raises(DatabaseError, match="was removed or replaced"):
            queue.wait([job_id], timeout=20) if how == "wait" else queue.claim(["u"])


def test_closing_a_queue_hands_back_what_it_claimed(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t", max_runs=1))
        queue.claim(["t"])
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert [(job.state, job.released) for job in queue.search()] == [("queued", 1)]
        assert WorkerTable(queue.database).list() == []


def test_a_query_of_ones_own_that_waits_in_vain_says_so(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path, journal_mode="delete", busy_timeout=0.05) as queue:
        queue.sql("SELECT 1")
        other = driver.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(DatabaseBusyError):
                queue.sql("SELECT id FROM jobs")
            with pytest.raises(DatabaseBusyError):
                queue.database.look(lambda connection: connection.execute("SELECT id FROM jobs").fetchall())
        finally:
            other.close()
