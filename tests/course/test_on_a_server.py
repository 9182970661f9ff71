"""Courses built with the job table on a server: the same bytes as with a file, and nobody sees the password."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.courses import HEADER, Course
from tests.support.scene import WAITS, until
from tests.support.tools import require

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[2] / "examples" / "python-course"
_NODE = re.compile(rb"node0\d{7}")
"""How the browser numbers what it prints, in an order of its own each time."""


def _tree(root: Path) -> dict[str, bytes]:
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: _NODE.sub(b"node", text) if name.endswith(".pdf") else text for name, text in found.items()}


def _clx(*words: str | Path, code: int = 0, **environment: str) -> str:
    command = [sys.executable, "-m", "clx", *map(str, words)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_example_course_is_the_same_bytes_as_with_a_file(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("plantuml", "drawio", "graphviz", "pdf"):
        require(kind)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    course = EXAMPLE / "course.yaml"
    _clx("build", course, "--db", postgresql, "-o", tmp_path / "server", "--progress", "none")
    again = _clx("build", course, "-o", tmp_path / "server", CLX_DATABASE__URL=postgresql)
    assert re.search(r"(\d+) jobs: \1 up to date, 0 to run", again)
    _clx("build", course, "--db-path", tmp_path / "jobs.db", "-o", tmp_path / "file", "--progress", "none")
    on_server, in_file = _tree(tmp_path / "server"), _tree(tmp_path / "file")
    assert on_server.keys() == in_file.keys()
    assert [name for name in in_file if on_server[name] != in_file[name]] == []
    assert len(in_file) > 100


def test_no_command_line_shows_the_password(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for nothing here, where everybody may come in; but for the worker it is handed on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    course, go = Course(tmp_path / "course"), tmp_path / "go"
    seen = tmp_path / "seen"
    course.deck("one", HEADER % ("eins", "one") + f"# %%\nopen('{seen}', 'w').close()\n{WAITS.format(go=go)}\n")
    course.spec("one")
    secret = postgresql.replace("clx@", "clx:geh%40eim@")
    build = subprocess.Popen(
        [sys.executable, "-m", "clx", "build", str(course.root / "course.yaml"), "--progress", "plain"],
        env=os.environ | {"CLX_DATABASE__URL": secret}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        until(seen.exists)
        children = psutil.Process(build.pid).children(recursive=True)
        lines = [" ".join(each.cmdline()) for each in children]
        assert any("clx.workers notebook" in line for line in lines)
        assert [line for line in lines if "geh" in line] == []
        handed = [each.environ().get("CLX_DATABASE__URL") for each in children if "clx.workers" in each.cmdline()]
        assert secret in handed
    finally:
        go.touch()
        told, _ = build.communicate(timeout=300)
    assert build.returncode == 0, told
    assert "geh" not in told
    logs = [path.read_text(errors="replace") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert logs
    assert [text for text in logs if "geh%40eim" in text or "geh@eim" in text] == []
    assert secret not in _clx("config", "show", CLX_DATABASE__URL=secret)


_COMMANDS = (
    "status", "jobs list", "jobs show 1", "workers list --all", "workers cleanup",
    "doctor", "db path", "db check", "db migrate", "db prune", "cache stats", "cache prune", "schedules list",
    "stop-services", "config show", "check {course}", "build {course} --dry-run --explain", "db backup {copy}",
)  # fmt: skip


def test_every_command_takes_it(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("CLX_DATABASE__URL", postgresql)
    monkeypatch.chdir(tmp_path)
    course = Course(tmp_path / "course")
    course.deck("one")
    course.spec("one")
    _clx("build", course.root / "course.yaml")
    for command in _COMMANDS:
        words = command.format(course=course.root / "course.yaml", copy=tmp_path / "copy").split()
        said = _clx(*words)
        assert "Traceback" not in said, command
    assert not (course.root / ".clx" / "jobs.db").exists()
