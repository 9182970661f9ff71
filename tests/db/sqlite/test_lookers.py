"""Other ways into the file: those that are safe, and those that are refused with the word for the safe one."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import sqlalchemy
from tests.support.sqlite import file_of

from clx.db.jobs import NewJob, Queue
from clx.db.sqlite import checkpoint, fence, marks
from clx.db.sqlite.driver import GUARDS_RESETS, can_lose_a_reset, driver
from clx.db.sqlite.guard import open_descriptors
from clx.errors import DatabaseError, DatabaseInUseError, QueueError, UsageError


@pytest.fixture(autouse=True)
def _no_stray_open() -> None:
    """Here it is opened on purpose."""


_COUNT = "SELECT count(*) FROM jobs"


@pytest.fixture(params=["wal", "delete"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with Queue.open(tmp_path / "jobs.db", journal_mode=request.param) as queue:
        queue.enqueue(NewJob("t"))
        yield queue


def _attached(path: Path) -> int:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("ATTACH ? AS looked", (str(path),))
        (count,) = connection.execute("SELECT count(*) FROM looked.jobs").fetchone()
    connection.close()
    return int(count)


def _plain(path: Path, **options: Any) -> int:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro" if options else path, **options)
    (count,) = connection.execute(_COUNT).fetchone()
    connection.close()
    return int(count)


def _sqlalchemy(path: Path) -> int:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        count = connection.execute(sqlalchemy.text(_COUNT)).scalar_one()
    engine.dispose()
    return int(count)


def _pandas(path: Path) -> int:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    found = int(pd.read_sql_query(_COUNT, engine).iloc[0, 0])
    engine.dispose()
    return found


def _pandas_by_connection(path: Path) -> int:
    connection = sqlite3.connect(path)
    found = int(pd.read_sql_query(_COUNT, connection).iloc[0, 0])
    connection.close()
    return found


_LOOKS: dict[str, Callable[[Path], int]] = {
    "sqlite3": _plain,
    "sqlite3 readonly": lambda path: _plain(path, uri=True),
    "attach": _attached,
    "sqlalchemy": _sqlalchemy,
    "pandas": _pandas,
    "pandas on a connection": _pandas_by_connection,
}


@pytest.mark.parametrize("look", _LOOKS)
def test_a_look_within_the_program_leaves_its_locks_alone(queue: Queue, look: str) -> None:
    """Closing the look of another SQLite, or of open(), would drop them (POSIX): another process gets the lock then."""
    connection = queue.database.connection()
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert _LOOKS[look](queue.database.path) == 1
        assert _take_the_lock(queue.database.path) == "refused"
    finally:
        connection.execute("ROLLBACK")
    assert _take_the_lock(queue.database.path) == "taken"


def test_a_look_that_began_before_the_queue_was_opened_may_end_while_it_is_used(tmp_path: Path) -> None:
    Queue.open(tmp_path / "jobs.db").close()
    look = sqlite3.connect(tmp_path / "jobs.db")
    look.execute(_COUNT).fetchone()
    with Queue.open(tmp_path / "jobs.db") as queue:
        connection = queue.database.connection()
        connection.execute("BEGIN IMMEDIATE")
        look.close()

        assert _take_the_lock(queue.database.path) == "refused"
        connection.execute("ROLLBACK")


def _take_the_lock(path: Path) -> str:
    code = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None)\n"
        "try: connection.execute('BEGIN IMMEDIATE'); print('taken')\n"
        "except sqlite3.OperationalError: print('refused')\n"
    )
    return subprocess.check_output([sys.executable, "-c", code, str(path)], text=True).strip()


def _open_by_descriptor(path: Path) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _open_below_a_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.close(os.open(path.name, os.O_RDONLY, dir_fd=folder))
    finally:
        os.close(folder)


def _open_by_proc(path: Path) -> None:
    (descriptor,) = _descriptors_of(path)[:1]
    Path(f"/proc/self/fd/{descriptor}").read_bytes()


def _descriptors_of(path: Path) -> list[int]:
    return [number for number in open_descriptors() if _leads_to(number, path)]


def _leads_to(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


_OPENS: dict[str, Callable[[Path], Any]] = {
    "open": lambda path: path.open("rb").close(),
    "open for writing": lambda path: path.open("ab").close(),
    "os.open": _open_by_descriptor,
    "file object of a path": lambda path: io.FileIO(path).close(),
    "copy": lambda path: shutil.copy(path, path.with_name("copy.db")),
    "read": lambda path: hashlib.sha256(path.read_bytes()),
    "a name in bytes": lambda path: open(os.fsencode(path), "rb").close(),  # noqa: PTH123
    "another name": lambda path: path.with_name("link.db").read_bytes(),
    "relative": lambda path: Path(os.path.relpath(path)).read_bytes(),
    "below a directory": _open_below_a_folder,
    "through a descriptor": _open_by_proc,
}


@pytest.mark.parametrize("way", _OPENS)
def test_plain_open_is_refused_with_the_way_that_is_safe(queue: Queue, way: str) -> None:
    queue.database.path.with_name("link.db").symlink_to("jobs.db")

    with pytest.raises(DatabaseInUseError, match=r"queue\.backup") as refused:
        _OPENS[way](queue.database.path)

    assert isinstance(refused.value, OSError)  # a program that skips what it cannot read goes on
    assert queue.stats() == {"t": {"queued": 1}}


def test_another_file_of_that_name_may_be_opened(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue itself holds the directory of its own open; no name of the program counts from that."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (tmp_path / "below" / "jobs.db").write_bytes(b"another")

    descriptor = os.open("jobs.db", os.O_RDONLY)
    assert os.read(descriptor, 10) == b"another"
    os.close(descriptor)


def _by_c_code(path: Path) -> None:
    library = ctypes.CDLL(None)
    library.close(library.open(os.fsencode(path), os.O_RDONLY))


def _by_dup(path: Path) -> None:
    os.close(os.dup(_descriptors_of(path)[0]))


_ROBBERIES: dict[str, Callable[[Path], None]] = {"C code": _by_c_code, "a second descriptor": _by_dup}


@pytest.mark.skipif(not marks.SUPPORTED, reason="this platform does not tell a process of its own locks")
@pytest.mark.parametrize("suffix", ["", "-shm"])
@pytest.mark.parametrize("way", _ROBBERIES)
def test_who_has_lost_his_locks_stores_nothing_any_more(queue: Queue, way: str, suffix: str) -> None:
    """In the middle of a transaction; with a write-ahead log before it, too: there are locks that are kept."""
    path = Path(f"{queue.database.path}{suffix}")
    if not path.exists():  # without a write-ahead log there is no shared memory
        path = queue.database.path

    def body(connection: Any) -> None:
        connection.execute("UPDATE jobs SET priority = 5")
        _ROBBERIES[way](path)
        connection.execute("UPDATE jobs SET priority = 4")

    with pytest.raises(DatabaseError, match="behind SQLite's back"):
        queue.database.write("look", body)
    assert queue.sql("SELECT priority FROM jobs") == [{"priority": 3}]
    if file_of(queue).journal_mode() == "wal":
        with pytest.raises(DatabaseError, match="behind SQLite's back"):
            queue.enqueue(NewJob("t"))
        assert queue.stats() == {"t": {"queued": 1}}


@pytest.mark.skipif(not marks.SUPPORTED, reason="this platform does not tell a process of its own locks")
def test_a_file_that_was_opened_before_the_queue_is_missed_when_it_is_closed(tmp_path: Path) -> None:
    Queue.open(tmp_path / "jobs.db").close()
    with (tmp_path / "jobs.db").open("r+b") as early:
        queue = Queue.open(tmp_path / "jobs.db")
        queue.enqueue(NewJob("t"))
        early.close()
        with pytest.raises(DatabaseError, match="behind SQLite's back"):
            queue.enqueue(NewJob("t"))
        queue.close()
    with Queue.open(tmp_path / "jobs.db") as queue:  # whoever opens it anew has its locks
        queue.enqueue(NewJob("t"))


def test_locks_are_not_missed_where_connections_come_and_go(queue: Queue) -> None:
    """Of threads, of other objects, of the program's own; the last one drops all locks by itself."""
    path = queue.database.path

    def use() -> None:
        look = sqlite3.connect(path)
        with Queue.open(path, journal_mode="keep") as other:
            for _ in range(5):
                other.enqueue(NewJob("t"))
                queue.enqueue(NewJob("t"))
        look.execute(_COUNT).fetchone()
        look.close()

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(use) for _ in range(4)]:
                future.result()
    queue.close()
    with Queue.open(path, journal_mode="keep") as again:
        assert again.stats() == {"t": {"queued": 121}}


def test_who_is_given_a_write_ahead_log_by_another_goes_by_the_locks_of_that(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db", journal_mode="delete") as queue:
        queue.enqueue(NewJob("t"))
        with Queue.open(tmp_path / "jobs.db", journal_mode="wal") as other:
            assert file_of(other).journal_mode() == "wal"
            queue.enqueue(NewJob("t"))
            assert other.stats() == {"t": {"queued": 2}}


def test_the_file_of_the_locks_is_refused_too_by_whatever_name(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db"):
        (tmp_path / "soft").symlink_to("jobs.db-shm")
        (tmp_path / "hard").hardlink_to(tmp_path / "jobs.db-shm")
        for name in ("jobs.db-shm", "soft", "hard"):
            with pytest.raises(DatabaseInUseError):
                (tmp_path / name).read_bytes()


@pytest.mark.parametrize("how", ["unix-none", "unix-dotfile"])
def test_a_look_that_locks_in_another_way_is_refused(queue: Queue, how: str) -> None:
    with pytest.raises(DatabaseInUseError):
        sqlite3.connect(f"{queue.database.path.as_uri()}?vfs={how}", uri=True)


def test_a_database_that_this_program_has_closed_may_be_opened(queue: Queue) -> None:
    path = queue.database.path
    queue.close()
    code = f"from clx import Queue\nq = Queue.open({str(path)!r}); q.close()\nprint(open({str(path)!r}, 'rb').read(6))"

    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"b'SQLite'"


def test_a_select_of_ones_own(queue: Queue) -> None:
    assert queue.sql("SELECT type, count(*) AS n FROM jobs WHERE state = ? GROUP BY type", ["queued"]) == [
        {"type": "t", "n": 1}
    ]
    assert queue.sql("WITH one AS (SELECT 1 AS a) SELECT a FROM one WHERE a = :a", {"a": 1}) == [{"a": 1}]
    assert queue.sql("-- how many\nSELECT count(*) AS n FROM jobs") == [{"n": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM jobs", "WITH x AS (SELECT 1) DELETE FROM jobs", "PRAGMA journal_mode = delete", "SELEC 1",
        "SELECT 1; DELETE FROM jobs", "BEGIN IMMEDIATE", "ATTACH 'x' AS y", "VACUUM", "", "SELECT * FROM nowhere",
    ],
)  # fmt: skip
def test_nothing_but_a_select_is_taken_and_nothing_is_changed(queue: Queue, query: str) -> None:
    with pytest.raises(QueueError):
        queue.sql(query)

    assert queue.stats() == {"t": {"queued": 1}}
    queue.enqueue(NewJob("t"))  # the connection can write again


def test_a_select_in_memory() -> None:
    with Queue.open("memory:") as queue:
        queue.enqueue(NewJob("t"))
        assert queue.sql("SELECT count(*) AS n FROM jobs") == [{"n": 1}]
        with pytest.raises(QueueError):
            queue.sql("WITH x AS (SELECT 1) DELETE FROM jobs")


def test_a_backup_of_ones_own(queue: Queue, tmp_path: Path) -> None:
    assert queue.backup(tmp_path / "copy.db") > 0
    with pytest.raises(UsageError):
        queue.backup(tmp_path / "copy.db")
    with Queue.open(tmp_path / "copy.db") as copy:
        assert copy.stats() == queue.stats()


def test_hard_links_are_refused(tmp_path: Path) -> None:
    Queue.open(tmp_path / "jobs.db").close()
    (tmp_path / "alias.db").hardlink_to(tmp_path / "jobs.db")

    for name in ("jobs.db", "alias.db"):
        with pytest.raises(DatabaseError, match="2 names"):
            Queue.open(tmp_path / name)


def test_a_symbolic_link_leads_to_the_files_own_bells(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "jobs.db")
    with Queue.open(tmp_path / "link.db") as queue:
        assert queue.database.path == tmp_path / "real" / "jobs.db"
    assert not (tmp_path / ".clx").exists()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_stored_after_a_file_was_taken_away_is_not_acknowledged(
    tmp_path: Path, suffix: str, replaced: bool
) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        file = tmp_path / f"jobs.db{suffix}"
        file.unlink()
        if replaced:
            (tmp_path / "another").touch()
            (tmp_path / "another").rename(file)
        with pytest.raises(DatabaseError, match="removed or replaced"):
            queue.enqueue(NewJob("t"))


@pytest.mark.parametrize("call", ["cancel", "retry"])
def test_what_is_changed_after_a_file_was_taken_away_is_not_acknowledged(tmp_path: Path, call: str) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        ids = queue.enqueue_many([NewJob("t"), NewJob("t")])
        queue.cancel(ids[:1])
        (tmp_path / "jobs.db-wal").unlink()
        with pytest.raises(DatabaseError, match="removed or replaced"):
            getattr(queue, call)(ids)


@pytest.mark.skipif(not GUARDS_RESETS, reason="this SQLite keeps its log short by itself")
def test_the_log_is_copied_back_and_stays_short(tmp_path: Path) -> None:
    log = tmp_path / "jobs.db-wal"
    with Queue.open(tmp_path / "jobs.db") as queue:
        for _ in range(40):
            queue.enqueue_many([NewJob("t", {"text": "x" * 2000}) for _ in range(500)])
        assert log.stat().st_size <= 2 * checkpoint.LOG

        reader = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute(_COUNT).fetchone()
        for _ in range(40):
            queue.enqueue_many([NewJob("t", {"text": "x" * 2000}) for _ in range(500)])
        assert log.stat().st_size > 2 * checkpoint.LOG  # what a reader may still need is kept
        reader.close()
        for _ in range(12):
            queue.enqueue_many([NewJob("t", {"text": "x" * 2000}) for _ in range(500)])
        assert log.stat().st_size <= 2 * checkpoint.LOG


def test_no_checkpoint_while_somebody_writes(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue, Queue.open(tmp_path / "jobs.db") as other:
        queue.enqueue(NewJob("t"))
        other.database.connection().execute("BEGIN IMMEDIATE")
        assert file_of(queue).checkpoint() is None
        other.database.connection().execute("ROLLBACK")
        assert file_of(queue).checkpoint() is True


@pytest.mark.parametrize(
    ("version", "can"),
    [
        ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 6), True),
        ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 53, 4), False),
    ],
)  # fmt: skip
def test_which_sqlite_can_lose_a_reset(version: tuple[int, int, int], can: bool) -> None:
    assert can_lose_a_reset(version) is can


def test_the_library_is_the_one_that_everybody_uses() -> None:
    assert driver is sqlite3


_FOREIGN = """
import sys
from clx import Queue
from clx.errors import DatabaseInUseError
early = sys.argv[2] == "early"
if early:
    import pysqlite3, pysqlite3.dbapi2
queue = Queue.open(sys.argv[1])
import pysqlite3, pysqlite3.dbapi2
from pathlib import Path
path = Path(sys.argv[1])
for connect in (pysqlite3.connect, pysqlite3.dbapi2.connect):
    for name in (str(path), path, f"{path.as_uri()}?mode=ro"):
        try:
            connect(name, uri=str(name).startswith("file:"))
        except DatabaseInUseError:
            print("refused")
pysqlite3.connect(":memory:").close()
queue.close()
pysqlite3.connect(str(path)).close()
"""


@pytest.mark.skipif(find_spec("pysqlite3") is None, reason="this platform has no other SQLite for Python")
@pytest.mark.parametrize("when", ["early", "late"])
def test_another_sqlite_in_the_same_program_is_refused(tmp_path: Path, when: str) -> None:
    """Loaded before the queue was opened, or after; other files are none of our business."""
    code = [sys.executable, "-W", "error", "-c", _FOREIGN, str(tmp_path / "jobs.db"), when]

    assert subprocess.check_output(code, text=True) == "refused\n" * 6


def test_any_other_library_is_fenced_in_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def __init__(self, name: str) -> None:
            self.name = name

    library = ModuleType("apsw")
    library.Connection = Connection  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apsw", library)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    asked: list[str] = []
    fence.install(asked.append)

    made = library.Connection("other.db")

    assert isinstance(made, Connection)
    assert (made.name, asked) == ("other.db", ["other.db"])
