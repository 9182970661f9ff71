"""How somebody who waits is woken at once: a datagram socket per waiter in the state directory.

Each name has a directory of its own, so that ringing looks at those only who wait for it. Ringing is a hint,
never a promise: whoever waits also looks at the table at a slow beat.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

from clx.platforms import system

log = logging.getLogger("clx.doorbell")

_SUN_PATH = 100  # the address of a local socket holds 108 bytes on Linux, 104 elsewhere
_TAIL = 34  # the longest name, and that of a socket
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,20}")
_ENDS = "@"  # the directory of those who wait for single jobs; no job type is a file of that name
_END = "\0"  # what their names begin with: no job type holds it
_LEVELS = (0, 6, 12)
FEW = 8
"""Bells that one waiter hangs for the ends of jobs, however many jobs these are."""
_LOOK_EVERY = 1.0
_SWEEP_EVERY = 10.0
SUPPORTED = system.HAS_LOCAL_SOCKETS

ENDED = "build"
"""The bell of whoever watches all work; whoever waits for certain jobs has bells of their own (``of_end``)."""
UNWANTED = "cancel"
"""The bell of workers: a job that one of them runs is not wanted any more."""


def of_end(job_id: int) -> str:
    """What is rung when that job has ended."""
    return f"{_END}0.{job_id}"


def for_ends_of(job_ids: Iterable[int]) -> list[str]:
    """What to listen for to hear of the ends of *job_ids* and of few others; empty where they are strewn too widely.

    Jobs that were put in together have ids in a row: many are heard by the blocks of ids they are in.
    """
    for level in _LEVELS:
        blocks = {job_id >> level for job_id in job_ids}
        if len(blocks) <= FEW:
            return [f"{_END}{level}.{block}" for block in blocks]
    return []


def block_of_ends(job_id: int) -> str:
    """What is rung when that job, or one of few with ids near its own, has ended."""
    return f"{_END}{_LEVELS[1]}.{job_id >> _LEVELS[1]}"


def names_of_end(job_id: int) -> list[str]:
    """All that is rung when that job has ended."""
    return [f"{_END}{level}.{job_id >> level}" for level in _LEVELS]


def with_blocks(names: Iterable[str]) -> set[str]:
    """*names*, and for each end of a job those of the blocks that its id is in."""
    found: set[str] = set()
    for name in names:
        if name.startswith(_END):
            with contextlib.suppress(ValueError):  # a type that another program wrote, with a NUL
                job_id = int(name.rpartition(".")[2])
                found.update(f"{_END}{level}.{job_id >> level}" for level in _LEVELS)
        else:
            found.add(name)
    return found


def job_of(name: str) -> int | None:
    """The job whose end is called *name*; None for what is no such name."""
    if not name.startswith(_END):
        return None
    with contextlib.suppress(ValueError):  # a type that another program wrote, with a NUL
        return int(name.rpartition(".")[2])
    return None


def is_of_ends(name: str) -> bool:
    """Whether a bell of that name rings for the ends of jobs."""
    return name.startswith(_END)


def hears(name: str, first: int, last: int) -> bool:
    """Whether a bell of that name rings for the end of a job whose id is between *first* and *last*."""
    level, _, block = name[len(_END) :].partition(".")
    return is_of_ends(name) and first >> int(level) <= int(block) <= last >> int(level)


@cache
def _file_name(type_: str) -> str:
    return type_ if _PLAIN.fullmatch(type_) else sha256(type_.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _folder(name: str) -> str:
    """The directory of *name* below that of the bells: the name itself where it is short and plain."""
    return f"{_ENDS}/{name[1:]}" if name.startswith(_END) else _file_name(name)


class Doorbell:
    """The bells of one database.

    Args:
        directory: where the sockets lie; made on first use.
        database: the file they belong to. Who may write to it may ring, and who may make files beside it may
            listen: the modes are taken from there, as SQLite takes those of its own files.
    """

    def __init__(self, directory: Path, database: Path | None = None) -> None:
        self._directory = directory
        self._database = database
        self._plain = str(directory)
        self._ends = f"{directory}/{_ENDS}"
        self._short: str | None = None
        self._sender: socket.socket | None = None
        self._closed = False
        self._descriptor = -1
        self._lock = threading.RLock()  # a signal handler may ring while its own thread is in here
        self._sweep_at = 0.0

    # -- names short enough for an address ----------------------------------------------------------

    def _base(self) -> str:
        """The directory under a name short enough for a socket address; empty where there is none."""
        with self._lock:
            if self._descriptor >= 0 and not self._leads_there():
                self._let_go()
            if self._short is None:
                is_short = len(os.fsencode(self._plain)) <= _SUN_PATH - _TAIL
                self._short = self._plain if is_short else self._through_descriptor() or self._link(self._plain)
            return self._short

    def _through_descriptor(self) -> str:
        """The directory by one of this process's descriptors (Linux); empty where that is not possible."""
        if not os.path.isdir("/proc/self/fd") or not system.PATH_ONLY:  # noqa: PTH112
            return ""
        try:
            self._make(self._plain)
            self._descriptor = os.open(self._directory, system.PATH_ONLY | system.FOLDER)
        except OSError:
            return ""
        return f"/proc/self/fd/{self._descriptor}"

    def _leads_there(self) -> bool:
        """Whether the descriptor still leads to the directory of that name; it may have been removed and made anew."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._plain))  # noqa: PTH116
        except OSError:
            return False

    def _let_go(self) -> None:
        os.close(self._descriptor)
        self._descriptor, self._short = -1, None

    @staticmethod
    def _link(plain: str) -> str:
        import tempfile  # only where paths are long

        uid = system.user_id() or 0
        link = Path(tempfile.gettempdir()) / f"clx-{uid}-{sha256(os.fsencode(plain)).hexdigest()[:16]}"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(plain)
        # somebody else's link of that name would lead our datagrams elsewhere: then wait without a bell
        return str(link) if link.is_symlink() and link.lstat().st_uid == uid else ""

    # -- listening ----------------------------------------------------------------------------------

    def listen(self, name: str) -> Bell:
        """A bell that rings for *name*: a job type, ``build`` for whoever watches all work, or the end of a job."""
        return Bell(*self._try_to_hang(name), door=self if SUPPORTED else None, name=name)

    def _try_to_hang(self, name: str) -> tuple[socket.socket | None, str]:
        """A socket for *name* and where it lies; none on a file system without sockets: the slow beat still works."""
        with contextlib.suppress(OSError):
            return self.hang(name)
        return None, ""

    def hang(self, name: str) -> tuple[socket.socket, str]:
        """A socket for *name*, and where it lies.

        Raises:
            OSError: there is no place for one.
        """
        if not SUPPORTED:
            raise OSError("this platform has no local sockets")
        listener = system.local_socket(socket.SOCK_DGRAM)
        try:
            listener.setblocking(False)
            return listener, self._bind(listener, _folder(name))
        except BaseException:
            listener.close()
            raise

    def _bind(self, listener: socket.socket, folder: str) -> str:
        file = f"{folder}/{os.urandom(5).hex()}"
        for attempt in range(5):
            self._make(self._plain)
            if folder.startswith(_ENDS):
                self._make(self._ends)
            try:
                self._make(f"{self._plain}/{folder}")
                listener.bind(f"{self._base()}/{file}")
                break
            except FileNotFoundError:  # somebody has just removed the directory because it was empty
                if attempt == 4:
                    raise
        address = f"{self._plain}/{file}"
        self.open_to_writers(address)
        return address

    def _make(self, directory: str) -> None:
        """Make *directory* for everybody who may make files beside the database."""
        try:
            os.mkdir(directory)  # noqa: PTH102  (cheap: once for each wait)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if directory != self._plain:
                raise
            self._directory.mkdir(parents=True, exist_ok=True)
        if self._database is not None:
            _liken(directory, str(self._database.parent), 0o7777)

    def open_to_writers(self, address: str) -> None:
        """Give a socket the mode and the group of the database: who may write to that may ring."""
        if self._database is not None:
            _liken(address, str(self._database), 0o666)

    # -- ringing ------------------------------------------------------------------------------------

    def ring(self, *names: object) -> None:
        """Wake everybody who listens for one of *names*; sockets of the dead among them are removed.

        What is no text, the type of a job that another program wrote, nobody listens for.
        """
        if not SUPPORTED or not names:
            return
        known = [name for name in names if isinstance(name, str)]
        folders = {_file_name(name) for name in known if name[:1] != _END}
        # access(): in most cases nobody listens, and an exception for each of those costs more than all the rest
        if len(folders) < len(known) and os.access(self._ends, os.F_OK):
            folders |= self._awaited([name for name in known if name[:1] == _END])
        for folder in folders:
            path = f"{self._plain}/{folder}"
            if os.access(path, os.F_OK):
                self._ring_in(path, folder)

    def _ring_in(self, path: str, folder: str) -> None:
        try:
            found = os.listdir(path)  # noqa: PTH208  (a list of names, the cheap form)
        except OSError:
            return  # nobody listens any more
        base = self._base() if found else ""
        for entry in found if base else ():
            self._send(f"{base}/{folder}/{entry}")

    def _awaited(self, ends: list[str]) -> set[str]:
        """The directories of those who may wait for these jobs."""
        folders = {_folder(name) for name in with_blocks(ends)}
        if len(folders) > FEW:
            with contextlib.suppress(OSError):
                there = os.listdir(self._ends)  # noqa: PTH208
                folders.intersection_update(f"{_ENDS}/{entry}" for entry in there)
        return folders

    def _send(self, address: str) -> None:
        try:
            (self._sender or self._new_sender()).sendto(b"!", address)
        except ConnectionRefusedError:
            _remove(address)
        except OSError:  # closed by another thread
            return  # a full queue means it is ringing already; anything else is covered by the slow beat

    def _new_sender(self) -> socket.socket:
        """The socket to ring with: one, though several threads ring for the first time at once.

        Raises:
            OSError: the queue has been closed, or this process has no descriptor left.
        """
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if self._sender is None:
                self._sender = _datagrams()
            return self._sender

    # -- looking after ------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove the sockets of the dead, whatever they listened for; at most once in ten seconds."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_EVERY
        base = self._base()
        if base:
            with contextlib.suppress(OSError), _datagrams() as probe:
                _sweep(base, probe)

    def closed_to_us(self) -> str:
        """What this user may not use, so that not all wake each other; empty where all is open to him."""
        if not os.access(self._plain, os.F_OK):  # made on first use
            above = self._directory.parent
            return str(above) if above.exists() and not os.access(above, os.W_OK | os.X_OK) else ""
        for folder, folders, files in os.walk(self._plain):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                return folder
            shut = [name for name in folders if not os.access(f"{folder}/{name}", os.R_OK | os.W_OK | os.X_OK)]
            shut += [name for name in files if not os.access(f"{folder}/{name}", os.W_OK)]
            if shut:
                return f"{folder}/{shut[0]}"
        return ""

    def close(self) -> None:
        """Release the sending socket and the directory."""
        with self._lock:
            self._closed = True
            sender, self._sender = self._sender, None
            if sender is not None:
                sender.close()
            if self._descriptor >= 0:
                self._let_go()


def _datagrams() -> socket.socket:
    sender = system.local_socket(socket.SOCK_DGRAM)
    sender.setblocking(False)
    return sender


def _sweep(folder: str, probe: socket.socket) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _sweep(entry.path, probe)
                    os.rmdir(entry.path)  # noqa: PTH106  (refused while anybody is in it)
            elif stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                try:
                    probe.connect(entry.path)  # wakes nobody
                except ConnectionRefusedError:
                    _remove(entry.path)
                except OSError:
                    continue  # somebody else's: it cannot be judged


def _remove(address: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(address)  # noqa: PTH108


def _liken(path: str, model: str, mask: int) -> None:
    """Give *path* the mode of *model*, and its group where that is allowed; root gives it the owner too."""
    with contextlib.suppress(OSError):
        like, found = os.stat(model), os.lstat(path)  # noqa: PTH116
        mode = stat.S_IMODE(like.st_mode) & mask
        uid = like.st_uid if system.user_id() == 0 else found.st_uid
        if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (uid, like.st_gid, mode):
            system.change_owner(path, uid, like.st_gid, mode)


class Bell:
    """One waiter's end: something to select on."""

    def __init__(
        self, listener: socket.socket | None, address: str = "", *, door: Doorbell | None = None, name: str = ""
    ) -> None:
        self._listener = listener
        self._address = address
        self._door = door
        self._name = name
        self._told = False
        self._closed = False
        self._lock = threading.RLock()  # a descriptor that another thread closes must not be put in another's place
        self._look_at = time.monotonic() + _LOOK_EVERY

    def fileno(self) -> int:
        """The descriptor to select on, the same for as long as there is one; -1 where no bell could be hung."""
        return self._listener.fileno() if self._listener else -1

    def silence(self) -> bool:
        """Take every ring that has arrived; true when the bell had been removed and listens anew.

        Once a second it is looked after: cleaners of temporary files and of checkouts take sockets for litter.
        A selector that has noted its descriptor must then note it again.
        """
        if self._listener is not None:
            with contextlib.suppress(BlockingIOError):
                while self._listener.recv(64):
                    pass
        now = time.monotonic()
        if self._door is None or now < self._look_at:
            return False
        self._look_at = now + _LOOK_EVERY
        self._door.sweep()
        if self.is_in_place():
            self._door.open_to_writers(self._address)
            return False
        return self.renew()

    def is_in_place(self) -> bool:
        """Whether those who ring still find it."""
        return self._door is None or (self._listener is not None and os.path.lexists(self._address))

    def renew(self) -> bool:
        """Listen anew under the same descriptor; false where there is no place for it (any more)."""
        if self._door is None:
            return False
        try:
            fresh, address = self._door.hang(self._name)
        except OSError:
            return False
        with self._lock:
            if self._closed:
                fresh.close()
                _remove(address)
                return False
            self._address = address
            if self._listener is None:
                self._listener = fresh
                return True
            with fresh:
                os.dup2(fresh.fileno(), self._listener.fileno(), inheritable=False)
        if not self._told:  # once: where something removes it again and again, that is enough
            log.warning("%s was removed, so nobody could ring; this process listens anew", Path(self._address).parent)
            self._told = True
        return True

    def close(self) -> None:
        """Remove the socket."""
        with self._lock:
            self._closed = True
            if self._listener is not None:
                self._listener.close()
                self._listener = None
        if self._address:
            _remove(self._address)
            with contextlib.suppress(OSError):  # refused while anybody else is in it
                folder = os.path.dirname(self._address)  # noqa: PTH120
                os.rmdir(folder)  # noqa: PTH106
                if self._name.startswith(_END):
                    os.rmdir(os.path.dirname(folder))  # noqa: PTH106, PTH120

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
