"""``/metrics``: what Prometheus asks for, in its text form."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from clx import __version__
from clx.db.jobs import Queue
from clx.db.summary import waiting
from clx.db.workers import WorkerTable
from clx.exposition import MEDIA, family, histogram
from clx.server.threads import DatabaseThreads

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the buckets of durations."""
_LEAST_AGE = 5.0
"""Seconds for which one look at the table answers everybody."""


class Requests:
    """Counts requests and how long they took."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def note(self, method: str, status: int, seconds: float) -> None:
        """One request; *status* 0 for one whose caller went before there was an answer."""
        known = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} else "other"
        self._counts[known, status] += 1
        self._buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def lines(self) -> Iterator[str]:
        """What is told of them."""
        counts = [
            ({"method": method, "status": str(status)}, count) for (method, status), count in self._counts.items()
        ]
        yield from family("clx_http_requests_total", "counter", "Requests that were answered.", counts)
        name, none = "clx_http_request_duration_seconds", dict[str, str]()
        yield from histogram(name, "How long requests took.", _BOUNDS, [(none, self._buckets, self._seconds)])


class Metrics:
    """The metrics of a table and of its server.

    Args:
        queue: the jobs.
        threads: what asks the table.
        requests: those that this server answered.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads, requests: Requests) -> None:
        self._queue = queue
        self._threads = threads
        self._requests = requests
        self._table: list[str] = []
        self._read_at = -1e9

    async def answer(self, _request: Request) -> Response:
        """One request."""
        if time.monotonic() - self._read_at > _LEAST_AGE:
            self._table = await self._threads.read(partial(list, self._lines()))
            self._read_at = time.monotonic()
        return Response("\n".join((*self._table, *self._requests.lines(), "")), media_type=MEDIA)

    def _lines(self) -> Iterator[str]:
        yield from family("clx_info", "gauge", "Which CLX this is.", [({"version": __version__}, 1)])
        queue, now = self._queue, self._queue.database.clock.now()
        stats = queue.stats()
        jobs = [({"type": type_, "state": state}, count) for type_ in stats for state, count in stats[type_].items()]
        yield from family("clx_jobs", "gauge", "Jobs in the table.", jobs)
        of = [({"type": each.type, "pool": each.pool}, each) for each in waiting(queue.database)]
        yield from family(
            "clx_jobs_claimable",
            "gauge",
            "Queued jobs that may be claimed now.",
            ((key, each.count) for key, each in of),
        )
        yield from family(
            "clx_jobs_delayed",
            "gauge",
            "Queued jobs whose time has not come.",
            ((key, each.delayed) for key, each in of),
        )
        oldest = ((key, max(0, now - each.since) / 1000) for key, each in of)
        yield from family(
            "clx_oldest_queued_seconds", "gauge", "For how long the oldest queued job has been there.", oldest
        )
        means = ((type_, queue.mean_seconds(type_)) for type_ in stats)
        told = [({"type": type_}, mean) for type_, mean in means if mean is not None]
        yield from family("clx_run_seconds_mean", "gauge", "Mean duration of the last 200 runs that succeeded.", told)
        workers = WorkerTable(queue.database).list()
        states = Counter((row.type, row.state) for row in workers)
        counts = [({"type": type_, "state": state}, count) for (type_, state), count in states.items()]
        yield from family("clx_workers", "gauge", "Workers that live.", counts)
