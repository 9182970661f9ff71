"""A pipeline file as a drawing: its stages from left to right, the steps of each one above the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise, product
from typing import NamedTuple

from clx.errors import UsageError
from clx.expressions.language import Scope
from clx.expressions.matrix import axes_of, combinations, size_of
from clx.pipelines.definition import Config, Step
from clx.visible import visible_line

_WIDE, _HIGH, _GAP, _APART = 220, 52, 18, 70
_LETTERS = 26
_LOOK = (
    "text{font:14px system-ui,sans-serif;fill:#1b1f24}.small{font-size:11px;fill:#57606a}"
    "rect{fill:#fff;stroke:#57606a}.if rect{stroke-dasharray:5 3}path{fill:none;stroke:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}rect{fill:#161b22;stroke:#9198a1}}"
)


class Box(NamedTuple):
    """A step as it is drawn.

    Attributes:
        works: how many works it has in one pipeline; None: only its stage will tell.
    """

    step: Step
    works: int | None

    runs_on: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What stands below its name."""
        return ", ".join(_facts(self))


def columns(config: Config) -> list[tuple[str, list[Box]]]:
    """Stages in their order: how each is called, and its steps."""
    found = []
    for stage, steps in config.stages():
        name = "after all stages" if stage is None else f"stage {stage}"
        found.append((name, [Box(each, works_of(config, each), each.runs_on or config.runs_on) for each in steps]))
    return found


def works_of(config: Config, step: Step) -> int | None:
    """How many works a step has in the first of the pipelines; None: what runs before it decides."""
    try:
        return size_of(axes_of(step.axes, Scope(next(combinations(axes_of(config.axes, Scope())), {}))))
    except UsageError:
        return None


def works_in(config: Config) -> tuple[int, list[str]]:
    """How many works all pipelines come to before anything has run, and the steps whose number earlier ones decide."""
    known, later = 0, []
    assigned = config.assignments()
    for step in config.steps:
        try:
            known += sum(size_of(axes_of(step.axes, Scope(values))) for values in assigned)
        except UsageError:
            later.append(step.name)
    return known, later


def text(config: Config) -> str:
    """Lines for people."""
    count = len(config.assignments())
    lines = [visible_line(f"{config.name}: {count} pipeline{'' if count == 1 else 's'}")]
    for name, boxes in columns(config):
        wide = min(40, max(len(visible_line(box.step.name)) for box in boxes))
        lines += [name, *(f"  {visible_line(box.step.name):{wide}}  {box.told}" for box in boxes)]
    return "\n".join(lines)


def dot(config: Config) -> str:
    """For Graphviz."""

    def quoted(told: str) -> str:
        return '"' + visible_line(told).replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["digraph pipeline {", "  rankdir=LR; node [shape=box];", f"  label={quoted(config.name)};"]
    names = _names(config)
    for index, (name, boxes) in enumerate(columns(config)):
        lines.append(f"  subgraph cluster_{index} {{ label={quoted(name)};")
        for box in boxes:
            label = f"{quoted(box.step.name)[:-1]}\\n{quoted(box.told)[1:]}"
            dashed = " style=dashed" if box.step.condition else ""
            lines.append(f"    {names[id(box.step)]} [label={label}{dashed}];")
        lines.append("  }")
    edges = list(_edges(config))
    lines += (f"  {point} [shape=point];" for point in _points(edges))
    lines += (f"  {one} -> {other};" for one, other in edges)
    return "\n".join([*lines, "}"])


def mermaid(config: Config) -> str:
    """For Mermaid, as in Markdown."""

    def label(told: str) -> str:
        plain = visible_line(told).replace("#", "#35;").replace("&", "#amp;").replace('"', "#quot;")
        return plain.replace("<", "#lt;").replace(">", "#gt;")

    lines = ["flowchart LR"]
    names = _names(config)
    for index, (name, boxes) in enumerate(columns(config)):
        lines.append(f'  subgraph c{index}["{label(name)}"]')
        lines += (f'    {names[id(box.step)]}["{label(box.step.name)}<br>{label(box.told)}"]' for box in boxes)
        lines.append("  end")
    edges = list(_edges(config))
    lines += (f"  {point}(( ))" for point in _points(edges))
    lines += (f"  {one} --> {other}" for one, other in edges)
    return "\n".join(lines)


def svg(config: Config) -> str:
    """A picture for browsers, by itself or within a page."""
    found = columns(config)
    tall = max((len(boxes) for _, boxes in found), default=0)
    wide = len(found) * (_WIDE + _APART) - _APART + 40 if found else 40
    high = tall * (_HIGH + _GAP) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"',
        ' role="img">',
        f"<title>{_xml(config.name)}</title><style>{_LOOK}</style>",
    ]
    for index, (name, boxes) in enumerate(found):
        left = 20 + index * (_WIDE + _APART)
        parts.append(f'<text class="small" x="{left}" y="30">{_xml(name)}</text>')
        parts += (_drawn(box, left, _top(row, len(boxes), high)) for row, box in enumerate(boxes))
        if index:
            before = len(found[index - 1][1])
            parts += _lines(left, [_top(row, before, high) for row in range(before)], "in")
            parts += _lines(left, [_top(row, len(boxes), high) for row in range(len(boxes))], "out")
    return "".join([*parts, "</svg>"])


DRAWN: Mapping[str, Callable[[Config], str]] = {"text": text, "dot": dot, "mermaid": mermaid, "svg": svg}
"""Format → what draws it."""


def _facts(box: Box) -> Iterator[str]:
    step = box.step
    yield "works as earlier steps say" if box.works is None else f"{box.works} work{'' if box.works == 1 else 's'}"
    if step.condition is not None:
        yield f"if {step.condition.text}"
    if step.success_threshold < 1:
        yield f"{step.success_threshold:.0%} have to succeed"
    if box.runs_on:
        yield f"on {', '.join(box.runs_on)}"


def _names(config: Config) -> dict[int, str]:
    return {id(step): f"s{index}" for index, step in enumerate(config.steps)}


def _edges(config: Config) -> Iterator[tuple[str, str]]:
    """From each step to those of the next stage, by a point where several meet several."""
    names = _names(config)
    stages = [[names[id(step)] for step in steps] for _, steps in config.stages()]
    for index, (before, after) in enumerate(pairwise(stages)):
        if len(before) == 1 or len(after) == 1:
            yield from product(before, after)
        else:
            yield from product(before, [f"p{index}"])
            yield from product([f"p{index}"], after)


def _points(edges: Iterable[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(other for _, other in edges if other.startswith("p")))


def _top(row: int, rows: int, high: int) -> float:
    return 45 + (high - 65 - rows * (_HIGH + _GAP)) / 2 + row * (_HIGH + _GAP)


def _drawn(box: Box, left: float, top: float) -> str:
    name, told = box.step.name, box.told
    return (
        f'<g class="{"if" if box.step.condition else "step"}"><title>{_xml(f"{name}: {told}")}</title>'
        f'<rect x="{left}" y="{top:g}" width="{_WIDE}" height="{_HIGH}" rx="6"/>'
        f'<text x="{left + 12}" y="{top + 22:g}">{_xml(_cut(name, _LETTERS))}</text>'
        f'<text class="small" x="{left + 12}" y="{top + 40:g}">{_xml(_cut(told, 34))}</text></g>'
    )


def _lines(left: float, tops: list[float], which: str) -> Iterator[str]:
    """From each step of a stage to the middle before the next, or from there to each of that one."""
    middle = left - _APART / 2
    for top in tops:
        end = left - _APART if which == "in" else left
        yield f'<path d="M{end:g} {top + _HIGH / 2:g}H{middle:g}"/>'
    if len(tops) > 1:
        yield f'<path d="M{middle:g} {tops[0] + _HIGH / 2:g}V{tops[-1] + _HIGH / 2:g}"/>'


def _cut(told: str, letters: int) -> str:
    return told if len(told) <= letters else f"{told[: letters - 1]}…"


def _xml(told: str) -> str:
    return escape(visible_line(told))
