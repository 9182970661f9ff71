"""Subprocesses that die where a test says, and a separate process that judges what they left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.tools import skip_or_fail

from clx.db import crashpoints

Script = Callable[..., "subprocess.CompletedProcess[str]"]
Fork = Callable[..., tuple[int, str]]

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
def fork(tmp_path: Path) -> Fork:
    """As ``script``, in a fork of this process, which has imported everything: a tenth of the time.

    What it returns is the exit code, negative for a signal, and what the text raised.
    """
    said = tmp_path / "said"

    def run(text: str, *, crash: str = "") -> tuple[int, str]:
        said.write_text("")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: of threads, which do not matter to it
            pid = os.fork()
        if pid == 0:
            _be(text, crash, tmp_path / "jobs.db", said)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), said.read_text()

    return run


def _be(text: str, crash: str, path: Path, said: Path) -> None:
    """Be a process that does this, and ends."""
    code = 1
    try:
        name, _, nth = crash.partition(":")
        crashpoints._armed.update({name: int(nth)} if crash else {})
        sys.argv = ["-c", str(path)]
        exec(_PRELUDE + text, {"__name__": "__main__"})
        code = 0
    except BaseException:
        said.write_text(traceback.format_exc())
    finally:
        os._exit(code)


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[], str]:
    """The invariants, asked by a separate process; an empty answer means all hold."""

    def ask(path: Path | None = None) -> str:
        command = [sys.executable, "-c", _JUDGE, str(path or tmp_path / "jobs.db")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return ask
