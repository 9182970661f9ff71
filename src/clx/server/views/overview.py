"""What runs, what waits, what failed: on one screen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clx.db.browsing import Filter, browse
from clx.db.queries import Paused
from clx.db.summary import live_batches
from clx.db.workers import WorkerRow, WorkerTable
from clx.server.views.board import Pace
from clx.server.views.sections import Asked, Section, View

_FAILURES = 8
MOST_WORKERS = 100


class QueueLine(NamedTuple):
    """What is said of the jobs of one type.

    Attributes:
        counts: by state; None while they are counted for the first time.
        paused: the pools in which nobody claims them.
    """

    type: str
    counts: Mapping[str, int] | None
    pace: Pace | None
    paused: list[str]


class Machine(NamedTuple):
    """A machine and its workers."""

    host: str
    workers: int
    busy: int


def _look(asked: Asked) -> Mapping[str, Any]:
    database = asked.queue.database
    workers = WorkerTable(database).list()
    failures = browse(database, Filter(states=("failed",)), before=None, limit=_FAILURES)
    return {
        "queues": _queues(asked, workers),
        "counted": asked.board.counts() is not None,
        "workers": workers[:MOST_WORKERS],
        "more_workers": max(0, len(workers) - MOST_WORKERS),
        "machines": _machines(workers),
        "batches": live_batches(database)[:20],
        "failures": failures.jobs,
    }


def _queues(asked: Asked, workers: Sequence[WorkerRow]) -> list[QueueLine]:
    counts, paces = asked.board.counts(), asked.board.paces() or {}
    paused: dict[str, list[str]] = defaultdict(list)
    for each in map(Paused._make, asked.queue.paused()):
        paused[each.type].append(each.pool)
    types = {*(counts or ()), *paces, *paused}
    if counts is None:  # until they are counted: what somebody does at least
        types.update(worker.type for worker in workers)
    return [
        QueueLine(type_, None if counts is None else counts.get(type_, {}), paces.get(type_), paused.get(type_, []))
        for type_ in sorted(types)
    ]


def _machines(workers: Sequence[WorkerRow]) -> list[Machine]:
    by_host: dict[str, list[WorkerRow]] = defaultdict(list)
    for worker in workers:
        by_host[worker.host].append(worker)
    return [
        Machine(host, len(there), sum(each.job_id is not None for each in there))
        for host, there in sorted(by_host.items())
    ]


OVERVIEW = Section("Overview", "/", "o", [View("/", "overview.html", _look)])
