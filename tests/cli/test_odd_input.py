"""Numbers that no row has and no clock counts: exit code 2 and the option's name, never a traceback."""

from __future__ import annotations

import subprocess

import pytest
from tests.workers.scene import Scene

HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "show", HUGE],
        ["jobs", "show", "0"],
        ["jobs", "cancel", HUGE],
        ["jobs", "retry", "--", "-1"],
        ["jobs", "list", "--batch", HUGE],
        ["jobs", "list", "--limit", HUGE],
        ["workers", "stop", HUGE],
        ["workers", "stop", "1", "--timeout", "nan"],
        ["workers", "stop", "1", "--timeout", "inf"],
        ["workers", "logs", HUGE],
        ["stop-services", "--timeout", "nan"],
        ["db", "prune", "--days", "nan"],
        ["db", "prune", "--days", "1e300"],
        ["selftest", "--seconds", "nan"],
        ["bench", "--scale", "nan"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range(scene: Scene, arguments: list[str]) -> None:
    """With a database there, so that they would reach it."""
    scene.state.mkdir()
    scene.open().close()
    failed = scene.clx(*arguments, code=2)
    assert "Invalid value for" in failed.stderr


@pytest.mark.parametrize(
    "command", ["status", "workers list", "stop-services", "start-services", "config check", "build course.yaml"]
)
def test_directory_that_is_gone(scene: Scene, command: str) -> None:
    """Removed by somebody while the shell was in it."""
    gone = scene.course.root / "gone"
    gone.mkdir()
    words = scene.command(*command.split())
    failed = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *words], cwd=gone, capture_output=True, text=True
    )
    assert (failed.returncode, failed.stderr) == (
        2,
        "Error: The current directory is gone.\nChange to one that exists.\n",
    )
