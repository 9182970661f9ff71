"""Takes from this Python what Windows has not, and runs a module or code then.

``python without_posix.py -m MODULE …`` or ``-c CODE …``. It is no Windows: files and processes are those of this
system. What the side for Windows calls instead is put in its place: ``msvcrt.locking``, by record locks, and ``kill``
of processes. Every Python started by this one begins in the same way.
"""

from __future__ import annotations

import errno
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve()
_KEPT_SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
_OS = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "chown", "fchmod", "fork", "getegid"),
    *("geteuid", "getgid", "getuid", "killpg", "pidfd_open", "pread", "register_at_fork", "set_blocking", "setsid"),
    *("uname", "waitid"),
)
_SIGNAL = ("alarm", "pidfd_send_signal", "pthread_kill", "pthread_sigmask", "setitimer", "sigtimedwait", "sigwait")
_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")


def take_away() -> None:
    """From here on this process has no more than Windows gives."""
    lockf, unlock = sys.modules["fcntl"].lockf, sys.modules["fcntl"].LOCK_UN
    lock = {1: sys.modules["fcntl"].LOCK_EX, 2: sys.modules["fcntl"].LOCK_EX | sys.modules["fcntl"].LOCK_NB}
    sys.modules["msvcrt"] = _msvcrt(lockf, lock | {0: unlock})
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in _OS:
        if hasattr(os, name):
            delattr(os, name)
    for name in dir(signal):
        if name in _SIGNAL or (name.startswith("SIG") and name.isupper() and name not in _KEPT_SIGNALS):
            delattr(signal, name)
    del socket.AF_UNIX
    socket.socketpair = _socketpair  # type: ignore[assignment]
    for owner in (subprocess.Popen, psutil.Process):
        owner.kill = lambda self: _real_kill(self.pid, 9)  # type: ignore[method-assign]
    psutil.Process.resume = lambda self: None  # type: ignore[method-assign]
    os.kill = _kill
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    for name in ("open", "stat", "unlink", "rmdir"):
        setattr(os, name, _without_folders(getattr(os, name)))


def _msvcrt(lockf: Any, how: dict[int, int]) -> types.ModuleType:
    made = types.ModuleType("msvcrt")

    def locking(descriptor: int, mode: int, size: int) -> None:
        try:
            lockf(descriptor, how[mode], size, 0, os.SEEK_CUR)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    made.__dict__.update(locking=locking, LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2)
    return made


def _socketpair() -> tuple[socket.socket, socket.socket]:
    """As Python makes it on Windows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine = socket.create_connection(listener.getsockname())
        return mine, listener.accept()[0]


_real_kill = os.kill


def _kill(pid: int, number: int) -> None:
    """For psutil and ``subprocess``, which do otherwise on Windows."""
    if sys._getframe(1).f_globals["__name__"].partition(".")[0] not in {"psutil", "subprocess"}:
        raise AssertionError(f"os.kill({pid}, {number}) ends the process on Windows, or is Ctrl-C")
    _real_kill(pid, number)


def _without_folders(call: Any) -> Any:
    def called(*arguments: Any, dir_fd: int | None = None, **named: Any) -> Any:
        if dir_fd is not None:
            raise NotImplementedError("dir_fd unavailable on this platform")
        return call(*arguments, **named)

    return called


def lead_children_here() -> None:
    """Have the Pythons that this process starts begin as it did."""
    begin = subprocess.Popen.__init__

    def started(self: Any, command: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(command, list) and command[0] == sys.executable:
            options = [each for each in command[1:3] if each == "-P"]
            command = [sys.executable, *options, os.fspath(HERE), *command[1 + len(options) :]]
        begin(self, command, *arguments, **named)

    subprocess.Popen.__init__ = started  # type: ignore[method-assign, assignment]


def main() -> None:
    """Run what the command line names."""
    import fcntl  # noqa: F401

    import jupyter_client  # noqa: F401  (it goes by ``sys.platform``, and has what it needs on Windows)

    how, what, *words = sys.argv[1:]
    lead_children_here()
    take_away()
    sys.path[:] = [each for each in sys.path if each != os.fspath(HERE.parent)]
    sys.argv = [what, *words]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<code>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
