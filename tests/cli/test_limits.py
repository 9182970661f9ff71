"""``clx limits``: set, shown, removed; what a job or a schedule is told that names one that is not set."""

from __future__ import annotations

import json
import shlex
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


def test_one_is_set_where_there_is_no_database_yet_and_holds(tmp_path: Path) -> None:
    assert _clx(tmp_path, "limits", "set", "api", "--concurrency", "1") == "Limit api: 1 job(s) at a time.\n"
    said = _clx(tmp_path, "limits", "set", "mails", "--rate", "100", "--per", "60", "--concurrency", "5")
    assert said == "Limit mails: 5 job(s) at a time, 100 begun in 1 min 00 s.\n"
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        queue.enqueue_many([NewJob("t", limit="api") for _ in range(3)])
        assert len(queue.claim(["t"], 3)) == 1
        listed = _clx(tmp_path, "limits", "list").splitlines()
        found = json.loads(_clx(tmp_path, "limits", "list", "--format", "json"))
    assert [line.split() for line in listed[1:]] == [
        ["api", "1", "–", "1", "2"], ["mails", "5", "100", "in", "1", "min", "00", "s", "0", "0"]
    ]  # fmt: skip
    assert found["limits"] == [
        {"name": "api", "concurrency": 1, "rate": None, "per": None, "running": 1, "held": 2},
        {"name": "mails", "concurrency": 5, "rate": 100, "per": 60.0, "running": 0, "held": 0},
    ]


def test_what_is_set_anew_is_all_there_is(queue: Queue, tmp_path: Path) -> None:
    queue.set_limit("api", concurrency=1)
    arguments = ("limits", "set", "api", "--rate", "3", "--per", "0.5", "--format", "json")
    assert json.loads(_clx(tmp_path, *arguments)) == {
        "name": "api", "concurrency": None, "rate": 3, "per": 0.5, "running": 0, "held": 0
    }  # fmt: skip


def test_one_that_is_removed_lets_go(queue: Queue, tmp_path: Path) -> None:
    queue.set_limit("api", concurrency=1)
    queue.enqueue_many([NewJob("t", limit="api") for _ in range(3)])
    queue.claim(["t"], 3)
    said = _clx(tmp_path, "limits", "remove", "api")
    assert said == "Limit api was removed; 2 job(s) that it held back may begin.\n"
    assert len(queue.claim(["t"], 3)) == 2
    assert "There are none: clx limits set NAME --concurrency N" in _clx(tmp_path, "limits", "remove", "api", code=2)
    queue.set_limit("api", concurrency=1)
    assert 'Did you mean "api"?' in _clx(tmp_path, "limits", "remove", "apis", code=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "Give --concurrency N, or --rate N --per SECONDS"),
        ("--rate 3", "Give --rate N --per SECONDS."),
        ("--per 3", "Give --rate N --per SECONDS."),
        ("--concurrency 0", "0 is not in the range"),
        ("--rate 3 --per nan", "'nan' is not a number"),
    ],
)
def test_what_limits_nothing_is_refused(tmp_path: Path, options: str, told: str) -> None:
    assert told in _clx(tmp_path, "limits", "set", "api", *options.split(), code=2)
    assert not (tmp_path / ".clx").exists()


def test_schedule_of_a_limit_that_is_not_set_is_told_what_to_type_and_that_works(tmp_path: Path) -> None:
    add = ("schedules", "add", "n", "@daily", "--type", "t", "--limit", "two words", "--db-path", "a b.db")
    said = _clx(tmp_path, *add, code=2)
    assert "There is no limit 'two words'." in said
    command = said.partition("Set it first: ")[2].partition(" (in Python")[0]
    assert _clx(tmp_path, *shlex.split(command)[1:]) == "Limit two words: 2 job(s) at a time.\n"
    assert "n fires next at" in _clx(tmp_path, *add)
