"""``clx serve status|stop``, ``clx models list|show``: how models stand, for people and programs; what to type next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.served_models import fill_models

from clx.cli.models import size
from clx.db.jobs import Queue
from clx.db.serving.models import NewModel
from clx.db.serving.table import ServingTable


def _clx(cwd: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "clx", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_status_tells_of_every_model_what_its_server_said(tmp_path: Path) -> None:
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        fill_models(queue)  # as if this process were the server
        said, heads, *rows = _clx(tmp_path, "serve", "status").splitlines()
        found = json.loads(_clx(tmp_path, "serve", "status", "--format", "json"))
        listed = _clx(tmp_path, "models", "list").splitlines()
    assert said.startswith("Serving at http://127.0.0.1:8000 (process ")
    assert heads.split() == [
        "NAME",
        "VERSION",
        "RESULTS",
        "REFUSED",
        "LATE",
        "P50",
        "MS",
        "P99",
        "MS",
        "MEMORY",
        "STATE",
    ]
    assert [row.split() for row in rows] == [
        ["broken", "1", "0", "7", "0", "–", "–", "–", "failed:", "it", "is", "none"],
        ["digits", "2", "412907", "1204", "3", "0.61", "2.24", "10.0", "MiB", "ready"],
        ["old", "1", "0", "0", "0", "–", "–", "–", "unloaded"],
        ["ranking", "1", "2", "0", "0", "14.20", "15.10", "31.0", "MiB", "ready"],
        [*["spikes", "1", "0", "0", "0", "–", "–", "–"], *["cold:", "loaded", "when", "it", "is", "asked", "for"]],
        ["trial", "1", "1", "0", "0", "0.90", "0.90", "1.0", "MiB", "ready"],
    ]
    assert (found["running"], [each["success"] for each in found["models"]]) == (True, [0, 412_907, 0, 2, 0, 1])
    assert listed[0].split() == ["NAME", "VERSION", "WANTED", "STATE", "MEMORY", "FROM"]
    assert "9.0 MiB" in next(line for line in listed if line.startswith("digits"))


def test_where_there_is_nothing_is_said_what_to_type(tmp_path: Path) -> None:
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        assert _clx(tmp_path, "serve", "status") == "Nothing is served. Type: clx serve\n"
        assert _clx(tmp_path, "models", "list") == "No models are kept. Type: clx models add NAME model.onnx\n"
        assert "nothing to stop" in _clx(tmp_path, "serve", "stop")
        assert "clx models list" in _clx(tmp_path, "models", "show", "nobody", code=2)
        ServingTable(queue.database).add(NewModel("m", callable="a:b"))
        assert _clx(tmp_path, "serve", "status") == "Nothing is served; 1 model(s) would be. Type: clx serve\n"
        (row,) = _clx(tmp_path, "models", "show", "m").splitlines()[1:]
        assert row.split() == ["1", "yes", "unloaded", "as", "it", "says", "none", "–", "a:b"]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "–"), (412, "0.4 KiB"), (1 << 20, "1.0 MiB"), (5 << 30, "5120.0 MiB")]
)
def test_bytes_are_told_as_people_say_them(count: int, words: str) -> None:
    assert size(count) == words
