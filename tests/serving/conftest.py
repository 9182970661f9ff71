"""A model, and servers of models as processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.model_servers import Serve, Served, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose first dimension is free."""
    return write_model(tmp_path / "dense.onnx")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``clx serve`` with what it is given, at a port that is free."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Served:
        command = [sys.executable, "-m", "clx", "serve", "--port", "0", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving at http://"), line
        return Served(line.split("//")[1].split(";")[0], process)

    yield start
    for each in running:
        each.terminate()
    for each in running:
        assert each.wait(20) in (0, -signal.SIGKILL)  # a test may have killed it
        assert each.stdout is not None
        each.stdout.close()
