"""Programs that jobs run: how they end, what they say, what they know."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from clx.tools.program import run, small_environment


def test_exit_code_and_all_that_was_said_come_back(tmp_path: Path) -> None:
    assert run(["sh", "-c", "echo one; echo two >&2; exit 3"], tmp_path, 30) == (3, "one\ntwo")
    assert run(["pwd"], tmp_path, 30) == (0, str(tmp_path))


def test_what_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        run(["sh", "-c", "sleep 600 & echo $! > child; wait"], tmp_path, 1)
    child = int((tmp_path / "child").read_text())
    limit = time.monotonic() + 30
    while _runs(child) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not _runs(child)


def test_a_program_gets_little_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("SERVER_NAME", "")
    monkeypatch.setenv("FONTCONFIG_FILE", "/nowhere")
    _, said = run(["env"], tmp_path, 30, small_environment())
    assert "SECRET_TOKEN" not in said
    assert {"SERVER_NAME=clx", "FONTCONFIG_FILE=/nowhere", "LC_ALL=C.UTF-8"} <= set(said.splitlines())


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
