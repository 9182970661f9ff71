"""A model that a client has sent is tried in a process of its own, before a worker that serves others reads it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil

from clx.serving.budget import load_estimate
from clx.serving.failures import Refusal
from clx.serving.frames import FrameError, Load, Loaded, LoadFailed, Measured, Message, Reader, Warm, frame
from clx.serving.served import Served

PATIENCE = 30.0
"""Seconds that it may take to read a model and run it once, beside what its size suggests."""
LOOK = 0.1
"""Seconds between two looks at its memory."""
GONE = 0.5
"""Seconds that it has from the end of its link to its own."""
SHARE = 2
"""The part of the memory that is free, one of so many, that it may take."""


async def tried(model: Served) -> None:
    """See that a model can be read and run with zeros.

    Raises:
        Refusal: it cannot, takes too long or too much memory, or ends the process that does.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-P", "-m", "clx.serving.worker", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    reader, writer = await asyncio.open_connection(sock=ours)
    watching = asyncio.ensure_future(_watched(process))
    talking = asyncio.ensure_future(_talk(model, reader, writer))
    try:
        patience = PATIENCE + load_estimate(0, model.size) / 1e9
        done, _ = await asyncio.wait((talking, watching), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise Refusal("malformed", f"model {model.name} takes more than {patience:.0f} s to be read and run once")
        if watching in done:
            raise Refusal("malformed", f"model {model.name} takes more memory than there is: {watching.result()} MiB")
        told = talking.result()
        if told is None:  # its end of the link is closed just before its own
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GONE)
    finally:
        for each in (watching, talking):
            each.cancel()
        writer.transport.abort()
        process.kill()
        process.wait()
    if told is None:
        raise Refusal("malformed", f"model {model.name} ends the process that reads it: {_how(process.returncode)}")
    if told:
        raise Refusal("malformed", f"model {model.name} cannot be loaded: {told}")


async def _talk(model: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    """What is wrong with a model, as the worker says; empty: nothing; None: it is gone."""
    with contextlib.suppress(OSError, FrameError):
        writer.writelines(frame(Load(model.key, model.path, model.largest)))
        async for message in _messages(reader):
            if isinstance(message, LoadFailed):
                return message.text
            if isinstance(message, Loaded):
                writer.writelines(frame(Warm(model.key, 1, 1)))
            elif isinstance(message, Measured):
                return ""
    return None


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    frames = Reader()
    while data := await reader.read(1 << 16):
        for message, _ in frames.feed(data):
            yield message


async def _watched(process: subprocess.Popen[bytes]) -> int:
    """MiB that a process has, once that is too much."""
    most = psutil.virtual_memory().available // SHARE
    resident = 0
    while resident <= most:
        await asyncio.sleep(LOOK)
        with contextlib.suppress(psutil.Error):  # it is gone
            resident = psutil.Process(process.pid).memory_info().rss
    return resident >> 20


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
