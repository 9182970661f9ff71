"""Services of one user, commands of another: told in words, and nothing is half done (REQ-3.5)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.scene import Scene, is_alive
from tests.support.tools import skip_or_fail

from clx.db.identity import process_identity
from clx.workers.processes import foreign_owner, send_signal

NOBODY = 65534


@pytest.fixture
def as_nobody(scene: Scene, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``clx`` as a user who may read everything and end nobody else's processes; takes root."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        skip_or_fail("root", "another user cannot be played here: that takes root and setpriv")
    home = tmp_path / "home"
    home.mkdir(mode=0o777)
    home.chmod(0o777)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        privileges = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                      "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # fmt: skip
        return subprocess.run(
            [*privileges, *scene.command(*arguments)],
            cwd=scene.course.root,
            env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


def open_to_everybody(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def test_another_user_cannot_stop_them_and_is_told(
    scene: Scene, as_nobody: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Nobody is stopped, no row is changed, and the command names whose they are."""
    scene.clx("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    pids = [scene.supervisor(), scene.workers()[0].pid]
    open_to_everybody(scene.state)
    refused = as_nobody("stop-services")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{scene.state} may be written by everybody: it is not used." in refused.stderr
    trusted = as_nobody(*refused.stderr.partition("type: clx ")[2].split())
    assert (trusted.returncode, "Trusted: " in trusted.stdout) == (0, True), trusted.stderr
    stopped = as_nobody("stop-services")
    assert (stopped.returncode, "run as root; only that user can stop them." in stopped.stderr) == (2, True)
    assert f"sudo -u root clx stop-services --db-path {scene.database}" in stopped.stderr
    single = as_nobody("workers", "stop", "1")
    assert (single.returncode, "Worker #1 runs as root" in single.stderr) == (2, True)
    assert as_nobody("workers", "cleanup").returncode == 0
    assert all(is_alive(pid) for pid in pids)
    assert scene.workers()[0].state == "idle"
    assert (scene.state / "worker-state.json").exists()
    assert scene.clx("stop-services", code=2).stdout == ""  # whose it is must say so too
    scene.clx("trust", str(scene.state))
    assert "1 worker(s) stopped" in scene.clx("stop-services").stdout


def test_state_directory_that_may_not_be_written(
    scene: Scene, as_nobody: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The file is named; exit code 4."""
    scene.clx("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    for command in ("stop-services", "start-services"):
        failed = as_nobody(command)
        assert (failed.returncode, "Traceback" in failed.stderr) == (4, False)
        assert str(scene.state) in failed.stderr
    scene.clx("stop-services")


@pytest.fixture
def without_privileges(scene: Scene) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``clx`` as somebody who may do only what the files' permissions say; takes root."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        skip_or_fail("root", "another user cannot be played here: that takes root and setpriv")
    return lambda *arguments: subprocess.run(
        ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *scene.command(*arguments)],
        cwd=scene.course.root, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_directories_that_may_not_be_entered(
    scene: Scene, without_privileges: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Somebody else's, of mode 700: whose file it is about is named, never a traceback; nothing is said to be gone."""
    scene.decks("one")
    scene.state.mkdir(exist_ok=True)
    scene.open().close()
    os.chown(scene.state, NOBODY, NOBODY)
    scene.state.chmod(0o700)
    for command in ("workers list", "workers cleanup", "status", "jobs list", "start-services", "stop-services",
                    "build course.yaml"):  # fmt: skip
        failed = without_privileges(*command.split())
        assert (failed.returncode, failed.stdout) == (4, "")
        assert failed.stderr.startswith(f"Error: The database cannot be read: {scene.database}; Permission denied;")
    slides = scene.course.root / "slides"
    os.chown(slides, NOBODY, NOBODY)
    slides.chmod(0o700)
    failed = without_privileges("build", "course.yaml", "--db-path", "other.db")
    assert (failed.returncode, failed.stderr) == (
        2,
        (
            f"Error: {slides.parent / '.clx'} cannot be used: Permission denied.\n"
            "Correct its path or its permissions, or work as the user whose it is.\n"
        ),
    )


def test_own_processes_are_nobody_elses() -> None:
    """A process that is gone has no owner either."""
    child = subprocess.Popen(["sleep", "60"])
    identity = process_identity(child.pid)
    assert foreign_owner(identity) == ""
    assert send_signal(identity, 9)
    child.wait()
    assert foreign_owner(identity) == ""
    assert not send_signal(identity, 9)
