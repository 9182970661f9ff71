"""Linux, macOS and their like; :mod:`clx.platforms.windows` is the twin of this module, name by name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import resource
import select
import signal
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from io import BufferedReader
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import socket
    from pathlib import Path

NAME: str = sys.platform
"""As Python calls this system: ``linux``, ``darwin``, ``win32``."""
ENGINE_HOST = "unix:///var/run/docker.sock"
"""Where the container engine listens."""
HAS_LOCAL_SOCKETS = True
HAS_PIDFDS = hasattr(os, "pidfd_open")
"""Whether a process can be held by a descriptor, which no other process of the same number takes over (Linux)."""
FORKS_KERNELS = NAME == "linux"
"""Whether a process can be forked into kernels, and all that come from it be found again."""
RUNS_HELPERS = True
"""Whether kernels and browsers are started here: they are ended, and talked to, as only POSIX allows."""

# -- files --------------------------------------------------------------------------------------------

NO_LINK = os.O_NOFOLLOW
"""Opening a symbolic link fails."""
NO_WAIT = os.O_NONBLOCK
"""Opening a named pipe waits for nobody."""
BINARY = 0
FOLDER = os.O_DIRECTORY
"""Opening anything but a directory fails."""
PATH_ONLY = getattr(os, "O_PATH", 0)
"""A descriptor opened with it is closed without touching locks."""


class Folder:
    """A directory held open: what is looked for in it is in this one, wherever its name leads by now.

    Raises:
        OSError: there is none, or, *within* another one, it is a link.
    """

    def __init__(self, path: str | os.PathLike[str], within: Folder | None = None) -> None:
        if within is None:
            self._descriptor = os.open(path, os.O_RDONLY | FOLDER)
        else:
            self._descriptor = os.open(path, os.O_RDONLY | FOLDER | NO_LINK, dir_fd=within._descriptor)

    def stat(self, name: str, *, follow: bool = True) -> os.stat_result:
        """As :func:`os.stat`."""
        return os.stat(name, dir_fd=self._descriptor, follow_symlinks=follow)

    def open(self, name: str) -> BufferedReader:
        """Open a file to read; a link is an error, and no pipe is waited for."""
        flags = os.O_RDONLY | NO_LINK | NO_WAIT
        return os.fdopen(os.open(name, flags, dir_fd=self._descriptor), "rb")

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._descriptor)

    def remove_folder(self, name: str) -> None:
        """Remove a directory that is empty."""
        os.rmdir(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


def open_folder(path: str | os.PathLike[str]) -> int:
    """A descriptor of a directory."""
    return os.open(path, os.O_RDONLY | FOLDER)


def stat_below(descriptor: int, name: str | os.PathLike[str]) -> os.stat_result:
    """What *name* is, counted from the directory of a descriptor."""
    return os.stat(name, dir_fd=descriptor)


def lock(descriptor: int, *, wait: bool = True) -> bool:
    """Lock a file until it is closed; false where another process has it and this one does not *wait*."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def lock_folder(path: Path) -> int:
    """Lock a directory, on a file system that can; the lock ends when the descriptor is closed."""
    descriptor = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


KNOWS_OWN_LOCKS = hasattr(fcntl, "F_OFD_GETLK") and sys.maxsize > 1 << 32
"""Whether a process can ask for its own locks: F_GETLK tells of those of others only."""
_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` of fcntl(2) on 64-bit Linux: type, whence, start, length, process."""


class ByteLock:
    """One byte of a file, locked for this process as SQLite locks: by POSIX record locks."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
        self._usual_answer = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, os.getpid())

    def take(self, descriptor: int) -> None:
        """Lock it; ``OSError`` where this file system has no such locks."""
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._start)

    def drop(self, descriptor: int) -> None:
        """Let go of it."""
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, self._start)

    def is_as_taken(self, descriptor: int) -> bool:
        """Whether it is locked as a lock of its own: the cheap question."""
        return fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, self._question) == self._usual_answer

    def is_mine(self, descriptor: int) -> bool:
        """Whether it is in a lock of this process, also in one with the bytes beside it."""
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, self._question)
        kind, _, _, _, owner = _FLOCK.unpack(answer)
        return bool(kind != fcntl.F_UNLCK and owner == os.getpid())


def may_set_locks(descriptor: int) -> bool:
    """Whether it is open for reading and writing."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


def share_blocks(origin: Path, target: Path) -> bool:
    """Make *target* share *origin*'s blocks until one changes (btrfs, xfs); false, and nothing made, where none can."""
    if NAME != "linux":
        return False
    with origin.open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), 0x40049409, reader.fileno())  # FICLONE
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL}:
                raise
        else:
            return True
    target.unlink()
    return False


def widen_pipe(descriptor: int, size: int) -> None:
    """Let a pipe hold *size* bytes, where that can be asked for (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)


def user_id() -> int | None:
    """The number of this user; None where files have no owner by number."""
    return os.geteuid()


def group_id() -> int | None:
    """The number of this user's group."""
    return os.getegid()


def user_name(user: int) -> str:
    """What a user is called; empty where nobody knows."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return ""


def group_name(group: int) -> str:
    """What a group is called, or its number."""
    with contextlib.suppress(KeyError):
        return grp.getgrgid(group).gr_name
    return str(group)


def has_others(group: int, user: int, *, people: int) -> bool:
    """Whether somebody else than *user* is in *group*; by its own group counts who has a number from *people* on."""
    members: set[str] = set()
    with contextlib.suppress(KeyError):
        members = set(grp.getgrgid(group).gr_mem)
    mine = {each.pw_name for each in pwd.getpwall() if each.pw_uid == user}
    others = [each for each in pwd.getpwall() if each.pw_gid == group and each.pw_uid >= people]
    return not members <= mine or any(each.pw_uid != user for each in others)


def change_owner(path: str, user: int, group: int, mode: int) -> None:
    """Change who may use *path*; never what it leads to: others may put a link in its place at any moment."""
    if not PATH_ONLY:
        with contextlib.suppress(OSError):
            os.chown(path, user, group, follow_symlinks=False)
        os.chmod(path, mode, follow_symlinks=False)
        return
    held = os.open(path, PATH_ONLY | NO_LINK)
    try:
        if not stat.S_ISLNK(os.fstat(held).st_mode):
            with contextlib.suppress(OSError):  # of a group this user is not in
                os.chown(f"/proc/self/fd/{held}", user, group)
            os.chmod(f"/proc/self/fd/{held}", mode)
    finally:
        os.close(held)


# -- processes ----------------------------------------------------------------------------------------

KILL = signal.SIGKILL
CONTINUE = signal.SIGCONT
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end a program."""
OWN_CONSOLE = 0
"""``creationflags`` of a process that is to outlive the terminal; ``start_new_session`` does it here."""


def open_process(pid: int) -> int:
    """A descriptor that becomes readable when the process ends; -1 where there are none. ``OSError``: it is gone."""
    return os.pidfd_open(pid) if HAS_PIDFDS else -1


def send_signal(pid: int, number: int, descriptor: int = -1) -> None:
    """Send a signal, by a *descriptor* of :func:`open_process` if there is one.

    Raises:
        ProcessLookupError: there is no such process.
        PermissionError: it is another user's.
    """
    if descriptor >= 0:
        signal.pidfd_send_signal(descriptor, number)
    else:
        os.kill(pid, number)


def probe(pid: int) -> None:
    """Look whether there is such a process, with the errors of :func:`send_signal`."""
    os.kill(pid, 0)


def kill_group(pid: int) -> None:
    """Kill a process that leads its group, and the group, with the errors of :func:`send_signal`."""
    os.killpg(pid, signal.SIGKILL)


def interrupt_group(pid: int) -> None:
    """Ctrl-C for a process that leads its group, and the group, with the errors of :func:`send_signal`."""
    os.killpg(pid, signal.SIGINT)


def kill_marked(mark: str) -> None:
    """Kill every process with ``NAME=value`` in its environment, wherever it went (Linux)."""
    if NAME != "linux":
        return
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark.encode() in _read(f"/proc/{pid}/environ").split(b"\0"):
                os.kill(int(pid), signal.SIGKILL)


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def hold_back_signals(*, hold: bool) -> None:
    """Keep SIGTERM and SIGINT pending for this thread, or let them through."""
    signal.pthread_sigmask(signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def interrupt_main_thread(number: int) -> None:
    """Have the handler of a signal run, which it does in the main thread, also where that waits in the kernel."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def end_after(seconds: int) -> None:
    """End this process with code 0, whatever it is at then."""
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(0))
    signal.alarm(seconds)


def in_forked_children(call: Callable[[], None]) -> None:
    """Have *call* called in every child that is forked."""
    os.register_at_fork(after_in_child=call)


# -- limits -------------------------------------------------------------------------------------------


def peak_memory() -> int | None:
    """The most bytes this process ever held; None where the platform does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # not getrusage there: its maximum starts from what the process that started this one held
        return int(_read("/proc/self/status").split(b"VmHWM:")[1].split(maxsplit=1)[0]) * 1024
    unit = 1 if NAME == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def allow_files(needed: int) -> int | None:
    """Let this process have that many files open; how many it may have where these are fewer, else None."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return None
    if hard != resource.RLIM_INFINITY and needed > hard:
        return hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return None


def allowed(what: Literal["files", "processes"]) -> str:
    """How many of these this process may have now."""
    limit = resource.RLIMIT_NOFILE if what == "files" else resource.RLIMIT_NPROC
    return str(resource.getrlimit(limit)[0])


@contextlib.contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Within it this process may take *more* bytes than it has; ``MemoryError`` where it takes more."""
    size = _address_space()
    if size is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [limit for limit in (soft, size + more) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def lift_memory_limit() -> None:
    """Let this process have all memory again that it may have."""
    if _address_space() is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _address_space() -> int | None:
    """Bytes this process has mapped; None where that cannot be told or limited."""
    with contextlib.suppress(OSError):
        return int(_read("/proc/self/statm").split()[0]) * resource.getpagesize()
    return None


@contextlib.contextmanager
def limited_time(seconds: int, stop: Callable[[int, object], object]) -> Iterator[None]:
    """Within it *stop* is called, as a signal handler, after *seconds* of computing time and every second then."""
    if signal.getitimer(signal.ITIMER_PROF)[0] > 0:  # a profiler has it
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)  # again and again: somebody may catch the error
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


OUT_OF_TIME: int = signal.SIGXCPU  # what a process gets that has used up its computing time; 0: there is no such limit


def limit_time(seconds: int) -> None:
    """Have the kernel end this process after so many more seconds of computing time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


# -- waiting ------------------------------------------------------------------------------------------


def wait_readable(waiting: Collection[Any], seconds: float) -> list[Any]:
    """Those of *waiting* (sockets, descriptors) that are readable, once one is or after *seconds*."""
    poll, known = select.poll(), {each if isinstance(each, int) else each.fileno(): each for each in waiting}
    for descriptor in known:  # not select(): that takes none above 1023
        poll.register(descriptor, select.POLLIN)
    return [known[descriptor] for descriptor, _ in poll.poll(seconds * 1000)]


def watched_end(descriptor: int) -> Any:
    """Something to wait on that becomes readable when *descriptor*, a pipe, comes to its end."""
    return descriptor


def has_ended(watched: Any) -> bool:
    """Whether something of :func:`watched_end` that has become readable did so because it ended."""
    return not os.read(watched, 4096)


class Alarm:
    """Wakes who waits on it; for any thread and any signal handler: it takes no lock."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        """What becomes readable."""
        return self._read

    def ring(self) -> None:
        """Wake who waits, now or later."""
        os.write(self._write, b"!")

    def silence(self) -> None:
        """Take every ring that has arrived."""
        os.read(self._read, 4096)


def local_socket(kind: int) -> socket.socket:
    """A socket whose address is a path."""
    import socket

    return socket.socket(socket.AF_UNIX, kind)


class Pipes:
    """The standard streams of a process, written and read at the same time: a full pipe in one direction stops none."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin, self._stdout = stdin, stdout
        os.set_blocking(stdin.fileno(), False)

    def exchange(self, request: bytes, is_whole: Callable[[bytearray], bool], seconds: float) -> bytes | None:
        """Send *request*, and read until the answer *is_whole*; None when the process has closed its end.

        Raises:
            TimeoutError: there is no whole answer within *seconds*.
        """
        import selectors

        answer, left, ends_at = bytearray(), memoryview(request), time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stdin, selectors.EVENT_WRITE)
            while True:
                ready = selector.select(max(ends_at - time.monotonic(), 0))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fileobj is self._stdin:
                        left = left[self._write(left) :]
                        if not left:
                            selector.unregister(self._stdin)
                    elif chunk := os.read(self._stdout.fileno(), 65536):
                        answer += chunk
                    else:
                        return None
                if is_whole(answer):
                    return bytes(answer)

    def _write(self, left: memoryview) -> int:
        """Write what the pipe takes; everything counts as written once nobody reads any more."""
        try:
            return os.write(self._stdin.fileno(), left)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            return len(left)


class Lines:
    """What a process writes, read whenever somebody asks."""

    def __init__(self, stdout: IO[bytes]) -> None:
        self._descriptor = stdout.fileno()
        os.set_blocking(self._descriptor, False)

    def fileno(self) -> int:
        """Something to wait on."""
        return self._descriptor

    def read(self) -> bytes:
        """What has come since the last call."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, 65536):
                found += chunk
        return found
