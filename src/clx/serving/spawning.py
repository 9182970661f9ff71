"""Processes of workers: each is begun with its end of a link.

Nothing but the standard library here: a server begins its first workers before it has read its own modules, so that
these read theirs, which is most of what a start takes, at the same time.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Spawned(NamedTuple):
    """A process that has begun, and the controller's ends of its links: of one worker, or of several simulated ones."""

    process: subprocess.Popen[bytes]
    links: list[socket.socket]


class How(NamedTuple):
    """How workers are begun.

    Attributes:
        modules: of which they may have models that are code.
        path: directories in which they look for those last.
        simulated: a file that says how long models take: they take that time and run none; None: they are real.
    """

    modules: Sequence[str] = ()
    path: Sequence[str] = ()
    simulated: Path | None = None


def spawn(how: How, count: int = 1) -> Spawned:
    """Begin a worker, or *count* simulated ones."""
    pairs = [socket.socketpair() for _ in range(count)]
    theirs = [each.fileno() for _, each in pairs]
    words = [f"--module={each}" for each in how.modules] + [f"--path={each}" for each in how.path]
    if how.simulated is not None:
        words = [f"--simulate={how.simulated}"]
    command = [sys.executable, "-P", "-m", "clx.serving.worker", ",".join(map(str, theirs)), *words]
    try:
        process = subprocess.Popen(command, pass_fds=theirs, stdin=subprocess.DEVNULL)
    finally:
        for _, each in pairs:
            each.close()
    return Spawned(process, [each for each, _ in pairs])


def spawn_all(how: How, count: int) -> list[Spawned]:
    """Begin *count* workers: a process for each, or one for all that are simulated."""
    if how.simulated is None:
        return [spawn(how) for _ in range(count)]
    return [spawn(how, count)] if count else []


def end(spawned: Sequence[Spawned]) -> None:
    """They are not needed after all."""
    for process, links in spawned:
        for each in links:
            each.close()
        process.kill()
        process.wait()
