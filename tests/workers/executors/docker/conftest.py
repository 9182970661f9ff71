"""Fixtures of the container tests."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import Machine


@pytest.fixture
def machine(images: None, client: Any, tmp_path: Path) -> Iterator[Machine]:
    """The engine with a place for a course; after the test nothing of CLX may be left in it."""
    found = Machine(client, tmp_path)
    before = found.left()
    yield found
    found.end_processes()
    found.wait_until(lambda: found.left() == before, "containers or networks are left", seconds=30)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """An empty course with one section and one topic."""
    return Course(tmp_path / "course")


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[socket.socket]:
    """A server that accepts and never answers."""
    with socket.socket(socket.AF_INET) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield server
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in held:
            each.close()


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CLX_DOCKER")]:
        monkeypatch.delenv(name)
