"""A start of services that fails leaves nothing, and services that nobody keeps are told of and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.support.scene import ONLY_DECKS, Scene, until

MANY = ("start-services", *ONLY_DECKS, "--notebook-workers", "12")


def test_limit_is_named_before_anything_starts(scene: Scene) -> None:
    command = f"ulimit -n 40; exec {sys.executable} -m clx {' '.join(MANY)}"
    done = subprocess.run(["bash", "-c", command], cwd=scene.course.root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "12 workers need about 44 open files, and 40 are allowed (ulimit -n)." in done.stderr
    assert "ulimit -n 44" in done.stderr
    assert scene.processes() == []


def test_limit_is_raised_where_the_system_allows_it(scene: Scene) -> None:
    command = f"ulimit -Sn 24; exec {sys.executable} -m clx {' '.join(MANY)}"
    done = subprocess.run(["bash", "-c", command], cwd=scene.course.root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(scene.workers()) == 12


@pytest.mark.parametrize("code", ["EMFILE", "EAGAIN"])
def test_limit_that_is_met_while_starting_is_named(scene: Scene, code: str) -> None:
    """The process that is started for the third worker is one too many."""
    scene.course.write(
        "sitecustomize.py",
        "import errno, os, sys\n"
        "if 'clx.workers.supervision.supervisor' in ' '.join(sys.orig_argv):\n"
        "    real, left = os.pidfd_open, [3]\n"
        "    def pidfd_open(*arguments):\n"
        "        left[0] -= 1\n"
        f"        if left[0] < 0: raise OSError(errno.{code}, os.strerror(errno.{code}))\n"
        "        return real(*arguments)\n"
        "    os.pidfd_open = pidfd_open\n",
    )
    path = os.pathsep.join([str(scene.course.root), os.environ.get("PYTHONPATH", "")])
    done = scene.clx(*MANY, code=3, PYTHONPATH=path, CLX_WORKERS__STARTUP_RETRIES="0")
    assert "The notebook worker did not start" in done.stderr
    assert {"EMFILE": "ulimit -n", "EAGAIN": "ulimit -u"}[code] in done.stderr
    assert scene.processes() == []
    assert scene.workers() == []


def test_supervisor_that_is_killed_while_it_starts_leaves_nobody(scene: Scene) -> None:
    start = scene.begin(*MANY)
    until(lambda: scene.pids_of("--service"))
    os.kill(scene.supervisor(), signal.SIGKILL)
    said, _ = start.communicate(timeout=60)
    assert start.returncode == 3, said
    assert "The supervisor ended with code -9" in said
    assert scene.processes() == [], "also those that had not registered yet"
    assert scene.workers() == []


def test_services_that_nobody_keeps_are_told_of_and_ended(scene: Scene) -> None:
    scene.clx("start-services", *ONLY_DECKS)
    [row] = scene.workers()
    os.kill(scene.supervisor(), signal.SIGKILL)
    assert not any("state file" in text for text in scene.json("status")["warnings"]), "the next start adopts it"
    assert "Nothing to clean up." in scene.clx("workers", "cleanup").stdout
    (scene.state / "worker-state.json").unlink()
    [warning] = scene.json("status")["warnings"]
    assert f"without its state file: #{row.id}" in warning
    assert "clx workers cleanup --db-path" in warning
    would = scene.clx("workers", "cleanup", "--dry-run").stdout
    assert f"Would clean up process {row.pid}" in would
    assert [each.id for each in scene.workers()] == [row.id]
    assert f"process {row.pid}: notebook worker #{row.id}" in scene.clx("workers", "cleanup").stdout
    assert scene.processes() == []
    assert scene.json("status")["warnings"] == []


def test_services_whose_supervisor_lives_are_kept_though_their_file_is_gone(scene: Scene) -> None:
    scene.clx("start-services", *ONLY_DECKS)
    pid = scene.supervisor()
    os.kill(pid, signal.SIGSTOP)  # else it writes the file again
    (scene.state / "worker-state.json").unlink()
    try:
        assert scene.json("status")["warnings"] == []
        assert json.loads(scene.clx("workers", "cleanup", "--format", "json").stdout)["cleaned"] == []
        assert len(scene.workers()) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
