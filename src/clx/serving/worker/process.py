"""A worker: it starts empty, holds the models it is told to, and does one thing after another.

Models are read by a thread of their own, so that what is served meanwhile goes on. Everything else is asked for by the
controller, warm-ups too, so that all there is to do between two batches is to read from the link.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic_ns

import psutil

from clx.platforms.offspring import give_back_memory
from clx.serving.frames import (
    LARGEST_FRAME,
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
    Piece,
    Reader,
    Unload,
    Wanted,
    Warm,
    frame,
    specs,
    tensors,
)
from clx.serving.worker.files import Files
from clx.serving.worker.models import Model, ModelError, opened, prepare

_READ = 256 << 10
LARGEST_OUTPUTS = LARGEST_FRAME - (1 << 20)
"""Bytes of all outputs of a batch: there is room for a head besides."""
LONGEST_TEXT = 2000
"""Characters of what is told of a failure."""
MOMENT = 2_000_000
"""Nanoseconds after which no more warm-ups are begun until the controller asks again: somebody may be waiting."""


class Worker:
    """A worker at a socket; it ends when the other end does.

    Args:
        link: the socket.
        files: where it finds models.
        modules: of which it may have models that are code.
    """

    def __init__(self, link: socket.socket, files: Files, modules: Sequence[str] = ()) -> None:
        self._link = link
        self._files = files
        self._modules = modules
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._models: dict[str, Model] = {}
        self._loads: queue.SimpleQueue[Load | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._reader = Reader()

    def run(self) -> None:
        """Serve until the other end is gone."""
        threading.Thread(target=self._load_all, daemon=True, name="clx-models").start()
        with suppress(ConnectionError, FrameError):  # nobody is there to be told
            self._send(Hello(VERSION, os.getpid(), ""))
            room = memoryview(bytearray(_READ))  # used again and again: what a frame has in it is done with before
            while size := self._link.recv_into(room):
                for message, rest in self._reader.feed(room[:size]):
                    self._heed(message, rest)

    def _send(self, message: Message, parts: Sequence[bytes | memoryview] = ()) -> None:
        with self._sending:
            self._link.sendall(b"".join(frame(message, parts)))

    def _heed(self, message: Message, rest: memoryview) -> None:
        if isinstance(message, Infer):
            self._infer(message, rest)
        elif isinstance(message, Warm):
            self._warm(message)
        elif isinstance(message, Load):
            self._loads.put(message)
        elif isinstance(message, Piece):
            self._pieces.put(bytes(rest))
        elif isinstance(message, Unload):
            self._models.pop(message.model, None)
            self._loads.put(None)

    def _infer(self, asked: Infer, rest: memoryview) -> None:
        model = self._models.get(asked.model)
        if model is None:
            self._send(Failed(asked.batch, f"model {asked.model} is not held here"))
            return
        began = monotonic_ns()
        try:
            found = model.run(tensors(asked.inputs, rest))
            took = monotonic_ns() - began
        except Exception as error:  # whatever a model does wrong costs its batch, and nothing else
            self._send(Failed(asked.batch, _said(error)))
            return
        size = sum(len(each.data) for each in found)
        if size > LARGEST_OUTPUTS:
            self._send(Failed(asked.batch, f"its outputs have {size} bytes, more than {LARGEST_OUTPUTS}"))
            return
        self._send(Done(asked.batch, took, specs(found)), [each.data for each in found])

    def _warm(self, asked: Warm) -> None:
        model = self._models.get(asked.model)
        runs: list[int] = []
        try:
            sample = model.sample(asked.size) if model is not None else []
            until = monotonic_ns() + MOMENT
            while model is not None and len(runs) < asked.times and (not runs or monotonic_ns() < until):
                began = monotonic_ns()
                model.run(sample)
                runs.append(monotonic_ns() - began)
        except Exception as error:  # as above
            self._models.pop(asked.model, None)
            self._send(LoadFailed(asked.model, f"it cannot be run with a batch of {asked.size}: {_said(error)}"))
        else:
            self._send(Measured(asked.model, asked.size, runs))

    def _load_all(self) -> None:
        while True:
            asked = self._loads.get()
            if asked is None:  # something was unloaded
                give_back_memory()
                continue
            with suppress(Exception):  # who opens the model says so
                prepare(asked.options)  # what all models need is not for the first one to pay
            before = _resident()
            model = self._opened(asked)
            if isinstance(model, ModelError):
                told: Message = LoadFailed(asked.model, str(model))
            else:
                self._models[asked.model] = model
                give_back_memory()  # what it needed to be read
                grown = max(0, _resident() - before)
                told = Loaded(asked.model, model.inputs, model.outputs, model.largest, grown)
            with suppress(OSError):  # the other thread sees it, too, and ends
                self._send(told)

    def _opened(self, asked: Load) -> Model | ModelError:
        def fetch(at: int) -> bytes:
            self._send(Wanted(asked.model, at))
            return self._pieces.get()

        try:
            path = "" if "callable" in asked.options else self._files.find(asked, fetch)
            model = opened(path, asked.largest, asked.options, self._modules)
            model.run(model.sample(1))
        except (Exception, SystemExit) as error:  # a model that cannot be read ends nothing but itself
            return ModelError(_said(error))
        return model


def _said(error: BaseException) -> str:
    """What an error says, for a client."""
    text = str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
    return text[:LONGEST_TEXT]


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(psutil.Process().memory_info().rss)
