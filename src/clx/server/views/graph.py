"""A workflow and what it has called, laid out from left to right: the template draws it as SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from clx.db.browsing import Called
from clx.db.models import Job

WIDTH, HEIGHT = 190, 34
_ACROSS, _DOWN = 60, 12
MARGIN = 8
LABEL = 24
"""Characters of a name that fit into a box."""


class Box(NamedTuple):
    """A job of the graph.

    Attributes:
        label: its name, cut to what fits.
        name: the whole.
        state: of the job; ``kept`` where a kept result answered, ``gone`` where it was removed.
    """

    x: int
    y: int
    label: str
    name: str
    state: str
    job_id: int | None


class Line(NamedTuple):
    """What leads from a caller to what it has called, as the data of an SVG path."""

    path: str
    state: str


class Graph(NamedTuple):
    """A graph with the size of its drawing."""

    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int


def drawn(root: Job, calls: Sequence[Called]) -> Graph:
    """Lay out *root* and what it has called; a job that is called from several places stands in the first."""
    below: dict[int, list[Called]] = defaultdict(list)
    for each in calls:
        below[each.parent_id].append(each)
    boxes, lines = [_box(0, 0, root.type, root.state, root.id)], []
    places = {root.id: 0}
    row = 0
    # depth first, without recursion: a chain of calls may be longer than Python's stack
    stack = [(call, 1, 0) for call in reversed(below[root.id])]
    while stack:
        call, depth, parent = stack.pop()
        known = places.get(call.job_id) if call.job_id is not None else None
        if known is not None:
            lines.append(_line(boxes[parent], boxes[known], boxes[known].state))
            continue
        row += parent != len(boxes) - 1  # the first call stands beside its caller, each further one below all before
        state = call.state or ("kept" if call.job_id is None else "gone")
        boxes.append(_box(depth, row, call.type, state, call.job_id))
        here = len(boxes) - 1
        lines.append(_line(boxes[parent], boxes[here], state))
        if call.job_id is not None:
            places[call.job_id] = here
            stack += [(child, depth + 1, here) for child in reversed(below.get(call.job_id, []))]
    return Graph(
        boxes, lines, max(box.x for box in boxes) + WIDTH + MARGIN, max(box.y for box in boxes) + HEIGHT + MARGIN
    )


def _box(depth: int, row: int, type_: str, state: str, job_id: int | None) -> Box:
    name = type_.partition(":")[2] or type_
    label = name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
    return Box(MARGIN + depth * (WIDTH + _ACROSS), MARGIN + row * (HEIGHT + _DOWN), label, name, state, job_id)


def _line(start: Box, end: Box, state: str) -> Line:
    x, y = start.x + WIDTH, start.y + HEIGHT // 2
    to_x, to_y = end.x, end.y + HEIGHT // 2
    middle = (x + to_x) // 2
    return Line(f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}", state)
