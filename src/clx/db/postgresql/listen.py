"""How who waits is woken from other processes and machines: NOTIFY after a commit, as a hint and never within it.

In the transaction that stores a job it would make all commits of a database wait for each other. So each process sends
what it has to say at most every :data:`WINDOW` seconds, the first at once; one connection of its own hears what others
say. Who waits looks at the table at a slow beat all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from clx.db.doorbell import Bell, hears, is_of_ends, job_of
from clx.db.local_bells import LocalDoorbell
from clx.db.postgresql.driver import driver
from clx.errors import ClxError

log = logging.getLogger("clx.doorbell")

WINDOW = 0.02
"""Seconds between two messages of one process."""
_LONGER = 0.05
"""The same for one that has very much to say: who hears it is at work anyway."""
_MUCH = 4
"""Rings in one message."""
CHANNEL = "clx"
NOTIFY = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', $1)"
"""A hint need not outlive a crash of the server: nobody waits for the disk because of it."""
_LONGEST = 7000
"""Characters of one message: the server takes 7,999 bytes."""
_MOST = 4
"""Messages at a time; who has more to say rings for all."""
_ALL = "*"
_AGAIN_MOST = 5.0


class PostgresDoorbell(LocalDoorbell):
    """Bells of one database of a server.

    Args:
        connect: makes a connection of the driver, for the thread that listens.
        notify: sends messages by the connection of the thread that has just committed.
    """

    def __init__(self, connect: Callable[[], Any], notify: Callable[[list[str]], None]) -> None:
        super().__init__()
        self._connect = connect
        self._notify = notify
        self._me = os.urandom(4).hex()
        self._guard = threading.RLock()
        self._pending: set[str] = set()
        self._ended_jobs: set[int] = set()
        self._send_at = 0.0
        self._rings = 0
        self._ended = False
        self._hears = False  # who only says something is not woken by what all others say
        self._is_heard = False
        self._thread: threading.Thread | None = None
        self._mouth: socket.socket | None = None

    def listen(self, name: str) -> Bell:
        """A bell that rings for *name*, here or anywhere."""
        bell = super().listen(name)
        if not self._hears:
            self._hears = True
            self._wake()
        self._start()
        return bell

    def ring(self, *names: object) -> None:
        """Wake everybody who listens for one of *names*: here at once, elsewhere soon."""
        super().ring(*names)
        words, ended = set(), set()
        for name in names:
            if isinstance(name, str):
                if (job_id := job_of(name)) is None:
                    words.add(_word(name))
                else:
                    ended.add(job_id)
        with self._guard:
            is_due = bool(self._pending or self._ended_jobs)
            self._pending |= words
            self._ended_jobs |= ended
            self._rings += 1
            if time.monotonic() < self._send_at:
                if not is_due:  # else the thread knows when to send
                    self._start()
                    self._wake()
                return
            payloads = self._take()
        with contextlib.suppress(driver.Error, ClxError):  # who waits looks by itself
            self._notify(payloads)

    def _take(self) -> list[str]:
        self._send_at = time.monotonic() + (_LONGER if self._rings > _MUCH else WINDOW)
        self._rings = 0
        words, self._pending = self._pending, set()
        ended, self._ended_jobs = self._ended_jobs, set()
        return list(_messages(self._me, [*sorted(words), *_in_rows(ended)]))

    # -- the thread ---------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._guard:
            if self._thread is not None or self._ended:
                return
            try:
                ear, self._mouth = socket.socketpair()
            except OSError:  # no descriptors left: who waits looks by itself
                return
            self._mouth.setblocking(False)
            ear.setblocking(False)
            self._thread = threading.Thread(target=self._serve, args=(ear,), name="clx-listen", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        if self._mouth is not None:
            with contextlib.suppress(OSError):  # full: it is awake
                self._mouth.send(b"!")

    def _serve(self, ear: socket.socket) -> None:
        pause = 0.1
        with ear:
            while not self._ended:
                try:
                    raw = self._connect()
                    try:
                        pause = 0.1
                        self._hear(raw, ear)
                    finally:
                        self._is_heard = False
                        raw.close()
                except (driver.Error, ClxError, OSError) as error:
                    log.debug("nobody is woken by other processes for now: %s", error)
                    self._rest(ear, pause)
                    pause = min(_AGAIN_MOST, 2 * pause)

    def _rest(self, ear: socket.socket, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._ended and (left := ends - time.monotonic()) > 0:
            ear.settimeout(left)
            with contextlib.suppress(TimeoutError):
                ear.recv(64)
            ear.setblocking(False)

    def _hear(self, raw: Any, ear: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(raw.fileno(), selectors.EVENT_READ)
            selector.register(ear, selectors.EVENT_READ)
            while not self._ended:
                if self._hears and not self._is_heard:
                    raw.execute(f"LISTEN {CHANNEL}")
                    self._ring_all()  # what was said before nobody here has heard
                    self._is_heard = True
                selector.select(self._due_in())
                with contextlib.suppress(BlockingIOError):
                    ear.recv(4096)
                self._send_pending(raw)
                raw.pgconn.consume_input()
                while (told := raw.pgconn.notifies()) is not None:
                    self._told(told.extra.decode())
        with contextlib.suppress(driver.Error):
            self._send_pending(raw, at_once=True)

    def _due_in(self) -> float | None:
        with self._guard:
            return max(0.0, self._send_at - time.monotonic()) if self._pending or self._ended_jobs else None

    def _send_pending(self, raw: Any, *, at_once: bool = False) -> None:
        with self._guard:
            if not (self._pending or self._ended_jobs) or not (at_once or self._due_in() == 0.0):
                return
            payloads = self._take()
        for payload in payloads:
            raw.execute(NOTIFY, (payload,))

    def _told(self, message: str) -> None:
        sender, *words = message.split(" ")
        if sender == self._me:  # they heard it at once
            return
        if _ALL in words:
            self._ring_all()
            return
        rows = [[int(end) for end in word[1:].split("-")] for word in words if word.startswith("@")]
        for bell in list(self.hung):
            if is_of_ends(bell.name):
                rung = any(hears(bell.name, row[0], row[-1]) for row in rows)
            else:
                rung = _word(bell.name) in words
            if rung:
                bell.ring()

    def _ring_all(self) -> None:
        for bell in list(self.hung):
            bell.ring()

    def close(self) -> None:
        """Say what is left to say, and hear no more."""
        with self._guard:
            self._ended = True
            self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        if self._mouth is not None:
            self._mouth.close()
        super().close()


@lru_cache(maxsize=4096)
def _word(name: str) -> str:
    """A name as it is sent: it may hold whatever, so by a digest. Ends of jobs are sent by their numbers."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _in_rows(ids: Iterable[int]) -> Iterator[str]:
    """Numbers of jobs as they are sent: those in a row, as of jobs that went in together, by two of them."""
    row: list[int] = []
    for id_ in sorted(ids):
        if row and id_ == row[-1] + 1:
            row[1:] = [id_]
            continue
        if row:
            yield f"@{row[0]}-{row[-1]}"
        row = [id_]
    if row:
        yield f"@{row[0]}-{row[-1]}"


def _messages(me: str, words: Iterable[str]) -> Iterator[str]:
    found = [me]
    for word in words:
        if len(found[-1]) + len(word) >= _LONGEST:
            found.append(me)
        found[-1] += f" {word}"
    yield from found if len(found) <= _MOST else [f"{me} {_ALL}"]
