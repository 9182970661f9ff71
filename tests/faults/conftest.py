"""Subprocesses that die where a test says, and a separate process that judges what they left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.tools import skip_or_fail

Script = Callable[..., "subprocess.CompletedProcess[str]"]

_PRELUDE = """
import sys
from clx.db.clock import Clock
from clx.db.jobs import *
from clx.db.batches import BatchTable
from clx.db.workers import WorkerTable, register_this_process
path = sys.argv[1]
"""
_JUDGE = """
import sys
from pathlib import Path
from clx.db.check import check
from clx.db.database import Database
problems = check(Database.open(Path(sys.argv[1]), journal_mode="keep"))
print(*problems, sep="\\n", end="")
"""


def need(program: str) -> None:
    """Skip without *program*; where ``CLX_REQUIRE`` names ``faults``, fail instead."""
    if shutil.which(program):
        return
    skip_or_fail("faults", f"{program} is not installed (apt-get install {program})")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Runs Python text in a process of its own, with the queue's names at hand and ``path`` the database."""

    def run(
        text: str, *, crash: str = "", before: tuple[str, ...] = (), path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **({"CLX_CRASH": crash} if crash else {})}
        command = [*before, sys.executable, "-c", _PRELUDE + text, str(path or tmp_path / "jobs.db")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[], str]:
    """The invariants, asked by a separate process; an empty answer means all hold."""

    def ask(path: Path | None = None) -> str:
        command = [sys.executable, "-c", _JUDGE, str(path or tmp_path / "jobs.db")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return ask
