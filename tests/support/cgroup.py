"""Groups of processes with less memory than the machine has: what outgrows them the kernel kills."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scene import GONE_IN, until
from tests.support.tools import skip_or_fail

PLACES = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
"""Where groups of processes can be given less memory, and what holds the limit: version 1, version 2."""


class Group:
    """A group of processes with a limit."""

    def __init__(self, place: Path, limit: Path) -> None:
        self.place = place
        self._limit = limit

    def limit(self, size: int) -> None:
        """Bytes that its processes may use from now on."""
        self._limit.write_text(str(size))

    def take(self, pid: int) -> None:
        """Put a process into it."""
        (self.place / "cgroup.procs").write_text(str(pid))

    def leave(self, pid: int) -> None:
        """Let a process out of it again."""
        (self.place.parent / "cgroup.procs").write_text(str(pid))


def make_group() -> Group | None:
    """A group of its own, or None where none can be made."""
    for root, name in PLACES:
        place = root / f"clx-test-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        if (place / name).exists():
            return Group(place, place / name)
        place.rmdir()
    return None


@pytest.fixture
def group() -> Iterator[Group]:
    """A group; where none can be made the test is skipped, or fails with ``CLX_REQUIRE=cgroup``."""
    made = make_group()
    if made is None:
        skip_or_fail("cgroup", "memory cannot be limited here: that takes root and a memory controller")
    yield made
    until(lambda: not (made.place / "cgroup.procs").read_text(), GONE_IN)
    made.place.rmdir()
