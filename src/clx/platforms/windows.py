"""Windows; :mod:`clx.platforms.posix` is the twin of this module, name by name, and says what each name means.

What there is nothing for does nothing, or says that it is not there. It has been run beside faked Windows modules
only (``tests/platforms``), not yet on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

NAME: str = "win32"
ENGINE_HOST = "npipe:////./pipe/docker_engine"
HAS_LOCAL_SOCKETS = False
HAS_PIDFDS = False
FORKS_KERNELS = False
RUNS_HELPERS = False

# -- files --------------------------------------------------------------------------------------------

NO_LINK = 0
NO_WAIT = 0
BINARY: int = getattr(os, "O_BINARY", 0)
FOLDER = 0
PATH_ONLY = 0

_BEYOND = 0x7FFFFFF0
"""The byte that is locked: locks of Windows keep others from what lies in them, so it is one behind all that is
written."""


class Folder:
    """A directory by its path: Windows holds none open, so that it may be exchanged between two looks."""

    def __init__(self, path: str | os.PathLike[str], within: Folder | None = None) -> None:
        self._path: Path = Path(path) if within is None else within._path / path
        found = os.stat(self._path, follow_symlinks=within is None)
        is_link = within is not None and getattr(found, "st_reparse_tag", 0) != 0  # a junction has such a tag, too
        if is_link or not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._path))

    def stat(self, name: str, *, follow: bool = True) -> os.stat_result:
        return os.stat(self._path / name, follow_symlinks=follow)

    def open(self, name: str) -> BufferedReader:
        """Open a file to read."""
        return (self._path / name).open("rb")

    def remove(self, name: str) -> None:
        (self._path / name).unlink()

    def remove_folder(self, name: str) -> None:
        (self._path / name).rmdir()

    def close(self) -> None: ...


def open_folder(path: str | os.PathLike[str]) -> int:
    raise _none_here("descriptors of directories", path)


def stat_below(descriptor: int, name: str | os.PathLike[str]) -> os.stat_result:
    raise _none_here("descriptors of directories", name)


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock a file by ``LockFile``, which the C library tries ten times a second apart."""
    msvcrt: Any = import_module("msvcrt")
    os.lseek(descriptor, _BEYOND, os.SEEK_SET)
    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            return True
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK)}:
                raise
            if not wait:
                return False


def lock_folder(path: Path) -> int:
    """Lock a file in the directory, which cannot be locked itself."""
    descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT)
    with contextlib.suppress(OSError):
        lock(descriptor)
    return descriptor


KNOWS_OWN_LOCKS = False
"""Nor has to: closing a file drops no locks that were taken by another handle."""


class ByteLock:
    """Never made."""

    def __init__(self, start: int) -> None:
        raise _none_here("record locks", str(start))

    def take(self, descriptor: int) -> None: ...
    def drop(self, descriptor: int) -> None: ...

    def is_as_taken(self, descriptor: int) -> bool:
        return True

    def is_mine(self, descriptor: int) -> bool:
        return True


def may_set_locks(descriptor: int) -> bool:
    return False


def share_blocks(origin: Path, target: Path) -> bool:
    return False


def widen_pipe(descriptor: int, size: int) -> None: ...


# -- whose something is: owners have no numbers, and the bits of a mode say nothing about them ---------


def user_id() -> int | None:
    return None


def group_id() -> int | None:
    return None


def user_name(user: int) -> str:
    return ""


def group_name(group: int) -> str:
    return str(group)


def has_others(group: int, user: int, *, people: int) -> bool:
    return False


def change_owner(path: str, user: int, group: int, mode: int) -> None: ...


# -- processes ----------------------------------------------------------------------------------------

KILL = 9
CONTINUE = 18
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))
OWN_CONSOLE: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


def open_process(pid: int) -> int:
    return -1


def send_signal(pid: int, number: int, descriptor: int = -1) -> None:
    """End the process (``TerminateProcess``), whatever signal is meant to; one that was stopped goes on."""
    with _process(pid) as process:
        process.resume() if number == CONTINUE else process.kill()


def probe(pid: int) -> None:
    """Not ``os.kill(pid, 0)``: that is Ctrl-C here."""
    with _process(pid):
        pass


def kill_group(pid: int) -> None:
    """End a process and all that came from it and still has its parents."""
    with _process(pid) as process:
        for each in [*process.children(recursive=True), process]:
            each.kill()


def interrupt_group(pid: int) -> None:
    """Ctrl-Break, the only one that reaches a group of its own; it ends a kernel."""
    with _process(pid):
        os.kill(pid, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


@contextlib.contextmanager
def _process(pid: int) -> Iterator[Any]:
    import psutil

    try:
        yield psutil.Process(pid)
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from error
    except psutil.AccessDenied as error:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from error


def kill_marked(mark: str) -> None: ...


def hold_back_signals(*, hold: bool) -> None: ...


def interrupt_main_thread(number: int) -> None:
    """Python runs the handler in the main thread once that comes back from where it waits."""
    signal.raise_signal(number)


def end_after(seconds: int) -> None:
    """By a thread, which does not run while something holds the interpreter."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def in_forked_children(call: Callable[[], None]) -> None: ...


# -- limits -------------------------------------------------------------------------------------------


def peak_memory() -> int | None:
    """The peak of the working set."""
    import psutil

    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def allow_files(needed: int) -> int | None:
    return None


def allowed(what: Literal["files", "processes"]) -> str:
    return "no more"


@contextlib.contextmanager
def limited_memory(more: int) -> Iterator[None]:
    yield


def lift_memory_limit() -> None: ...


@contextlib.contextmanager
def limited_time(seconds: int, stop: Callable[[int, object], object]) -> Iterator[None]:
    """Not limited: whoever waits for the answer ends the process."""
    yield


OUT_OF_TIME: int = 0


def limit_time(seconds: int) -> None: ...


# -- waiting ------------------------------------------------------------------------------------------


def wait_readable(waiting: Collection[Any], seconds: float) -> list[Any]:
    """Only sockets can be waited on, and at least one has to be there."""
    sockets = [each for each in waiting if not isinstance(each, int) or each >= 0]
    if not sockets:
        time.sleep(max(0.0, seconds))
        return []
    return select.select(sockets, [], [], seconds)[0]


def watched_end(descriptor: int) -> Any:
    """A socket that ends when a thread has read the pipe to its end."""
    import socket

    mine, its = socket.socketpair()

    def read() -> None:
        with its, contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass

    threading.Thread(target=read, name="clx lifeline", daemon=True).start()
    return mine


def has_ended(watched: Any) -> bool:
    return True


class Alarm:
    """Two sockets, because no pipe can be waited on."""

    def __init__(self) -> None:
        import socket

        self._read, self._write = socket.socketpair()

    def fileno(self) -> int:
        return self._read.fileno()

    def ring(self) -> None:
        self._write.send(b"!")

    def silence(self) -> None:
        self._read.recv(4096)


def local_socket(kind: int) -> NoReturn:
    raise _none_here("local sockets", str(kind))


class Lines:
    """What a process writes, read by a thread."""

    def __init__(self, stdout: IO[bytes]) -> None:
        self.chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stdout.fileno(),), name="clx pipe", daemon=True).start()

    def _read(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(descriptor, 65536):
                self.chunks.put(chunk)
        self.chunks.put(b"")

    def fileno(self) -> int:
        return -1

    def read(self) -> bytes:
        found = b""
        with contextlib.suppress(queue.Empty):
            while True:
                found += self.chunks.get_nowait()
        return found


class Pipes:
    """The standard streams of a process, each with a thread of its own."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin, self._chunks = stdin, Lines(stdout).chunks

    def exchange(self, request: bytes, is_whole: Callable[[bytearray], bool], seconds: float) -> bytes | None:
        """Send *request*, and read until the answer *is_whole*."""
        threading.Thread(target=self._write, args=(request,), name="clx pipe", daemon=True).start()
        answer, ends_at = bytearray(), time.monotonic() + seconds
        while not is_whole(answer):
            try:
                chunk = self._chunks.get(timeout=max(0.0, ends_at - time.monotonic()))
            except queue.Empty:
                raise TimeoutError from None
            if not chunk:
                return None
            answer += chunk
        return bytes(answer)

    def _write(self, request: bytes) -> None:
        left = memoryview(request)
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more: the end of its output tells
            while left:
                left = left[os.write(self._stdin.fileno(), left) :]


def _none_here(what: str, name: str | os.PathLike[str]) -> OSError:
    return OSError(errno.ENOSYS, f"Windows has no {what}", os.fspath(name))
