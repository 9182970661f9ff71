"""Simulated workers: they take the time that runs of a model took elsewhere, and compute nothing.

All of them are threads of one process, which mostly sleep: the controller meets as many workers and models as it is
to, by the very frames that real ones speak, and what it does with them is what it would do with those.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from time import sleep

from clx.serving.frames import Load, Measured, Spec, Warm
from clx.serving.tensors import Tensor
from clx.serving.worker.files import Files
from clx.serving.worker.models import ModelError
from clx.serving.worker.process import Worker

Times = Mapping[int, Sequence[int]]
"""Nanoseconds that runs of a model took, in their order, by the rows of the batch."""


class TimesError(ValueError):
    """A file says nothing of how long runs took."""


def times_of(path: Path) -> dict[str, dict[int, list[int]]]:
    """What `clx serve export actions` has written of successful runs: how long they took, by model.

    Raises:
        OSError: it cannot be read.
        TimesError: it is none of those, or tells of no run.
    """
    heads, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    names, found = heads.split("\t"), dict[str, dict[int, list[int]]]()
    try:
        kind, outcome, model, rows, took = map(names.index, ("kind", "outcome", "model", "rows", "took_ns"))
        for line in lines:
            said = line.split("\t")
            if (said[kind], said[outcome]) == ("infer", "success") and min(int(said[rows]), int(said[took])) > 0:
                found.setdefault(said[model], {}).setdefault(int(said[rows]), []).append(int(said[took]))
    except (ValueError, IndexError):
        raise TimesError("it is not what `clx serve export actions` writes") from None
    if not found:
        raise TimesError("it tells of no run of a model")
    return found


class SimulatedModel:
    """A model that takes its time: ``x`` of any size, ``y`` with a zero for each row.

    Args:
        times: of its runs; they are taken again from the first one on when all have been.
    """

    def __init__(self, times: Times) -> None:
        self.largest = max(times)
        self.inputs = [Spec("x", "FP32", (-1, -1))]
        self.outputs = [Spec("y", "FP32", (-1, 1))]
        self._next = {rows: cycle(each) for rows, each in times.items()}

    def took(self, rows: int) -> int:
        """Nanoseconds that the next run takes; a size of which there was none is as the next larger one."""
        return next(self._next[min((each for each in self._next if each >= rows), default=self.largest)])

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Take the time of a run."""
        rows = tensors[0].shape[0]
        sleep(self.took(rows) / 1e9)
        return [Tensor("y", "FP32", (rows, 1), bytes(4 * rows))]

    def sample(self, rows: int) -> list[Tensor]:
        """An input."""
        return [Tensor("x", "FP32", (rows, 1), bytes(4 * rows))]


class SimulatedWorker(Worker):
    """A worker whose models are simulated.

    Args:
        link: the socket.
        times: of which models it knows how long they take; ``digits-7`` takes as long as ``digits``.
    """

    def __init__(self, link: socket.socket, times: Mapping[str, Times]) -> None:
        super().__init__(link, Files())
        self._times = times

    def _prepare(self, _asked: Load) -> None:
        """There is nothing that all models need."""

    def _opened(self, asked: Load) -> SimulatedModel | ModelError:
        name = asked.model.partition("/")[0]
        times = self._times.get(name) or self._times.get(name.rpartition("-")[0])
        return ModelError(f"nothing says how long {name} takes") if times is None else SimulatedModel(times)

    def _warm(self, asked: Warm) -> None:
        """Say what runs took, without taking that time: else a fleet would be about it for hours."""
        model = self._models.get(asked.model)
        runs = [model.took(asked.size) for _ in range(asked.times)] if isinstance(model, SimulatedModel) else []
        self._send(Measured(asked.model, asked.size, runs))


def simulate(links: Sequence[socket.socket], path: Path) -> None:
    """Be a simulated worker at each of these sockets, until their other ends are gone."""
    times = times_of(path)
    workers = [threading.Thread(target=SimulatedWorker(each, times).run) for each in links]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
