"""Models that `clx serve` serves: how they stand, what becomes of their requests; one with versions and logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clx.db.serving.figures import BIN, Figures, FiguresTable, Watched
from clx.db.serving.table import ServingTable
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View
from clx.settings.problems import shortened

PAGE = 30
BARS = 30
"""Bars of five minutes: 10 s each."""
_PER_BAR = 2
_MINUTE = 60_000 // BIN
_ROWS = 20
"""Requests, and actions, of a model that its page shows."""


class Bar(NamedTuple):
    """How many requests of a part of the last five minutes had a result, and had none."""

    results: int
    others: int


class Pace(NamedTuple):
    """What became of requests lately.

    Attributes:
        bars: parts of the last five minutes, oldest first.
        most: requests of the highest one; at least 1.
        results, others: in a second of the last minute.
    """

    bars: Sequence[Bar]
    most: int
    results: float
    others: float


class Line(NamedTuple):
    """A model in the list.

    Attributes:
        state: how it stands; ``kept`` while nothing is served.
        held: the workers that hold it: number, address on another machine, bytes.
        kept_rate: percent of accepted requests that had a result in time; None: none was accepted.
        causes: of answers without a result → how many.
        batches: rows, and runs that had so many.
    """

    name: str
    version: str
    residence: str
    state: str
    reason: str
    said: Figures | None
    pace: Pace | None
    held: Sequence[tuple[int, str, int]]
    kept_rate: float | None
    causes: Mapping[str, int]
    batches: Sequence[tuple[int, int]]


def _list(asked: Asked) -> Mapping[str, Any]:
    table, after = FiguresTable(asked.queue.database), asked.text("after")
    found, following = table.page(after, PAGE)
    server = table.server()
    is_alive, now = server is not None and server.is_alive, asked.queue.database.clock.now()
    return {
        "server": server,
        "models": [line_of(each, now, is_alive=is_alive) for each in found],
        "next": None if following is None else asked.with_query(after=following),
        "first": asked.with_query(after=None) if after else None,
    }


def _one(asked: Asked) -> Mapping[str, Any]:
    table, name = FiguresTable(asked.queue.database), asked.path["model"]
    found = table.one(name)
    if found is None:
        raise Refusal(404, f"There is no model {shortened(name)}.", "The list of models has those that are.")
    server = table.server()
    is_alive, now = server is not None and server.is_alive, asked.queue.database.clock.now()
    versions = ServingTable(asked.queue.database).versions(name)
    return {
        "model": line_of(found, now, is_alive=is_alive),
        "server": server,
        "versions": versions[::-1],
        "requests": table.requests(name, _ROWS),
        "actions": table.actions(name, _ROWS),
    }


def line_of(watched: Watched, now: int, *, is_alive: bool) -> Line:
    """A model as the page shows it; *now*: milliseconds UTC; *is_alive*: whether its server is."""
    row, said = watched.row, watched.figures
    residence = "" if row is None else row.residence
    version = said.version if said is not None else "" if row is None else row.version
    if said is None or not is_alive:
        state, reason = ("kept", "") if row is None or not is_alive else (row.state, row.reason)
        return Line(watched.name, version, residence, state, reason, said, None, (), None, {}, ())
    detail, weighed = said.detail, said.success + said.missed
    return Line(
        watched.name,
        version,
        residence,
        said.state,
        str(detail.get("reason") or ""),
        said,
        pace_of(_numbers(detail.get("bins"), 3), now),
        [(worker, address, size) for worker, address, size in _held(detail.get("held"))],
        100 * said.success / weighed if weighed else None,
        _counts(detail.get("causes")),
        [(rows, runs) for rows, runs in _numbers(detail.get("batches"), 2)],
    )


def pace_of(bins: Sequence[Sequence[int]], now: int) -> Pace:
    """What became of requests lately; *now*: milliseconds UTC."""
    current = now // BIN
    by_bar: dict[int, Bar] = {}
    for part, results, others in bins:
        before = by_bar.get(part // _PER_BAR, Bar(0, 0))
        by_bar[part // _PER_BAR] = Bar(before.results + results, before.others + others)
    last = current // _PER_BAR
    bars = [by_bar.get(each, Bar(0, 0)) for each in range(last - BARS + 1, last + 1)]
    # whole parts only: a rate that changed with every moment would be another page for all
    lately = [each for each in bins if current - _MINUTE <= each[0] < current]
    seconds = (current - max(current - _MINUTE, bins[0][0])) * BIN / 1000 if bins and bins[0][0] < current else 0
    rates = [sum(each[place] for each in lately) / seconds if seconds else 0.0 for place in (1, 2)]
    return Pace(bars, max(1, *(each.results + each.others for each in bars)), *rates)


def _numbers(told: Any, count: int) -> list[list[int]]:
    """Rows of so many whole numbers; what is none is left out: another program may have written it."""
    rows = told if isinstance(told, list) else []
    return [
        each
        for each in rows
        if isinstance(each, list) and len(each) == count and all(type(number) is int for number in each)
    ]


def _held(told: Any) -> list[tuple[int, str, int]]:
    rows = told if isinstance(told, list) else []
    return [
        (each[0], each[1], each[2])
        for each in rows
        if isinstance(each, list) and list(map(type, each)) == [int, str, int]
    ]


def _counts(told: Any) -> dict[str, int]:
    return {name: count for name, count in told.items() if type(count) is int} if isinstance(told, dict) else {}


MODELS = Section(
    "Models",
    "/models",
    "m",
    [View("/models", "models.html", _list), View("/models/{model}", "model.html", _one)],
)
