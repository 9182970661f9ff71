"""Opening, journal modes, threads, forks, errors with their next step."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clx.db import filesystem
from clx.db.database import Database, state_directory
from clx.db.driver import driver, translate
from clx.db.jobs import NewJob, Queue
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError, UsageError


def test_a_reader_never_makes_a_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        Database.open(tmp_path / "none.db", readonly=True)

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
            Database.open(path, journal_mode="delete", busy_timeout=0.01)
    with Queue.open(path, journal_mode="delete") as queue:
        assert queue.database.journal_mode() == "delete"


def test_a_process_without_a_row_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    code = f"from clx.db.jobs import *; q = Queue.open({str(path)!r}); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(DatabaseBusyError, match=f"process {holder.pid} "):
            Database.open(path, journal_mode="delete", busy_timeout=0.01)
    finally:
        holder.communicate(b"\n")


def test_a_fork_after_opening_is_refused(tmp_path: Path) -> None:
    code = f"""
import os
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
        Database.open(path).close()  # an empty file is an empty database
        return
    with pytest.raises(DatabaseCorruptError, match="Nothing was touched") as caught:
        Database.open(path)
    assert str(path) in caught.value.fact
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    connection = driver.connect(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(DatabaseCorruptError, match="something else"):
        Database.open(path)


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


def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        assert queue.database.is_in_place()
        (tmp_path / "jobs.db-wal").unlink()
        assert not queue.database.is_in_place()


def test_state_lies_beside_the_database() -> None:
    assert state_directory(Path("/p/jobs.db")) == Path("/p/.clx")
    assert state_directory(Path("/p/.clx/jobs.db")) == Path("/p/.clx")


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://host/x.db", "sqlite:///x.db?cache=shared"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Queue.open(url)


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
        Database.open(tmp_path / "jobs.db")
    Database.open(tmp_path / "other.db", journal_mode="delete").close()


@pytest.mark.parametrize("content", [b"just text, no database at all, and long enough to be looked at" * 20, None])
def test_what_is_no_job_table_gets_nothing_beside_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "notes.txt"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(DatabaseError):
        Database.open(path)

    assert list(tmp_path.iterdir()) == [path]
    assert content is None or path.read_bytes() == content


def test_another_word_for_the_journal_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='"wall" is no journal mode'):
        Queue.open(tmp_path / "jobs.db", journal_mode="wall")
    assert list(tmp_path.iterdir()) == []
