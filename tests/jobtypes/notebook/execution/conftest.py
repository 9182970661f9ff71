"""Real kernels for the tests of this room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clx.jobtypes.notebook.execution.pool import KernelPool
from clx.jobtypes.notebook.execution.results import CellResult

Run = Callable[..., list[CellResult]]


@pytest.fixture(scope="module")
def pool() -> Iterator[KernelPool]:
    pool = KernelPool()
    pool.warm()
    yield pool
    pool.close()


@pytest.fixture
def run(pool: KernelPool, tmp_path: Path) -> Run:
    """Run cells in ``tmp_path`` through the pool of the module."""

    def run_cells(*cells: str, **options: Any) -> list[CellResult]:
        return pool.run(cells, **{"cwd": tmp_path, "cell_timeout": 120.0, **options})

    return run_cells


@pytest.fixture
def worker() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a process of its own that runs the given code and talks over its standard output."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, arguments: Sequence[str] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
