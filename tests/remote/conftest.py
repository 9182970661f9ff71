"""The same verbs by a queue and by a client of its server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.serving import Listening, listening

from clx.db.jobs import Queue
from clx.remote.client import Client


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """An empty queue."""
    with Queue.open(tmp_path / "jobs.db") as opened:
        yield opened


@pytest.fixture
def served(queue: Queue) -> Iterator[Listening]:
    """Its server."""
    with listening(queue) as found:
        yield found


@pytest.fixture
def client(served: Listening) -> Iterator[Client]:
    """A client of that."""
    with Client(served.url, token=served.secrets["admin"]) as made:
        yield made


@pytest.fixture(params=["queue", "client"])
def either(request: pytest.FixtureRequest, queue: Queue) -> Queue | Client:
    """The queue itself, or a client of its server."""
    found: Queue | Client = queue if request.param == "queue" else request.getfixturevalue("client")
    return found
