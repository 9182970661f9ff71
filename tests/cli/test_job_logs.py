"""`clx jobs logs`: what runs have written, whole or from where it is kept, and while they go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scene import until

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Failure, NewJob, Queue, Success
from clx.workers.run_logs import live_log, naming


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


def command(queue: Queue, *words: str) -> list[str]:
    return [sys.executable, "-m", "clx", "jobs", "logs", *words, "--db-path", str(queue.database.path)]


def told(queue: Queue, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(queue, *words), capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == code, done.stderr
    return done


def test_each_run_is_shown_whole(queue: Queue) -> None:
    job = queue.enqueue(NewJob("t", max_runs=2))
    queue.claim(["t"])
    queue.settle([Failure(job, 1, {"message": "no"}, retry=True, backoff=0, stderr="first\n")])
    queue.claim(["t"])
    long = b"second\n" * 2000
    digest = ArtifactStore(queue.database.state.shared / "artifacts").put_bytes(long)
    queue.settle([Success(job, 2, stderr=naming(digest, len(long), "second\n"))])
    text = long.decode()
    assert told(queue, str(job)).stdout == f"--- run 1, failed ---\nfirst\n--- run 2, succeeded ---\n{text}"
    document = json.loads(told(queue, str(job), "--format", "json").stdout)
    assert [each["output"] for each in document["runs"]] == ["first\n", text]
    assert told(queue, str(job), "-f").stdout == "first\n" + text


def test_where_the_artifact_is_gone_its_end_is_shown(queue: Queue) -> None:
    job = queue.enqueue(NewJob("t"))
    queue.claim(["t"])
    queue.settle([Success(job, 1, stderr=naming("a" * 64, 9999, "the end\n"))])
    assert "the end\n" in told(queue, str(job)).stdout


def test_nothing_said_and_no_such_job_are_told(queue: Queue) -> None:
    job = queue.enqueue(NewJob("t"))
    assert f"Job {job} has written nothing." in told(queue, str(job)).stderr
    assert "There is no job 77." in told(queue, "77", code=2).stderr


def test_a_run_is_followed_to_its_end_and_nothing_is_shown_twice(queue: Queue, tmp_path: Path) -> None:
    job = queue.enqueue(NewJob("t"))
    queue.claim(["t"])
    live = live_log(queue.database.state.path, job, 1)
    live.parent.mkdir(parents=True)
    live.write_text("first\n")
    out = tmp_path / "out"
    with out.open("wb") as stream:
        process = subprocess.Popen(
            command(queue, str(job), "-f"), stdout=stream, cwd="/", env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
    until(lambda: out.read_text() == "first\n")
    with live.open("a") as file:
        file.write("second\n")
    until(lambda: out.read_text() == "first\nsecond\n")
    queue.settle([Success(job, 1, stderr="first\nsecond\nthird\n")])
    live.unlink()
    assert process.wait(timeout=60) == 0
    assert out.read_text() == "first\nsecond\nthird\n"


def test_pruning_keeps_the_outputs_that_runs_name(queue: Queue) -> None:
    from clx.db.retention import Policy
    from clx.workers.supervision.pruning import prune_project

    store = ArtifactStore(queue.database.state.shared / "artifacts")
    named, unnamed = store.put_bytes(b"named"), store.put_bytes(b"unnamed")
    for digest in (named, unnamed):
        os.utime(store.path(digest), (0, 0))
    job = queue.enqueue(NewJob("t"))
    queue.claim(["t"])
    queue.settle([Success(job, 1, stderr=naming(named, 5, "ed"))])
    prune_project(queue.database, Policy())
    assert store.path(named).exists()
    assert not store.path(unnamed).exists()
