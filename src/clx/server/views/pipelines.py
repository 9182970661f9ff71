"""Pipelines: a list, and one as a graph of its stages, with the cells of its matrices and when each step was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from clx.db.pipelines.browsing import (
    STATUSES,
    Cell,
    Filter,
    Grid,
    Pipeline,
    Step,
    assignments,
    browse,
    cells_of,
    grid,
    one,
)
from clx.server.answers import Refusal
from clx.server.views.sections import Asked, Section, View
from clx.server.views.stages import Stage, staged
from clx.server.views.telling import SYMBOLS

PAGE = 30
_CELLS = 1_000
"""Works of all steps together that a page shows one by one."""
_SIBLINGS = 500
"""Pipelines of one deployment that are shown beside each other."""


class Matrix(NamedTuple):
    """The works of a step: as a grid where its values are known, else one after the other.

    Attributes:
        is_whole: whether all of them are shown.
    """

    grid: Grid | None
    cells: Sequence[Cell]
    is_whole: bool


class Bar(NamedTuple):
    """When a step was done, in thousandths of the time that the pipeline has taken so far."""

    name: str
    status: str
    x: int
    width: int


def _list(asked: Asked) -> Mapping[str, Any]:
    before = asked.text("before") or None
    statuses = tuple(dict.fromkeys(asked.all.get("status", ())))
    which = Filter(asked.text("name"), asked.text("config"), statuses)
    page = browse(asked.queue.database, which, before=before, limit=PAGE)
    return {
        "page": page,
        "which": which,
        "statuses": STATUSES,
        "stages": {each.id: _stages(each) for each in page.pipelines},
        "next": None if page.before is None else asked.with_query(before=page.before),
        "first": None if before is None else asked.with_query(before=None),
        "is_filtered": which != Filter(),
    }


def _stages(pipeline: Pipeline) -> list[Stage]:
    ordered = sorted(pipeline.steps, key=lambda step: (step.stage is None, step.stage or 0))
    return [Stage(stage, list(steps)) for stage, steps in groupby(ordered, key=lambda step: step.stage)]


def _one(asked: Asked) -> Mapping[str, Any]:
    database = asked.queue.database
    pipeline = one(database, asked.path["pipeline"])
    if pipeline is None:
        raise Refusal(
            404, "There is no such pipeline.", "It may have been removed. `clx pipelines list` has those that are."
        )
    siblings = browse(database, Filter(config=pipeline.config_id), limit=_SIBLINGS)
    return {
        "pipeline": pipeline,
        "symbols": SYMBOLS,
        "graph": staged(_stages(pipeline)),
        "matrices": _matrices(asked, pipeline),
        "bars": _bars(asked, pipeline),
        "siblings": _beside(siblings.pipelines),
        "has_more_siblings": siblings.before is not None,
    }


def _matrices(asked: Asked, pipeline: Pipeline) -> dict[int, Matrix]:
    """The works of each step that has several, as far as a page has room."""
    found, room = {}, _CELLS
    for step in pipeline.steps:
        if step.works > 1 and room > 0:
            cells = cells_of(asked.queue.database, step.id, room)
            room -= len(cells)
            values = assignments(step.definition, pipeline.matrix, len(cells))
            found[step.id] = Matrix(grid(values, cells), cells, len(cells) >= step.works)
    return found


def _beside(pipelines: Sequence[Pipeline]) -> Grid | None:
    """The pipelines of one deployment by the values of its matrix."""
    if len(pipelines) < 2:
        return None
    ordered = sorted(pipelines, key=lambda each: each.id)
    return grid([each.matrix for each in ordered], [Cell(each.id, each.status) for each in ordered])


def _bars(asked: Asked, pipeline: Pipeline) -> list[Bar]:
    now = (asked.queue.database.clock.now() // 10_000 + 1) * 10_000  # each move of a bar is another page for all
    ends_at = pipeline.ended_at or max([now, *(step.ended_at or 0 for step in pipeline.steps)])
    whole = max(1, ends_at - pipeline.created_at)
    return [_bar(step, pipeline.created_at, ends_at, whole) for step in pipeline.steps if step.started_at is not None]


def _bar(step: Step, begins: int, ends: int, whole: int) -> Bar:
    started = max(begins, step.started_at or begins)
    ended = max(started, ends if step.ended_at is None else step.ended_at)
    return Bar(step.name, step.status, 1000 * (started - begins) // whole, max(4, 1000 * (ended - started) // whole))


PIPELINES = Section(
    "Pipelines",
    "/pipelines",
    "p",
    [View("/pipelines", "pipelines.html", _list), View("/pipelines/{pipeline}", "pipeline.html", _one)],
)
