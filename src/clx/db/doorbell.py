"""How somebody who waits is woken at once: a datagram socket per waiter in the state directory.

Ringing is a hint, never a promise: whoever waits also looks at the table at a slow beat.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

_SUN_PATH = 100  # the address of a local socket holds 108 bytes on Linux, 104 elsewhere
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,20}")
SUPPORTED = hasattr(socket, "AF_UNIX")


@cache
def _file_name(name: str) -> str:
    """What stands for *name* in the address of a socket: itself where it is short and plain."""
    return name if _PLAIN.fullmatch(name) else sha256(name.encode()).hexdigest()[:16]


class Doorbell:
    """The bells of one database.

    Args:
        directory: where the sockets lie; made on first use.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._short: str | None = None
        self._sender: socket.socket | None = None
        self._descriptor = -1

    def _base(self) -> str:
        """The directory under a name short enough for a socket address."""
        if self._short is None:
            plain = str(self._directory)
            is_short = len(os.fsencode(plain)) <= _SUN_PATH - 34
            self._short = plain if is_short else self._through_descriptor() or self._link(plain)
        return self._short

    def _through_descriptor(self) -> str:
        """The directory by one of this process's descriptors (Linux); empty where that is not possible."""
        if not os.path.isdir("/proc/self/fd") or not hasattr(os, "O_PATH"):  # noqa: PTH112
            return ""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return ""
        return f"/proc/self/fd/{self._descriptor}"

    @staticmethod
    def _link(plain: str) -> str:
        import tempfile  # only where paths are long

        uid = os.getuid() if hasattr(os, "getuid") else 0
        link = Path(tempfile.gettempdir()) / f"clx-{uid}-{sha256(os.fsencode(plain)).hexdigest()[:16]}"
        with contextlib.suppress(FileExistsError):
            link.symlink_to(plain)
        # somebody else's link of that name would lead our datagrams elsewhere: then wait without a bell
        return str(link) if link.is_symlink() and link.lstat().st_uid == uid else ""

    def listen(self, name: str) -> Bell:
        """A bell that rings for *name*: a job type, or ``build`` for whoever waits for results."""
        if not SUPPORTED or not self._base():
            return Bell(None, None)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = f"{_file_name(name)}.{os.urandom(6).hex()}"
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.setblocking(False)
            listener.bind(f"{self._base()}/{file}")
        except OSError:  # a file system without sockets: the slow beat still works
            return Bell(None, None)
        return Bell(listener, self._directory / file)

    def ring(self, *names: str) -> None:
        """Wake everybody who listens for one of *names*; sockets of the dead are removed."""
        if not SUPPORTED or not names:
            return
        try:
            found = os.listdir(self._directory)  # noqa: PTH208  (a list of names, the cheap form)
        except OSError:
            return
        base = self._base()
        wanted = [_file_name(name) for name in names]
        for entry in found if base else ():
            if entry.rpartition(".")[0] in wanted:
                self._send(f"{base}/{entry}")

    def _send(self, address: str) -> None:
        try:
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sender.setblocking(False)
            self._sender.sendto(b"!", address)
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                os.unlink(address)  # noqa: PTH108
        except OSError:
            return  # a full queue means it is ringing already; anything else is covered by the slow beat

    def close(self) -> None:
        """Release the sending socket and the directory."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._short = -1, None


class Bell:
    """One waiter's end: something to select on."""

    def __init__(self, listener: socket.socket | None, address: Path | None) -> None:
        self._listener = listener
        self._address = address

    def fileno(self) -> int:
        """The descriptor to select on; -1 where bells are not supported."""
        return self._listener.fileno() if self._listener else -1

    def silence(self) -> None:
        """Take every ring that has arrived."""
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError):
            while self._listener.recv(64):
                pass

    def close(self) -> None:
        """Remove the socket."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._address is not None:
            with contextlib.suppress(OSError):
                self._address.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
