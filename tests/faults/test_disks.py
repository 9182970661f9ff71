"""What the disk can do: be full, fail, be read-only, lose a file, hold rubbish; and a kill at any write."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import Script, need

from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.errors import DatabaseCorruptError, DatabaseError, DatabaseFullError

_SOAK = bool(os.environ.get("CLX_SOAK"))


def test_a_full_database_says_so_and_resumes_by_itself(tmp_path: Path, judge: Callable[[], str]) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        connection = queue.database.connection()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        done = _enqueue_until_full(queue)
        assert queue.claim(["t"])  # what fits goes on: claims and heartbeats need no new page
        connection.execute("PRAGMA max_page_count = 1000000")
        queue.enqueue(NewJob("t"))
        assert sum(queue.stats()["t"].values()) == done + 1
    assert judge() == ""


def _enqueue_until_full(queue: Queue) -> int:
    """How many jobs fitted."""
    before = len(queue.search(limit=10**6))
    with pytest.raises(DatabaseFullError, match="MiB free"):
        deque((queue.enqueue(NewJob("t", {"text": "x" * 2000})) for _ in range(1000)), maxlen=0)
    return len(queue.search(limit=10**6)) - before


_FILL = """
from pathlib import Path
from clx.artifacts.store import ArtifactStore
from clx.errors import DatabaseFullError
queue = Queue.open(path)
ids, full = [], False
try:
    while True:
        ids.append(queue.enqueue(NewJob("t", {"text": "x" * 3000})))
except DatabaseFullError:
    full = True
try:
    ArtifactStore(Path(path).parent / "artifacts").put_bytes(b"x" * 2_000_000)
except OSError as error:
    print("artifact:", error.strerror)
leftover = [p for p in (Path(path).parent / "artifacts").rglob("*") if p.is_file()]
there = {job.id for job in queue.search(limit=10**6)}
print(full, set(ids) <= there, len(there) - len(ids) in (0, 1), leftover)
"""


def _on_a_small_disk(tmp_path: Path, code: str) -> list[str]:
    """What *code* prints where the directory of *path* takes one megabyte."""
    need("unshare")
    mounted = tmp_path / "small"
    mounted.mkdir()
    code = f"import sys\nfrom clx.db.jobs import *\npath = {str(mounted / 'jobs.db')!r}\n{code}"
    command = f'mount -t tmpfs -o size=1m tmpfs "{mounted}" && exec "{sys.executable}" -c "$CODE"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_file_system_without_space_loses_nothing_acknowledged(tmp_path: Path) -> None:
    assert _on_a_small_disk(tmp_path, _FILL) == ["artifact: No space left on device", "True True True []"]


_BACKUP = """
from pathlib import Path
from clx.db.sqlite.backup import backup
from clx.errors import DatabaseError
queue = Queue.open(Path(path).parents[1] / "jobs.db")
queue.enqueue(NewJob("t", {"text": "x" * 2_000_000}))
try:
    backup(queue.database, Path(path))
except DatabaseError as error:
    print(error.fact.replace(path, "it"), error.next_step)
print(list(Path(path).parent.iterdir()))
"""


def test_a_backup_that_does_not_fit_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    assert _on_a_small_disk(tmp_path, _BACKUP) == [
        "it cannot be made: database or disk is full. Free some space, or name another file.", "[]",
    ]  # fmt: skip


_KILLED_BACKUP = """
import resource, signal
from pathlib import Path
from clx.db.sqlite.backup import backup
queue = Queue.open(path)
queue.enqueue(NewJob("t", {"text": "x" * 4_000_000}))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # where a file grows beyond the limit the kernel kills
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
backup(queue.database, Path(path).with_name("copy.db"))
"""


def test_a_backup_that_is_killed_in_the_middle_leaves_nothing_under_its_name(
    tmp_path: Path, script: Script, judge: Callable[[Path], str]
) -> None:
    """Half a copy must not pass for a backup; the next one is made in its place."""
    from clx.db.sqlite.backup import backup

    assert script(_KILLED_BACKUP).returncode == -signal.SIGXFSZ

    copy = tmp_path / "copy.db"
    assert not copy.exists()
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert backup(queue.database, copy) > 4_000_000
    assert judge(copy) == ""
    assert {file.name for file in tmp_path.glob("*copy.db*")} == {"copy.db"}


_SYNCED = """
queue = Queue.open(path, journal_mode="delete")
for n in range(5):
    print(queue.enqueue(NewJob("t")), flush=True)
"""


def _strace(*options: str) -> tuple[str, ...]:
    need("strace")
    return ("strace", "-f", "-qq", "-o", "/dev/null", *options)


def test_a_failing_fsync_is_not_an_acknowledgement(tmp_path: Path, script: Script, judge: Callable[[], str]) -> None:
    Queue.open(tmp_path / "jobs.db", journal_mode="delete").close()
    inject = "inject=fdatasync,fsync:error=EIO:when=4+"
    done = script(_SYNCED, before=_strace("-e", "trace=fdatasync,fsync", "-e", inject))

    assert done.returncode == 1
    assert "SQLITE_IOERR" in done.stderr
    acknowledged = {int(line) for line in done.stdout.split()}
    with Queue.open(tmp_path / "jobs.db", journal_mode="delete") as queue:
        assert acknowledged <= {job.id for job in queue.search()}
    assert judge() == ""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_kill_at_any_write_keeps_what_was_acknowledged(
    mode: str, tmp_path: Path, script: Script, judge: Callable[[Path], str]
) -> None:
    for nth in range(1, 60, 1 if _SOAK else 7):
        path = tmp_path / f"{nth}.db"
        Queue.open(path, journal_mode=mode).close()
        inject = f"inject=pwrite64:signal=KILL:when={nth}"
        done = script(_SYNCED.replace("delete", mode), path=path, before=_strace("-e", "trace=pwrite64", "-e", inject))
        if done.returncode == 0:
            break
        acknowledged = {int(line) for line in done.stdout.split()}
        with Queue.open(path, journal_mode=mode) as queue:
            assert acknowledged <= {job.id for job in queue.search()}
        assert judge(path) == ""
    else:
        assert nth > 50


def test_a_read_only_directory_is_named_with_owner_and_mode(tmp_path: Path) -> None:
    need("setpriv")
    folder = tmp_path / "fixed"
    folder.mkdir()
    Queue.open(folder / "jobs.db", journal_mode="delete").close()
    (folder / ".clx").chmod(0o755)  # it is its owner's only, which would be what is told
    (folder / "jobs.db").chmod(0o444)
    folder.chmod(0o555)
    _let_in(tmp_path)
    code = (
        "from clx.db.jobs import *\nfrom clx.errors import ClxError\n"
        f"try: Queue.open({str(folder / 'jobs.db')!r}, journal_mode='delete').enqueue(NewJob('t'))\n"
        "except ClxError as error: print(error.exit_code, error)"
    )
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*nobody, sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stderr == ""
    assert re.match(r"4 .*jobs\.db; owner \d+:\d+, mode -r--r--r--", done.stdout)
    assert "--db-path" in done.stdout


def _let_in(folder: Path) -> None:
    """Let other users reach a directory of pytest's."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o055)


def test_a_deleted_log_ends_the_worker_before_it_writes_into_the_void(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        for name in ("jobs.db-wal", "jobs.db-shm"):
            (tmp_path / name).unlink()
        assert not queue.database.is_in_place()


@pytest.mark.parametrize("damage", ["header", "middle", "cut"])
def test_damage_is_reported_and_nothing_is_touched(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path, journal_mode="delete") as queue:
        queue.enqueue_many([NewJob("t", {"text": "x" * 500}) for _ in range(200)])
    _damage(path, damage)
    before = _bytes(path)

    with pytest.raises(DatabaseError) as caught:
        _use(path)

    assert isinstance(caught.value, DatabaseCorruptError)
    assert "restore a backup" in caught.value.next_step
    assert _bytes(path) == before


def _use(path: Path) -> None:
    with Queue.open(path, journal_mode="delete") as queue:
        queue.search(limit=1000)


def _damage(path: Path, kind: str) -> None:
    """Through a descriptor of the system's: no database is open here."""
    descriptor = os.open(path, os.O_RDWR)
    size = os.fstat(descriptor).st_size
    if kind == "cut":
        os.ftruncate(descriptor, size // 2)
    else:
        os.pwrite(descriptor, b"\xff" * 4096 * (1 if kind == "header" else 20), 0 if kind == "header" else size // 2)
    os.close(descriptor)


def _bytes(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 10**8)
    finally:
        os.close(descriptor)


def test_a_clean_end_leaves_a_small_log(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as queue, Queue.open(path) as reader:
        reader.stats()
        for _ in range(20):
            queue.enqueue_many([NewJob("t", {"text": "x" * 200}) for _ in range(500)])
        assert _size(path, "-wal") < 16 << 20
    assert not (tmp_path / "jobs.db-wal").exists()


def _size(path: Path, end: str) -> int:
    return path.with_name(path.name + end).stat().st_size


def test_a_backup_beside_writers_is_whole(tmp_path: Path, judge: Callable[[Path], str]) -> None:
    from clx.db.sqlite.backup import backup

    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue_many([NewJob("t", {"n": n}) for n in range(5000)])
        code = (
            f"from clx.db.jobs import *\nq = Queue.open({str(tmp_path / 'jobs.db')!r})\n"
            "while True: print(q.enqueue(NewJob('t')), flush=True)"
        )
        writer: Any = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        writer.stdout.readline()
        try:
            assert backup(queue.database, tmp_path / "copy.db") > 0
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
    assert judge(tmp_path / "copy.db") == ""
    with Database.open(tmp_path / "copy.db", journal_mode="keep") as copy:
        assert copy.read("SELECT count(*) FROM jobs")[0][0] >= 5000
