"""A model, and servers of models as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_servers import Serve, Served, Start, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose first dimension is free."""
    return write_model(tmp_path / "dense.onnx")


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts commands that say in a line where they can be reached; what it gives is that address."""
    running: list[subprocess.Popen[str]] = []

    def start(*command: str, **more: Any) -> Served:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
        running.append(process)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1] and "; Ctrl-C ends it." not in lines[-1]:  # a worker elsewhere may be told of before
            lines.append(process.stdout.readline())
        line = lines[-1]
        assert line, lines
        return Served(line.split(";")[0].split("/")[-1].split(" ")[-1], process, lines[:-1])

    yield start
    for each in reversed(running):
        each.terminate()
    for each in running:
        assert each.wait(20) in (0, -signal.SIGKILL)  # a test may have killed it
        assert each.stdout is not None
        each.stdout.close()


@pytest.fixture
def serve(started: Start, tmp_path: Path) -> Serve:
    """Starts ``clx serve`` with what it is given, at a port that is free."""

    def start(*arguments: str) -> Served:
        return started(sys.executable, "-m", "clx", "serve", "--port", "0", *arguments, cwd=tmp_path)

    return start


@pytest.fixture
def worker(started: Start, tmp_path: Path) -> Serve:
    """Starts ``clx serve worker`` with what it is given, on this machine."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start(*arguments: str) -> Served:
        words = ("-m", "clx", "serve", "worker", "--listen", "127.0.0.1:0", *arguments)
        return started(sys.executable, *words, cwd=tmp_path, env=environment)

    return start
