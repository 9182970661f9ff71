"""Reaching exactly the process that an identity names; see :mod:`clx.db.identity` for what an identity is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clx.db import apart
from clx.db.identity import is_gone, is_ours_to_judge, process_identity
from clx.platforms import system

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")
WORKER_MODULES = frozenset({"clx.workers", "clx.routines.worker"})
"""What the processes of workers are started with, as ``python -m`` takes it."""
LOOK = 0.1
"""Seconds between two looks at what may end or begin without a word."""


def lives(identity: str) -> bool:
    """Whether a process of this machine runs; one that cannot be judged from here does not count."""
    return is_ours_to_judge(identity) and not is_gone(identity)


def pid_of(identity: str) -> int:
    """The pid in an identity that is not empty."""
    return int(identity.rsplit("/", 2)[1])


def _asked(identity: str, ask: Callable[[psutil.Process], T], otherwise: T) -> T:
    """What a process says of itself; *otherwise* where it does not."""
    import psutil  # takes longer to import than all the rest that a build with nothing to do needs

    try:
        return ask(psutil.Process(pid_of(identity)))
    except psutil.Error:
        return otherwise


def is_stopped(identity: str) -> bool:
    """Whether a process of this machine lives but is held by a signal (SIGSTOP, Ctrl-Z) until SIGCONT."""
    return lives(identity) and _asked(identity, lambda process: str(process.status()), "") == "stopped"


def foreign_owner(identity: str) -> str:
    """The user whose process it is, where it lives and this user may not end it; empty otherwise."""
    if lives(identity):
        try:
            system.probe(pid_of(identity))
        except PermissionError:
            return _asked(identity, lambda process: process.username(), "another user")
        except ProcessLookupError:
            pass
    return ""


def is_worker_of(identity: str, database: Path) -> bool:
    """Whether a process was started by CLX as a worker of *database*: its command line says so, which no row can."""
    nothing: list[str] = []
    words = _asked(identity, lambda process: process.cmdline(), nothing) if lives(identity) else nothing
    named = [apart.identity(after) for word, after in pairwise(words) if word == "--db"]
    modules = [after for word, after in pairwise(words) if word == "-m"]
    return any(each in WORKER_MODULES for each in modules) and named == [apart.identity(database)]


def may_be_ended(identity: str, database: Path) -> bool:
    """Whether a process may be ended because a row of *database* names it.

    Where containers use the database a job could have written the row, so the process must say itself what it is. A
    program with workers of its own then ends as the table asks it to, and is not killed.
    """
    return not apart.is_apart(database) or is_worker_of(identity, database)


def open_process(identity: str) -> int:
    """A pidfd of exactly the process *identity* names; -1 when it is gone, not of here, or there are no pidfds."""
    if not system.HAS_PIDFDS or not identity or not is_ours_to_judge(identity):
        return -1
    pid = pid_of(identity)
    try:
        descriptor = system.open_process(pid)
    except OSError:
        return -1
    try:
        is_it = process_identity(pid) == identity  # checked after opening, so that a recycled pid cannot slip in
    except OSError:
        is_it = False
    if not is_it:
        os.close(descriptor)
        return -1
    return descriptor


def send_signal(identity: str, number: int) -> bool:
    """Send a signal to exactly the process *identity* names; false when it is gone, not of here or another user's."""
    descriptor = open_process(identity)
    try:
        if descriptor < 0 and (system.HAS_PIDFDS or not lives(identity)):
            return False
        system.send_signal(pid_of(identity), number, descriptor)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True


def end_processes(identities: Iterable[str], seconds: float, kill: Callable[[str], object] | None = None) -> None:
    """SIGTERM to processes of this machine; *kill* (their groups, too) those that have not ended after *seconds*."""
    living = [each for each in identities if lives(each)]
    for each in living:
        send_signal(each, signal.SIGTERM)
        send_signal(each, system.CONTINUE)  # one that was stopped would hear of nothing
    deadline = time.monotonic() + seconds
    while any(lives(each) for each in living) and time.monotonic() < deadline:
        time.sleep(LOOK)
    for each in living:
        (kill or kill_group)(each)


def kill_group(identity: str) -> None:
    """SIGKILL a process that leads its group, and the group; nothing when it is gone or not of here."""
    descriptor = open_process(identity)
    alive = descriptor >= 0 or (not system.HAS_PIDFDS and lives(identity))
    if not alive:
        return
    try:
        system.kill_group(pid_of(identity))
    except (ProcessLookupError, PermissionError):
        send_signal(identity, system.KILL)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
