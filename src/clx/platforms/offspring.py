"""A process that is ended together with all that came from it, and what one has left behind.

On Linux a process that leads its session can also adopt what its descendants leave (a "subreaper"), so that nothing
gets away by a session of its own. Elsewhere its process group is all that is reached. Where there is no fork
(:data:`CAN_FORK`) nothing of this can be used.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

CAN_FORK = hasattr(os, "fork")
FORKS_SAFELY = sys.platform == "linux"
"""Whether a process that has imported much may fork: the system libraries of macOS do not stand it."""
_DIE_WITH_PARENT, _ADOPT = 1, 36  # prctl
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that the system counts memory in."""
_LOOK = 0.005
_SIGNALS: tuple[int, ...] = tuple(
    int(number)
    for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2")
    if (number := getattr(signal, name, None)) is not None
)

if CAN_FORK:
    _library = ctypes.CDLL(None, use_errno=True)


def flush_c() -> None:
    """Write what the C library holds back of standard output."""
    _library.fflush(None)


def give_back_memory() -> None:
    """Have the system take what the C library keeps of memory that was freed (glibc)."""
    if FORKS_SAFELY and hasattr(_library, "malloc_trim"):
        _library.malloc_trim(0)


def die_with_parent(*, wanted: bool = True) -> None:
    """Have this process killed when the one that started it is gone (Linux)."""
    if FORKS_SAFELY:
        _library.prctl(_DIE_WITH_PARENT, signal.SIGKILL if wanted else 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Be the parent of all descendants whose own is gone (Linux)."""
    if FORKS_SAFELY:
        _library.prctl(_ADOPT, 1, 0, 0, 0)


def lead_session() -> None:
    """Lead a session and a process group of its own."""
    with contextlib.suppress(PermissionError):  # it does already
        os.setsid()


def usual_signals() -> None:
    """Signals do what they do in a fresh Python program, and none is held back."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def handlers() -> list[Any]:
    """What the usual signals do now."""
    return list(map(_signal.getsignal, _SIGNALS))  # after every task: the public one takes ten times as long


def set_handlers(known: list[Any]) -> None:
    """Have them do what they did."""
    if handlers() != known:
        for number, handler in zip(_SIGNALS, known, strict=True):
            signal.signal(number, handler)


def stop_timer() -> None:
    """Let no alarm go off any more."""
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, 0)


def has_children() -> bool:
    """Whether this process has children, ended ones that nobody has waited for among them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def threads_after_fork() -> int:
    """How many threads this process has right after a fork: those of libraries that stand one have ended for it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        found = len(os.listdir("/proc/self/task"))
    except OSError:
        found = threading.active_count()
    os.waitpid(pid, 0)
    return found


def ended(pid: int) -> int | None:
    """How a child has ended: its exit code, below 0 a signal's number; None while it lives. Buries it."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found == pid else None


def end_group(pid: int, grace: float) -> int:
    """End a child that leads its group, and the group: asked first, killed after *grace* seconds; how it ended."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        deadline = time.monotonic() + seconds
        while (code := ended(pid)) is None and time.monotonic() < deadline:
            time.sleep(_LOOK if number == signal.SIGTERM else _LOOK / 10)
        if code is not None:
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # those of the group that did not heed the first one
    return -signal.SIGKILL if code is None else code


def end_adopted() -> None:
    """Kill every child there is, until none is left: what an ended one had left is a child of this process then."""
    while has_children():
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    with contextlib.suppress(OSError):
        return list(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()))
    import psutil

    return [each.pid for each in psutil.Process().children()]


def peak_memory() -> int:
    """The most bytes that this process, without others it started, has held; after :func:`forget_peak` since then."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def wait_and_weigh(pid: int) -> tuple[int, int]:
    """Wait for a child: how it ended, as :func:`ended` says it, and the most bytes that it has held."""
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * _UNIT


def forget_peak() -> None:
    """Let the most that this process held be what it holds now (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_bytes(b"5")


def memory() -> int:
    """Bytes that this process holds now; 0 where that is not told."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0
