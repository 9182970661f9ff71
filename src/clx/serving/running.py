"""A server of models as a process: its workers, its address, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import count
from time import monotonic
from typing import NamedTuple

import psutil

from clx.db.identity import process_identity
from clx.db.tokens import TokenTable
from clx.serving.api import Api
from clx.serving.budget import Budget
from clx.serving.callers import LOOPBACK
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.following import Following
from clx.serving.growth import Growth
from clx.serving.guarding import Guarded
from clx.serving.http import Connection, Connections
from clx.serving.phases import Phase, Phases
from clx.serving.remote import Address, reach
from clx.serving.roster import Roster
from clx.serving.shelf import TableShelf
from clx.serving.tasks import Tasks
from clx.serving.telemetry import Telemetry
from clx.serving.telling import Telling
from clx.serving.tokens import Book

LOOK = 1.0
"""Seconds between two looks at connections and workers."""
DRAIN = 5.0
"""Seconds in which what was accepted is still answered at the end."""
HANDSHAKE = 10.0
"""Seconds that a client has for that of TLS."""
WATCH = 0.2
"""Seconds between two looks for workers that hang."""
GONE = 0.1
"""Seconds that a worker has from the end of its link to its own."""
REST = (0.0, 0.5, 2.0, 5.0, 15.0)
"""Seconds before the next start of a worker that keeps dying."""


class Access(NamedTuple):
    """Who reaches a server, and how.

    Attributes:
        tokens: of whose bearers requests are taken; None: everybody's are.
        tls: what it speaks TLS with; None: it does not.
    """

    tokens: TokenTable | None = None
    tls: ssl.SSLContext | None = None


_OPEN = Access()


class Server:
    """Serves models at an address.

    Args:
        shelf: where models lie.
        workers: how many processes of this machine hold them.
        remote: where workers of other machines wait.
        token: what those know.
        modules: of which workers of this machine may have models that are code.
        tell: is given a line about who comes and goes of them.
        phases: whether models are loaded first, and requests taken then.
        memory: bytes that models may take in each worker; 0: any number.
        path: directories in which workers look for those modules last.
        access: who may ask.
        hang: seconds that a model may take while somebody waits for it.
        growth: bytes that a worker of this machine may grow by beyond what its models took.
        heartbeat: seconds between two signs of life of workers in the table.
    """

    def __init__(
        self,
        shelf: TableShelf,
        workers: int = 1,
        remote: Sequence[Address] = (),
        token: bytes = b"",
        modules: Sequence[str] = (),
        tell: Callable[[str], None] = lambda _line: None,
        *,
        phases: bool = False,
        memory: int = 0,
        path: Sequence[str] = (),
        access: Access = _OPEN,
        hang: float = 30.0,
        growth: int = 1 << 30,
        heartbeat: float = 5.0,
    ) -> None:
        self._controller = Guarded(self._lost, self._fate, int(hang * 1e9), tell, self._holds)
        self._catalogue = Catalogue(self._controller, Budget(memory))
        self._shelf = shelf
        self._roster = Roster(shelf, heartbeat)
        self._access = access
        self._book = None if access.tokens is None else Book()
        self._open = Connections(LOOPBACK if self._book is None else None, book=self._book)
        self._api = Api(self._controller, self._catalogue, shelf, statuses=self._open.statuses)
        self._modules = modules
        self._path = path
        self._has_phases = phases
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._deaths: dict[int, list[float]] = {}
        self._growth: defaultdict[int, Growth] = defaultdict(lambda: Growth(growth))
        self._ran: dict[str, int] = {}  # how often each model had run at the last look
        self._retired: set[int] = set()
        self._numbers = count(workers + len(remote))
        self._count = workers
        self._remote = {workers + place: address for place, address in enumerate(remote)}
        self._token = token
        self._tell = tell
        self._tasks = Tasks()
        self._ended = asyncio.Event()

    @property
    def controller(self) -> Controller:
        """What decides."""
        return self._controller

    async def run(self, host: str, port: int, ready: Callable[[int], None]) -> None:
        """Serve until :meth:`stop` is called.

        Args:
            host: the address.
            port: 0: one that is free.
            ready: is called with the port when the address answers.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        await self._read_tokens()
        tls, patience = self._access.tls, None if self._access.tls is None else HANDSHAKE
        listening = await loop.create_server(
            self._connection, host, port, backlog=1024, ssl=tls, ssl_handshake_timeout=patience
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for executor in range(self._count):
            await self._start(executor)
        following = loop.create_task(Following(self._shelf, self._catalogue).run())
        for executor in self._remote:
            self._tasks.begin(self._join(executor))
        at = listening.sockets[0].getsockname()[1]
        await self._resume_phase()
        begun = await self._shelf.ask(lambda: self._begin(f"{host}:{at}"))
        self._controller.log = Telemetry(self._shelf.table, begun)
        telling = Telling(self._shelf, self._api.watch, begun)
        await self._roster.begin()
        ready(at)
        self._enroll()
        looking = loop.create_task(self._look(telling))
        watching = loop.create_task(self._watch())
        await self._ended.wait()
        looking.cancel()
        watching.cancel()
        following.cancel()
        await self._end(listening)
        await telling.tell()
        await self._roster.follow((), "its server has ended")
        if self._controller.log is not None:
            await asyncio.to_thread(self._controller.log.close)

    async def _read_tokens(self) -> None:
        """Have the tokens as the table has them, and note which were used; while it is locked those known hold."""
        book, table = self._book, self._access.tokens
        if book is None or table is None:
            return
        used = list(book.used.values())
        book.used.clear()
        with contextlib.suppress(Refusal):
            book.take(await self._shelf.ask(table.valid))
            for each in used:
                await self._shelf.ask(partial(table.note_use, each))

    async def _resume_phase(self) -> None:
        """Be in the phase that the server before was in, if that was the last one."""
        table = self._shelf.table

        def told(phase: Phase) -> None:
            self._tell(f"Phase: {phase}.")
            self._tasks.begin(self._shelf.ask(lambda: table.set("phase", phase)))

        before = await self._shelf.ask(lambda: table.setting("phase"))
        if self._has_phases:
            self._api.phases = Phases(told, "infer" if before == "infer" else "wait")
        elif before:
            await self._shelf.ask(lambda: table.set("phase", ""))

    def _begin(self, address: str) -> int:
        """Say in the table who serves; returns the number of this start."""
        me = {"address": address, "host": socket.gethostname(), "pid": os.getpid(), "identity": process_identity()}
        return self._shelf.table.begin(json.dumps(me))

    def stop(self) -> None:
        """Answer what was accepted, and end."""
        self._ended.set()

    def _connection(self) -> Connection:
        return Connection(self._api.handle, self._open)

    async def _load_all(self, executor: int) -> None:
        """Have a worker that is new hold what others do."""
        wanted = [each for each in self._controller.models.values() if each.state in ("ready", "loading")]
        told = [self._controller.load_at(executor, each) for each in wanted]
        await asyncio.gather(*told, return_exceptions=True)

    # -- workers --------------------------------------------------------------------------------------

    async def _start(self, executor: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [
                sys.executable,
                "-P",
                "-m",
                "clx.serving.worker",
                str(theirs.fileno()),
                *(f"--module={each}" for each in self._modules),
                *(f"--path={each}" for each in self._path),
            ]
            started = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._workers[executor] = started
        await asyncio.get_running_loop().create_connection(lambda: self._controller.link(executor), sock=ours)

    def _lost(self, executor: int) -> None:
        started = self._workers.pop(executor, None)
        if started is not None:
            started.kill()
            started.wait()
        self._growth.pop(executor, None)
        if self._ended.is_set() or executor in self._retired:
            return
        if executor in self._remote:
            self._tell(f"Worker {self._remote[executor]} is lost; what it was doing is done elsewhere or answered.")
            self._tasks.begin(self._join(executor))
        else:
            self._tasks.begin(self._replace(executor))

    async def _join(self, executor: int) -> None:
        """Have a worker of another machine as soon as it is there."""
        address = self._remote[executor]
        link, met = await reach(address, self._token, self._tell)
        controller = self._controller
        await asyncio.get_running_loop().create_connection(lambda: controller.link(executor, str(address)), sock=link)
        self._tell(
            f"Worker {address} is there: CLX {met.release}, its clock {met.ahead / 1e6:+.1f} ms "
            f"(within {met.within / 1e6:.1f})."
        )
        await self._load_all(executor)

    async def _replace(self, executor: int) -> None:
        now = monotonic()
        deaths = [each for each in self._deaths.get(executor, []) if now - each < 60]
        self._deaths[executor] = [*deaths, now]
        await asyncio.sleep(REST[min(len(deaths), len(REST) - 1)])
        if self._ended.is_set():
            return
        await self._start(executor)
        await self._load_all(executor)

    async def _look(self, telling: Telling) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await self._read_tokens()
            telling.look()
            self._enroll()
            self._look_at_memory()
            now = monotonic()
            for each in list(self._open):
                each.look(now)

    def _enroll(self) -> None:
        """Have the workers of this machine in the table."""
        self._roster.look([each.pid for each in self._workers.values()])

    def _look_at_memory(self) -> None:
        """Have workers that have grown too much replaced."""
        now = {each.name: each.numbers.runs for each in self._catalogue}
        ran = [name for name, runs in now.items() if runs != self._ran.get(name, 0)]
        self._ran = now
        for executor, started in self._workers.items():
            if executor in self._controller.links and executor not in self._retired:
                with contextlib.suppress(psutil.Error):  # it is gone, which somebody else sees
                    resident, models = self._memory(executor)
                    if self._growth[executor].look(resident, models, ran):
                        self._retired.add(executor)
                        self._tasks.begin(self._renew(executor, started, resident))

    def _memory(self, executor: int) -> tuple[int, int]:
        """Bytes that a worker of this machine takes, and that its models took when they were loaded."""
        resident = psutil.Process(self._workers[executor].pid).memory_info().rss
        return int(resident), sum(self._controller.links[executor].grown.values())

    def _holds(self, executor: int) -> None:
        """A worker holds one model more: what its growth is measured from, if that is its first."""
        if executor in self._workers:
            with contextlib.suppress(psutil.Error):
                self._growth[executor].begin(*self._memory(executor))

    async def _renew(self, executor: int, started: subprocess.Popen[bytes], resident: int) -> None:
        """Have another worker take the place of one, which ends when the other holds all that it holds."""
        by = self._growth[executor].by()
        who = f", probably by {', '.join(by)}" if by else ""
        self._tell(f"Worker process {started.pid} has grown to {resident >> 20} MiB{who}; another takes its place.")
        new = next(self._numbers)
        await self._start(new)
        await self._load_all(new)
        if new not in self._controller.links:  # it did not get so far: at the next look another is tried
            self._retired.discard(executor)
            return
        self._controller.retire(executor)
        while not self._controller.is_idle(executor):
            await asyncio.sleep(WATCH)
        started.terminate()

    async def _watch(self) -> None:
        """End the workers that hang."""
        while True:
            await asyncio.sleep(WATCH)
            for executor, started in list(self._workers.items()):
                if started.poll() is not None and executor in self._controller.links:
                    self._controller.links[executor].close()  # a child of its model has a copy of the link
            for executor in self._controller.look():
                hung = self._workers.get(executor)
                if hung is not None:
                    hung.kill()
                elif executor in self._controller.links:  # its own machine ends it
                    self._controller.links[executor].close()

    def _fate(self, executor: int) -> str:
        """How a worker of this machine that is gone has ended by itself; empty: somebody else ended it."""
        started = self._workers.get(executor)
        if started is None:
            return ""
        with contextlib.suppress(
            subprocess.TimeoutExpired
        ):  # its end of the link is closed when it ends, or just before
            started.wait(GONE)
        code = started.poll()
        if code is None or code in (-signal.SIGKILL, -signal.SIGTERM):
            return ""
        return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

    async def _end(self, listening: asyncio.AbstractServer) -> None:
        self._api.draining = True
        listening.close()
        for each in list(self._open):
            each.close()
        until = monotonic() + DRAIN
        while self._open and monotonic() < until:
            await asyncio.sleep(0.02)
        self._api.close()
        for started in self._workers.values():
            started.terminate()
        for started in self._workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(5)


def serve(
    shelf: TableShelf, server: Callable[[TableShelf], Server], place: Address, ready: Callable[[int], None]
) -> None:
    """Serve models until SIGTERM or Ctrl-C.

    Raises:
        OSError: the address cannot be had.
    """

    async def run() -> None:
        await server(shelf).run(place.host, place.port, ready)

    try:
        if find_spec("uvloop") is None:
            asyncio.run(run())
        else:
            import uvloop

            uvloop.run(run())
    finally:
        shelf.close()
