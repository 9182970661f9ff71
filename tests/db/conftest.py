"""Backends of the queue, and the guard that nobody opens a database file behind SQLite's back."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.db.jobs import Queue

_opened: list[str] = []


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        name = os.fsdecode(arguments[0])
        if name.endswith((".db", ".db-wal", ".db-shm")):
            _opened.append(name)


sys.addaudithook(_note_open)


@pytest.fixture(autouse=True)
def _no_stray_open() -> Iterator[None]:
    """Closing any other handle on the file drops SQLite's locks and loses acknowledged commits (POSIX locks)."""
    _opened.clear()
    yield
    assert not _opened, f"opened with plain open(): {_opened}"


@pytest.fixture(params=["wal", "delete", "memory", "postgresql"])
def open_queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Queue]]:
    """Opens the same queue again and again; a backend is one more parameter of this fixture.

    In memory there is one object, because nobody else can look.
    """
    opened: list[Queue] = []
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""

    def open_one() -> Queue:
        if request.param == "postgresql":
            queue = Queue.open(url)
        elif request.param == "memory":
            queue = opened[0] if opened else Queue.open("memory:")
        else:
            queue = Queue.open(f"sqlite:///{tmp_path}/jobs.db?journal_mode={request.param}")
        opened.append(queue)
        return queue

    yield open_one
    for queue in dict.fromkeys(opened):
        queue.close()


@pytest.fixture
def queue(open_queue: Callable[[], Queue]) -> Queue:
    """An empty queue."""
    return open_queue()


@pytest.fixture(params=["wal", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty queue that other processes reach by its path, in a file and on a server."""
    where: Any = f"sqlite:///{tmp_path}/jobs.db?journal_mode={request.param}"
    if request.param == "postgresql":
        where = request.getfixturevalue("postgresql")
    with Queue.open(where) as found:
        yield found


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user reaches and may write to; pytest closes its own again at any moment."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)
