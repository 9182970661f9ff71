"""``clx jobs pause`` and ``resume``, and what ``clx status`` and ``clx jobs show`` say of what waits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.db.jobs import NewJob, Queue


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        yield queue


def _clx(cwd: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "clx", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_type_is_paused_shown_and_resumed(queue: Queue, tmp_path: Path) -> None:
    queue.enqueue(NewJob("mail", pool="eu"))

    assert _clx(tmp_path, "jobs", "pause", "mail", "--pool", "eu") == "Jobs of mail (pool eu) are paused.\n"
    assert "are paused already." in _clx(tmp_path, "jobs", "pause", "mail", "--pool", "eu")

    assert queue.claim(["mail"], pool="eu") == []
    shown = _clx(tmp_path, "status")
    assert "Paused for" in shown
    assert f": mail (pool eu). Type: clx jobs resume mail --pool eu --db-path {queue.database.path}" in shown
    assert "are paused" in _clx(tmp_path, "jobs", "show", "1")
    found = json.loads(_clx(tmp_path, "status", "--format", "json"))
    assert [(each["type"], each["pool"]) for each in found["paused"]] == [("mail", "eu")]

    assert _clx(tmp_path, "jobs", "resume", "mail") == ("Jobs of mail were not paused.\nPaused: mail (pool eu).\n")
    document = json.loads(_clx(tmp_path, "jobs", "resume", "mail", "--pool", "eu", "--format", "json"))
    assert document == {"type": "mail", "pool": "eu", "paused": False, "changed": True}
    assert len(queue.claim(["mail"], pool="eu")) == 1


def test_what_a_limit_holds_is_shown(queue: Queue, tmp_path: Path) -> None:
    queue.set_limit("api", concurrency=1)
    queue.enqueue_many([NewJob("mail", limit="api") for _ in range(3)])
    queue.claim(["mail"], 3)

    assert "Limit api: 1 run, 2 are held back" in _clx(tmp_path, "status")
    document = json.loads(_clx(tmp_path, "jobs", "show", "2", "--format", "json"))
    assert (document["limit"], document["expires_at"]) == ("api", None)


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_where_there_is_no_queue_there_is_nothing_to_do(tmp_path: Path, what: str) -> None:
    assert f"There is nothing to {what}." in _clx(tmp_path, "jobs", what, "mail", code=2)
