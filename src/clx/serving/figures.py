"""What can be said of models while they are served: rates, percentiles, batches, memory; for the page and Prometheus.

A request costs counters and one append (:class:`clx.serving.served.Statistics`); all else is done when somebody looks:
the server itself once a second, and whoever reads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import ceil
from typing import Any

from clx.db.serving.figures import BIN, Figures
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.served import Served, Statistics

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the buckets of durations."""
LATEST = 60_000
"""Milliseconds before the last result, from which on results make percentiles."""
MOST = 4_096
"""Results of which percentiles are made, about: the last ones."""
BINS = 60
"""Numbers of :data:`~clx.db.serving.figures.BIN` that are kept: five minutes."""
QUANTILES = (0.5, 0.99, 0.999)
_LATE = frozenset({"missed"})
_FAILED = frozenset({"failed"})


@dataclass(slots=True)
class Recent:
    """What is remembered of a model's requests.

    Attributes:
        numbers: of the model; another object once it is another model.
        buckets: results in each of :data:`BOUNDS`, and above.
        bins: ``[n, results, others]`` of the *n* th part of time, oldest first.
    """

    numbers: Statistics
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    bins: deque[list[int]] = field(default_factory=lambda: deque(maxlen=BINS))
    results: int = 0
    others: int = 0
    told: tuple[Any, ...] = ()
    _latest: deque[tuple[int, list[int]]] = field(default_factory=deque)
    _count: int = 0

    def look(self, now: int) -> None:
        """Take in what has come since the last look; *now*: milliseconds UTC."""
        numbers = self.numbers
        results, others = numbers.success.count, sum(numbers.causes.values())
        if (results, others) == (self.results, self.others):
            return
        part = now // BIN
        if not self.bins or self.bins[-1][0] != part:
            self.bins.append([part, 0, 0])
        self.bins[-1][1] += results - self.results
        self.bins[-1][2] += others - self.others
        self.results, self.others = results, others
        if numbers.latest:
            took, numbers.latest = sorted(numbers.latest), []
            self._keep(now, took)

    def _keep(self, now: int, took: list[int]) -> None:
        before = 0
        for place, bound in enumerate(BOUNDS):
            below = bisect_right(took, bound * 1e9)
            self.buckets[place] += below - before
            before = below
        self.buckets[-1] += len(took) - before
        self._latest.append((now, took))
        self._count += len(took)
        while len(self._latest) > 1 and (self._latest[0][0] < now - LATEST or self._count > MOST):
            self._count -= len(self._latest.popleft()[1])

    def percentiles(self) -> list[int]:
        """Nanoseconds that the parts :data:`QUANTILES` of the last results took at most; zeros where there are none."""
        took = sorted(chain.from_iterable(each for _, each in self._latest))  # runs that are sorted: merged in one pass
        return [took[ceil(part * len(took)) - 1] if took else 0 for part in QUANTILES]

    def outcomes(self) -> tuple[int, int, int, int]:
        """How many requests had a result, were refused, were late, and failed."""
        causes = self.numbers.causes
        late, failed = sum(causes.get(each, 0) for each in _LATE), sum(causes.get(each, 0) for each in _FAILED)
        return self.results, self.others - late - failed, late, failed


class Watch:
    """Looks at what a controller serves.

    Args:
        controller: what runs models.
        catalogue: which are served.
    """

    def __init__(self, controller: Controller, catalogue: Catalogue) -> None:
        self._controller = controller
        self._catalogue = catalogue
        self._recent: dict[tuple[str, str], Recent] = {}
        self._told: set[tuple[str, str]] = set()

    def models(self, now: int) -> Iterator[tuple[Served, Recent]]:
        """Every model that is known, with what has become of its requests until *now* (milliseconds UTC)."""
        for model in list(self._catalogue):
            yield model, self.of(model, now)

    def of(self, model: Served, now: int) -> Recent:
        """What has become of a model's requests until *now*."""
        key = (model.name, model.version)
        recent = self._recent.get(key)
        if recent is None or recent.numbers is not model.numbers:
            recent = self._recent[key] = Recent(model.numbers)
        recent.look(now)
        return recent

    def held(self, model: Served) -> list[tuple[int, str, int]]:
        """The workers that hold a model: number, address on another machine, bytes that they have grown by."""
        links = self._controller.links
        return [
            (each, links[each].address, links[each].grown.get(model.key, 0) or model.memory)
            for each in sorted(self._controller.scheduler.holders(model.key))
            if each in links
        ]

    def news(self, server: int, now: int) -> tuple[list[Figures], list[tuple[str, str]]]:
        """What is to be written down: of which models there is something new, and which are there no more.

        Args:
            server: the number of its start.
            now: milliseconds UTC.
        """
        told, known = [], set()
        for model, recent in self.models(now):
            known.add((model.name, model.version))
            held = self.held(model) if model.state == "ready" else []
            state = (model.state, recent.results, recent.others, model.numbers.withdrawn, *held)
            if state != recent.told:
                recent.told = state
                told.append(_figures(model, recent, held, server, now))
        gone = [each for each in self._told if each not in known]
        self._told = known
        if len(self._recent) > len(known):
            self._recent = {key: recent for key, recent in self._recent.items() if key in known}
        return told, gone

    def tell_again(self, gone: Sequence[tuple[str, str]]) -> None:
        """What :meth:`news` gave last could not be written down."""
        self._told.update(gone)
        for recent in self._recent.values():
            recent.told = ()

    def workers(self) -> list[dict[str, Any]]:
        """Every worker: its number, its address on another machine, its process and what that holds; 0: not known."""
        return [
            {"worker": each, "address": link.address, "pid": link.pid, "bytes": 0 if link.address else _bytes(link.pid)}
            for each, link in sorted(self._controller.links.items())
        ]

    def queued(self) -> dict[int, int]:
        """How many requests wait for each worker."""
        scheduler = self._controller.scheduler
        return {each: scheduler.waiting(each) for each in sorted(self._controller.links)}


def _figures(model: Served, recent: Recent, held: Sequence[tuple[int, str, int]], server: int, now: int) -> Figures:
    success, refused, missed, failed = recent.outcomes()
    detail = {
        "causes": dict(recent.numbers.causes),
        "held": [list(each) for each in held],
        "bins": [list(each) for each in recent.bins],
        "batches": [[rows, runs.count] for rows, runs in sorted(recent.numbers.batches.items())],
        "reason": model.reason[:500],
    }
    p50, p99, p999 = recent.percentiles()
    return Figures(
        model.name, model.version, server, now, model.state, success, refused, missed, failed,
        recent.numbers.withdrawn, max((each[2] for each in held), default=0), p50, p99, p999, detail,
    )  # fmt: skip


def _bytes(pid: int) -> int:
    """Bytes of a process that are in memory; 0: it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid > 0 else 0
    except psutil.Error:
        return 0
