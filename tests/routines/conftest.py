"""Tables for routines: in a file, and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.db.jobs import Queue


@pytest.fixture(params=["wal", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty queue that other processes reach."""
    where: Any = f"sqlite:///{tmp_path}/jobs.db?journal_mode={request.param}"
    if request.param == "postgresql":
        where = request.getfixturevalue("postgresql")
    with Queue.open(where) as found:
        yield found
