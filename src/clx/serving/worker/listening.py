"""``clx serve worker``: waits at an address for a controller, and starts a worker for each that may have one.

This process speaks to who is not known yet and holds no model; the worker that it starts inherits the link, and is
ended when the other end is gone, whatever its model does.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from clx.serving.handshake import Unmet, keep_alive, receive
from clx.serving.tasks import Tasks

LOOK = 0.2
"""Seconds between two looks at whether controller and worker are still there."""
GRACE = 1.0
"""Seconds in which a worker whose controller is gone may end by itself."""
MOST_STRANGERS = 16
"""Connections that may be about to say who they are."""
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


class Listener:
    """Waits for controllers.

    Args:
        token: what a controller has to know.
        kept: where files of models are kept that came from a controller.
        below: the directory below which controllers may name files; None: they may name none.
        workers: how many there may be at a time.
        tell: is given a line about who comes and goes.
    """

    def __init__(self, token: bytes, kept: Path, below: Path | None, workers: int, tell: Callable[[str], None]) -> None:
        self._token = token
        self._words = [str(kept), *([] if below is None else [str(below)])]
        self._most = workers
        self._tell = tell
        self._workers = 0
        self._strangers = 0
        self._tasks = Tasks()

    async def run(self, listening: socket.socket) -> None:
        """Wait until SIGTERM or Ctrl-C; then all workers end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        listening.setblocking(False)
        accepting = loop.create_task(self._accept(listening))
        await ended.wait()
        for each in (accepting, *self._tasks):
            each.cancel()
        await asyncio.gather(accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                link, address = await loop.sock_accept(listening)
            except OSError:  # it was gone again, or there are no descriptors left
                await asyncio.sleep(LOOK)
                continue
            if self._strangers >= MOST_STRANGERS:
                link.close()
                continue
            self._tasks.begin(self._serve(link, address[0]))

    async def _serve(self, link: socket.socket, who: str) -> None:
        with link:
            self._strangers += 1
            try:
                keep_alive(link)
                await receive(link, self._token, "another controller has it" if self._workers >= self._most else "")
            except (Unmet, OSError, TimeoutError) as error:
                self._tell(f"{who} is not taken: {str(error) or 'it says nothing'}.")
                return
            finally:
                self._strangers -= 1
            self._workers += 1
            try:
                await self._watch(link, who)
            finally:
                self._workers -= 1

    async def _watch(self, link: socket.socket, who: str) -> None:
        command = [sys.executable, "-P", "-m", "clx.serving.worker", str(link.fileno()), *self._words]
        worker = subprocess.Popen(command, pass_fds=[link.fileno()], stdin=subprocess.DEVNULL)
        self._tell(f"{who} has a worker now.")
        looking = select.poll()
        looking.register(link, _HUNG_UP)
        try:
            while worker.poll() is None and not looking.poll(0):
                await asyncio.sleep(LOOK)
            until = monotonic() + GRACE
            while worker.poll() is None and monotonic() < until:
                await asyncio.sleep(LOOK)
        finally:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)  # a copy that a child of the worker has keeps nobody waiting
            worker.kill()
            worker.wait()
        self._tell(f"{who} has no worker any more.")


def listen(address: tuple[str, int], listener: Listener, ready: Callable[[int], None]) -> None:
    """Wait at an address until SIGTERM or Ctrl-C; *ready* is told the port.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.create_server(address, family=family) as listening:
        ready(listening.getsockname()[1])
        asyncio.run(listener.run(listening))
