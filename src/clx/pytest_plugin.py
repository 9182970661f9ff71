"""Fixtures for tests of projects that use CLX: a database of their own, a queue, real workers.

Active wherever CLX is installed; nothing is imported before a fixture is used.

``clx_database``
    Path of a job table in the test's own directory.
``clx_queue``
    A :class:`clx.db.jobs.Queue` on it.
``clx_pools``
    A function that starts workers on it: ``clx_pools(WorkerConfig("plantuml"))`` gives a running
    :class:`clx.workers.WorkerPoolManager`. They are ended after the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from clx.db.jobs import Queue
    from clx.workers.supervision.pool_manager import WorkerConfig, WorkerPoolManager


@pytest.fixture
def clx_database(tmp_path: Path) -> Path:
    """A job table of the test's own; the file is made when it is first opened."""
    return tmp_path / "clx" / "jobs.db"


@pytest.fixture
def clx_queue(clx_database: Path) -> Iterator[Queue]:
    """The queue in ``clx_database``."""
    from clx.db.database import Database
    from clx.db.jobs import Queue

    with Database.open(clx_database) as database:
        yield Queue(database)


@pytest.fixture
def clx_pools(clx_database: Path) -> Iterator[Callable[..., WorkerPoolManager]]:
    """Starts workers on ``clx_database``; called without arguments, one of each type."""
    from clx.workers.supervision.pool_manager import WorkerPoolManager

    with ExitStack() as running:

        def start(*configs: WorkerConfig) -> WorkerPoolManager:
            return running.enter_context(WorkerPoolManager(clx_database, worker_configs=configs or None))

        yield start
