"""What a user is told when the file cannot be used: the fact, and the step that mends it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from clx.db.jobs import NewJob, Queue
from clx.db.schedules.models import Schedule
from clx.db.workers import WorkerTable
from clx.errors import (
    DatabaseError,
    DatabaseFullError,
    JobCancelledError,
    JobExistsError,
    JobTimeoutError,
    QueueError,
)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """A queue of one job."""
    with Queue.open(tmp_path / "jobs.db") as found:
        found.enqueue(NewJob("t"))
    return found


_ONE_THREAD_TOO_MANY = """
import os, resource, sys, threading
from clx.db.jobs import NewJob, Queue
from clx.errors import ClxError

def work():
    try:
        if sys.argv[3] == "read": queue.stats()
        elif sys.argv[3] == "open": Queue.open(sys.argv[1])
        elif sys.argv[3] == "new": Queue.open(sys.argv[1] + ".other")
        else: queue.enqueue(NewJob("t"))
    except ClxError as error:
        print(error.exit_code, error)

queue = Queue.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
held = []
try:
    while True: held.append(os.open("/", os.O_RDONLY))
except OSError:
    for each in held[len(held) - int(sys.argv[2]):]: os.close(each)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("how", ["read", "write", "open", "new"])
@pytest.mark.parametrize("free", [0, 1])
def test_a_program_without_descriptors_is_told_so(queue: Queue, how: str, free: int) -> None:
    """However few are left: some are used, and free again, when it has failed."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE_THREAD_TOO_MANY, str(queue.database.path), str(free), how],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith("4 ")
    assert "Too many open files" in done.stdout
    assert "ulimit -n" in done.stdout
    assert "writable" not in done.stdout


@pytest.mark.parametrize("closed", ["jobs.db", "jobs.db-wal", "jobs.db-shm"])
def test_the_file_that_is_not_writable_is_named(shared: Path, closed: str) -> None:
    with Queue.open(shared / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        for each in shared.iterdir():
            each.chmod(0o444 if each.name == closed else 0o777 if each.is_dir() else 0o666)
        code = (
            "import sys\nfrom clx.db.jobs import *\nfrom clx.errors import ClxError\n"
            "try: Queue.open(sys.argv[1]).enqueue(NewJob('t'))\n"
            "except ClxError as error: print(error.exit_code, error.next_step)"
        )
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*nobody, sys.executable, "-c", code, str(shared / "jobs.db")], capture_output=True, text=True, timeout=60
        )
        assert done.stderr == ""
        assert done.stdout == f"4 Make {shared / closed} writable, or name another file with --db-path.\n"


def test_whoever_writes_to_what_was_opened_readonly_is_told_so(queue: Queue) -> None:
    path = queue.database.path
    with Queue.open(path, readonly=True) as reader:
        for step in (
            lambda: reader.enqueue(NewJob("t")),
            lambda: reader.claim(["t"]),
            lambda: reader.cancel([1]),
            reader.prune,
            lambda: WorkerTable(reader.database).beat(1),
            reader.database.require_writable,
        ):
            with pytest.raises(DatabaseError) as caught:
                step()
            assert caught.value.fact == f"{path} was opened readonly."
            assert "readonly" in caught.value.next_step
        assert [job.state for job in reader.search(state="queued")] == ["queued"]


def test_ids_that_are_used_up_are_among_what_may_be_full(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        queue.database.write(
            "end", lambda connection: connection.execute("UPDATE sqlite_sequence SET seq = 9223372036854775807")
        )
        with pytest.raises(DatabaseFullError) as caught:
            queue.enqueue(NewJob("t"))
        assert "max(id)" in caught.value.next_step


def test_what_to_type_about_a_job_names_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, told in _databases(tmp_path, "clx jobs show 1"):
        monkeypatch.chdir(tmp_path)
        with Queue.open(path) as queue:
            job = queue.enqueue(NewJob("t"))
            with pytest.raises(JobTimeoutError) as late:
                queue.result(job, 0)
            queue.cancel([job])
            with pytest.raises(JobCancelledError) as cancelled:
                queue.result(job)
        for error in (late.value, cancelled.value):
            assert f"`{told}`" in error.next_step
            assert pickle.loads(pickle.dumps(error)).next_step == error.next_step


def test_what_to_type_about_a_refusal_names_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, told in _databases(tmp_path, "clx jobs cancel 1"):
        with Queue.open(path) as queue:
            queue.schedules.add(Schedule("n", "@yearly", NewJob("t", key="k")))
            queue.enqueue(NewJob("t", key="k"))
            with pytest.raises(JobExistsError) as exists:
                queue.enqueue(NewJob("t", key="k"), on_conflict="raise")
            with pytest.raises(QueueError) as taken:
                queue.schedules.run("n")
            queue.cancel([1])
            queue.enqueue(NewJob("t", key="k"))
            many = [1, *range(3, 1000)]
            with pytest.raises(JobExistsError) as retried:
                queue.retry(many)
        assert exists.value.next_step == f"Wait for it, or cancel it: {told}"
        listed = told.replace("cancel 1", "list")
        assert taken.value.next_step == f"See `{listed}`."
        assert retried.value.next_step == f"Wait for it, or cancel it: {told.replace('1', '2', 1)}"
    with Queue.open("memory:") as queue, pytest.raises(QueueError) as unknown:
        queue.schedules.get("n")
    assert unknown.value.next_step == "There are none yet: clx schedules add NAME CRON --type T"


def _databases(folder: Path, command: str) -> list[tuple[Path, str]]:
    """Where a queue may lie, and the command that is about it."""
    return [
        (folder / "a b.db", f"{command} --db-path '{folder}/a b.db'"),
        (folder / ".clx" / "jobs.db", command),
    ]
