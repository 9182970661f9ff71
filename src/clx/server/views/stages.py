"""The stages of a pipeline, laid out from left to right with their steps below each other: the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from clx.db.pipelines.browsing import Step
from clx.server.views.graph import LABEL, MARGIN, WIDTH, Line

HEIGHT = 46
_ACROSS, _DOWN = 60, 14
_TOP = 22
"""Room for the name of a stage."""
_MOST_LINES = 100
"""Lines between two stages; where there would be more, one stands for all."""


class Stage(NamedTuple):
    """Steps that are done side by side; *number* is None for those that come after all."""

    number: int | None
    steps: list[Step]


class Box(NamedTuple):
    """A step: its name, cut to what fits, and how far it is."""

    x: int
    y: int
    label: str
    told: str
    step: Step


class Head(NamedTuple):
    """What stands above a stage."""

    x: int
    text: str


class Staged(NamedTuple):
    """A graph with the size of its drawing."""

    heads: list[Head]
    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int


def staged(stages: Sequence[Stage]) -> Staged:
    """Lay out *stages*; lines lead from the steps of one to those of the next."""
    heads, lines = [], []
    columns: list[list[Box]] = []
    for depth, stage in enumerate(stages):
        x = MARGIN + depth * (WIDTH + _ACROSS)
        heads.append(Head(x, "then" if stage.number is None else f"stage {stage.number}"))
        columns.append([_box(x, row, step) for row, step in enumerate(stage.steps)])
    for left, right in pairwise(columns):
        pairs = [(start, end) for start in left for end in right]
        lines += [_line(*pair) for pair in (pairs if len(pairs) <= _MOST_LINES else pairs[:1])]
    rows = max((len(column) for column in columns), default=0)
    width = 2 * MARGIN + len(columns) * (WIDTH + _ACROSS)
    boxes = [box for column in columns for box in column]
    return Staged(heads, boxes, lines, width, _TOP + 2 * MARGIN + rows * (HEIGHT + _DOWN))


def _box(x: int, row: int, step: Step) -> Box:
    label = step.name if len(step.name) <= LABEL else f"{step.name[: LABEL - 1]}…"
    done = sum(step.counts.get(status, 0) for status in ("success", "failure", "cancelled"))
    told = f"{step.status} {done}/{step.works}" if step.works else step.status
    return Box(x, _TOP + MARGIN + row * (HEIGHT + _DOWN), label, told, step)


def _line(start: Box, end: Box) -> Line:
    x, y, to_y = start.x + WIDTH, start.y + HEIGHT // 2, end.y + HEIGHT // 2
    middle = (x + end.x) // 2
    return Line(f"M{x} {y}C{middle} {y} {middle} {to_y} {end.x} {to_y}", end.step.status)
