"""Numbers that no row has and no clock counts: exit code 2 and the option's name, never a traceback."""

from __future__ import annotations

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
