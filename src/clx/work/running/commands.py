"""Programs that do works: a list of words, read by no shell; the work comes by standard input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clx.db.models import encode
from clx.errors import ClxError, UsageError
from clx.platforms import offspring
from clx.settings.problems import shortened
from clx.work.running.functions import ArgSource

_MOST = 16 << 20
"""Bytes of its output that are looked at for results."""
_CHUNK = 1 << 16


class CommandFailed(ClxError):
    """A program ended with an exit code that is not 0, or by a signal."""


class Ended(NamedTuple):
    """A program that has ended well: what it wrote, and the most bytes of memory that it held."""

    output: bytes
    peak_memory: int


def allowed(command: Sequence[str], programs: Sequence[str]) -> None:
    """See that a work may run that.

    Raises:
        UsageError: the operator has not named its program.
    """
    if command[0] not in programs:
        raise UsageError(
            f"The program {shortened(command[0])} is not allowed here.",
            "Name it in work.commands, if works may run it with any arguments.",
        )


def program(name: str) -> str:
    """The file of a program.

    Raises:
        UsageError: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"There is no program {shortened(name)}.", "Correct its name, or install it.")
    return found


def run(command: Sequence[str], work: Mapping[str, Any], source: ArgSource) -> Ended:
    """Run a program; it reads the parameters of the work, or all of it, as JSON.

    What it writes to standard output goes on to this process's own.

    Raises:
        UsageError: there is no such program.
        CommandFailed: it says that it has failed, or was killed.
    """
    said = encode(work if source == "work" else work.get("parameters") or {})
    sys.stdout.flush()
    with tempfile.TemporaryFile() as stdin:
        stdin.write(said.encode())
        stdin.seek(0)
        process = subprocess.Popen([program(command[0]), *command[1:]], stdin=stdin, stdout=subprocess.PIPE)
    assert process.stdout is not None
    kept = bytearray()
    with process.stdout:
        while chunk := os.read(process.stdout.fileno(), _CHUNK):
            _pass_on(chunk)
            kept += chunk[: _MOST + 1 - len(kept)]
    code, memory = offspring.wait_and_weigh(process.pid)
    process.returncode = code
    if code:
        how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
        raise CommandFailed(f"{shortened(command[0])} {how}.", "See its output.")
    return Ended(bytes(kept), memory)


def _pass_on(chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(1, chunk) :]
