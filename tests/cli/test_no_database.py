"""What commands say when there is no database, or not the one that was meant."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clx.db.jobs import NewJob, Queue


def _clx(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "clx", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("jobs list", 0), ("jobs retry --failed", 0), ("jobs cancel --queued", 0), ("jobs show 1", 2),
        ("jobs retry 1", 2), ("jobs cancel 1", 2), ("workers list", 0), ("workers cleanup", 0), ("workers stop 1", 2),
        ("workers logs 1", 2),
        ("schedules list", 0), ("schedules show n", 2), ("schedules pause n", 2), ("schedules remove n", 2),
        ("limits list", 0), ("limits remove n", 2),
        ("status", 0), ("cache stats", 0), ("db check", 4), ("db prune", 4), ("cache prune", 4), ("db backup b", 4),
    ],
)  # fmt: skip
def test_every_command_says_that_there_is_no_database(tmp_path: Path, command: str, code: int) -> None:
    """By the same sentence; where that ends the command, with what to type."""
    done = _clx(*command.split(), cwd=tmp_path)
    assert done.returncode == code
    assert f"There is no database at {tmp_path}/.clx/jobs.db yet." in done.stdout + done.stderr
    assert ("Build a course first, or name another database with --db-path." in done.stderr) is (code != 0)
    assert "No jobs" not in done.stdout


def test_next_steps_name_the_database_that_was_named(tmp_path: Path) -> None:
    """Relative as it was typed, quoted; one that was not typed is left out. What is told to be typed works."""
    folder = tmp_path / "a b"
    with Queue.open(folder / "jobs.db") as queue:
        queue.enqueue(NewJob("t", key="k"))
    typed = "--db-path 'a b/jobs.db'"
    missing = _clx("jobs", "show", "99", "--db-path", "a b/jobs.db", cwd=tmp_path)
    assert f"`clx jobs list {typed}` names those there are." in missing.stderr
    listed = _clx(*shlex.split(f"jobs list {typed}"), cwd=tmp_path)
    assert " queued " in listed.stdout
    missing = _clx("workers", "stop", "99", "--db-path", "a b/jobs.db", "--format", "json", cwd=tmp_path)
    assert f"`clx workers list {typed} --all` names those there are." in missing.stdout
    missing = _clx("jobs", "show", "99", cwd=folder)
    assert "--db-path" not in missing.stderr.replace("with --db-path", "")
    status = _clx("status", "--db-path", "a b/jobs.db", cwd=tmp_path)
    assert "clx start-services" not in status.stdout or f"clx start-services {typed}" in status.stdout
