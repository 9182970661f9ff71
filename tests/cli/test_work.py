"""``clx work``: works go in, and everything about one is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from clx.work.work import Work


def _clx(cwd: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "clx", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _show(cwd: Path, work_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_clx(cwd, "work", "show", work_id, "--format", "json"))
    return found


def test_what_is_deposited_is_shown(tmp_path: Path) -> None:
    said = ["--param", "a=1", "--param", "b=two", "--param-json", '{"c": [3]}', "--tag", "x", "--tag", "y"]
    said += ["--event", "5", "--group", "g", "--site", "aro", "--user", "ada", "--priority", "5", "--retries", "1"]
    work_id = _clx(tmp_path, "work", "deposit", "--pipeline", "p", *said).strip()
    found = _show(tmp_path, work_id)
    assert found["parameters"] == {"a": 1, "b": "two", "c": [3]}
    assert (found["tags"], found["event"], found["group"]) == (["x", "y"], [5], ["g"])
    assert (found["site"], found["user"], found["priority"], found["retries"]) == ("aro", "ada", 5, 1)
    assert (found["status"], found["attempt"], found["runs"]) == ("queued", 0, [])


def test_how_its_attempts_went_is_shown(tmp_path: Path) -> None:
    work_id = _clx(tmp_path, "work", "deposit", "--pipeline", "p", "--retries", "1").strip()
    where = tmp_path / ".clx" / "jobs.db"
    held = Work.withdraw("p", where=where)
    assert held is not None
    held.error = {"type": "ValueError", "message": "no\x1b[2J", "traceback": "Traceback:\n  in add"}
    held.status = "failure"
    held.update()
    told = _clx(tmp_path, "work", "show", work_id)
    assert "failure  1/1" in told
    assert "Error: ValueError: no\\x1b[2J\nTraceback:\n  in add" in told
    assert [run["outcome"] for run in _show(tmp_path, work_id)["runs"]] == ["failed"]


def test_a_work_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "There is no database at" in _clx(tmp_path, "work", "show", "x", code=2)
    _clx(tmp_path, "work", "deposit", "--pipeline", "p")
    assert "There is no work x.\n`clx work search` names those there are." in _clx(
        tmp_path, "work", "show", "x", code=2
    )


def test_two_places_are_one_too_many(tmp_path: Path) -> None:
    places = ("--url", "http://localhost:1", "--db-path", "x.db")
    assert "name two places" in _clx(tmp_path, "work", "deposit", "--pipeline", "p", *places, code=2)
