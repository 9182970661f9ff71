"""A worker: it starts empty, holds the models it is told to, and runs one batch after another.

Models are read by a thread of their own, so that what is served meanwhile goes on; warm-ups run between batches, one at
a time.
"""

from __future__ import annotations

import os
import queue
import resource
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns

from clx.serving.estimates import WARM_UPS
from clx.serving.frames import (
    VERSION,
    Done,
    Failed,
    FrameError,
    Hello,
    Infer,
    Load,
    Loaded,
    LoadFailed,
    Measured,
    Message,
    Reader,
    Unload,
    frame,
    specs,
    tensors,
)
from clx.serving.worker.models import Model, ModelError, opened

_PAGE = resource.getpagesize()
_READ = 1 << 20


class Worker:
    """A worker at a socket; it ends when the other end does."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._models: dict[str, Model] = {}
        self._loads: queue.SimpleQueue[Load] = queue.SimpleQueue()
        self._loaded: deque[tuple[Load, Model | ModelError, int]] = deque()
        self._bell, self._rope = socket.socketpair()  # a thread that has read a model pulls the rope
        self._warming: deque[tuple[str, Iterator[tuple[int, int]]]] = deque()
        self._reader = Reader()

    def run(self) -> None:
        """Serve until the other end is gone."""
        threading.Thread(target=self._load_all, daemon=True, name="clx-models").start()
        try:
            self._serve()
        except ConnectionError:
            return  # nobody is there to be told

    def _serve(self) -> None:
        self._send(Hello(VERSION, os.getpid(), ""))
        while True:
            waiting: list[socket.socket] = [self._link, self._bell]
            ready, _, _ = select.select(waiting, [], [], 0 if self._warming else None)
            if self._bell in ready:
                self._bell.recv(_READ)
                self._note_loaded()
            if self._link in ready:
                if not self._receive():
                    return
            elif self._warming:
                self._warm()

    # -- the link -------------------------------------------------------------------------------------

    def _receive(self) -> bool:
        data = self._link.recv(_READ)
        if not data:
            return False
        try:
            for message, rest in self._reader.feed(data):
                self._heed(message, rest)
        except FrameError:
            return False
        return True

    def _send(self, message: Message, parts: list[bytes | memoryview] | None = None) -> None:
        self._link.sendall(b"".join(frame(message, parts or ())))

    def _heed(self, message: Message, rest: memoryview) -> None:
        if isinstance(message, Infer):
            self._infer(message, rest)
        elif isinstance(message, Load):
            self._loads.put(message)
        elif isinstance(message, Unload):
            self._models.pop(message.model, None)
            self._warming = deque(each for each in self._warming if each[0] != message.model)

    def _infer(self, asked: Infer, rest: memoryview) -> None:
        model = self._models.get(asked.model)
        if model is None:
            self._send(Failed(asked.batch, f"model {asked.model} is not held here"))
            return
        began = monotonic_ns()
        try:
            found = model.run(tensors(asked.inputs, rest))
        except ModelError as error:
            self._send(Failed(asked.batch, str(error)))
            return
        took = monotonic_ns() - began
        self._send(Done(asked.batch, took, specs(found)), [each.data for each in found])

    # -- models ---------------------------------------------------------------------------------------

    def _load_all(self) -> None:
        while True:
            asked = self._loads.get()
            before = _resident()
            model = _opened(asked)
            self._loaded.append((asked, model, max(0, _resident() - before)))
            self._rope.send(b"\0")

    def _note_loaded(self) -> None:
        while self._loaded:
            asked, model, grown = self._loaded.popleft()
            if isinstance(model, ModelError):
                self._send(LoadFailed(asked.model, str(model)))
                continue
            self._models[asked.model] = model
            self._send(Loaded(asked.model, model.inputs, model.outputs, model.largest, grown))
            self._warming.append((asked.model, _warm_ups(model)))

    def _warm(self) -> None:
        """One more warm-up of the model that is to be warmed up next."""
        name, runs = self._warming[0]
        try:
            found = next(runs, None)
        except ModelError as error:
            self._warming.popleft()
            self._models.pop(name, None)
            self._send(LoadFailed(name, f"it cannot be run: {error}"))
            return
        if found is None:
            self._warming.popleft()
        self._send(Measured(name, [] if found is None else [found], found is None))


def _opened(asked: Load) -> Model | ModelError:
    try:
        model = opened(asked.path, asked.largest, asked.options)
        model.run(model.sample(1))
    except ModelError as error:
        return error
    except Exception as error:  # a model that cannot be read ends nothing but itself
        return ModelError(f"{type(error).__name__}: {error}")
    return model


def _warm_ups(model: Model) -> Iterator[tuple[int, int]]:
    """Runs of each size that a batch may have, until a larger one does not pay any more."""
    size, before = 1, 0
    while size <= model.largest:
        sample = model.sample(size)
        model.run(sample)
        fastest = 0
        for _ in range(WARM_UPS):
            began = monotonic_ns()
            model.run(sample)
            took = monotonic_ns() - began
            fastest = min(fastest or took, took)
            yield size, took
        if before and fastest > 1.9 * before:
            return
        size, before = size * 2, fastest


def _resident() -> int:
    """Bytes of this process that are in memory."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except OSError:  # macOS: the most there has been is the best that is known
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
