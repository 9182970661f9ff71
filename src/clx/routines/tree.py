"""The run of a routine and all that it called: who works, who hangs and on what, what was answered from the cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.db.models import Job

State = Literal["queued", "WORKING", "HANGING", "done", "cached", "failed", "cancelled", "pruned"]
_ENDED: dict[str, State] = {"succeeded": "done", "failed": "failed", "cancelled": "cancelled"}
_DEEPEST = 100
_MANY = 12
"""Calls of one routine by the same workflow from which on they are told as one line."""


@dataclass
class Node:
    """A call.

    Attributes:
        routine: its id.
        job: what does it, None where a kept result answered.
        state: ``HANGING`` is a workflow that waits for what it called; ``pruned``: its job was removed from the table.
        seconds: what it has taken so far; None: it has not begun.
        ended_at: milliseconds UTC; 0: it has not.
        waits_for: the jobs that a hanging one waits for.
        is_again: it stands in the tree before, with what it called.
    """

    routine: str
    job: int | None
    state: State
    seconds: float | None = None
    ended_at: int = 0
    progress: Any = None
    message: str = ""
    waits_for: list[int] = field(default_factory=list)
    is_again: bool = False
    children: list[Node] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state not in {"queued", "WORKING", "HANGING"}

    def walk(self) -> Iterator[Node]:
        """This call and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def document(self, depth: int = 0) -> dict[str, Any]:
        """For programs; what lies deeper than a reader of JSON takes is left out."""
        return {
            "routine": self.routine,
            "job": self.job,
            "state": self.state.lower(),
            "seconds": self.seconds,
            "progress": self.progress,
            "message": self.message or None,
            "waits_for": self.waits_for,
            "again": self.is_again,
            "calls": [each.document(depth + 1) for each in self.children] if depth < _DEEPEST else [],
        }


def tree_of(queue: Queue, root: Job) -> Node:
    """The tree of a run as it stands."""
    now, top = queue.database.clock.now(), Node(root.type, root.id, "queued")
    level, seen = [(top, root)], {root.id}
    while level:
        found: list[tuple[Node, int]] = []
        for node, job in level:
            _fill(node, job, now)
            for call in queue.calls.of(job.id) if job.type.startswith("workflow:") else ():
                if call.type is not None:
                    child = Node(call.type, call.job_id, "pruned" if call.job_id is not None else "cached")
                    node.children.append(child)
                    if call.job_id is not None:
                        found.append((child, call.job_id))
        jobs = {job.id: job for job in queue.get_many(sorted({id_ for _, id_ in found}))}
        level = _next(found, jobs, seen, now)
    for node in top.walk():
        if node.state == "WORKING" and (live := [each.job for each in node.children if not each.is_over]):
            node.state, node.waits_for = "HANGING", sorted({job for job in live if job is not None})
    return top


def _next(found: list[tuple[Node, int]], jobs: dict[int, Job], seen: set[int], now: int) -> list[tuple[Node, Job]]:
    """Those whose calls are still to be looked at; one that was called twice is looked at once."""
    level = []
    for child, id_ in found:
        if (job := jobs.get(id_)) is None:
            continue
        if id_ in seen:
            _fill(child, job, now)
            child.is_again = True
        else:
            seen.add(id_)
            level.append((child, job))
    return level


def _fill(node: Node, job: Job, now: int) -> None:
    node.state = _ENDED.get(job.state) or ("WORKING" if job.state == "running" else "queued")
    node.ended_at = job.finished_at or 0
    if job.started_at is not None:
        node.seconds = max(0, (job.finished_at or now) - job.started_at) / 1000
    if node.state in {"failed", "cancelled"}:
        node.message = str((job.error or {}).get("message", ""))
    elif node.state == "WORKING":
        node.progress = job.progress
        node.message = "is asked to end" if job.cancel_requested else ""


# -- in words -----------------------------------------------------------------------------------------


def lines(node: Node, *, whole: bool = False) -> Iterator[tuple[str, Node | None]]:
    """The tree as lines, each with its call; None where it tells of many.

    Args:
        whole: each call has a line, however many there are.
    """
    yield from _lines(node, whole=whole)


def _lines(top: Node, *, whole: bool) -> Iterator[tuple[str, Node | None]]:
    waiting: list[tuple[Node | str, str, str]] = [(top, "", "")]
    while waiting:
        node, first, rest = waiting.pop()
        if isinstance(node, str):
            yield first + node, None
            continue
        yield first + words(node), node
        groups = _grouped(node.children, whole=whole)
        for at, group in reversed(list(enumerate(groups))):
            branch, below = ("└── ", "    ") if at == len(groups) - 1 else ("├── ", "│   ")
            many = f"{short(group[0].routine)} × {len(group)}: {_counted(group)}"
            waiting.append((group[0] if len(group) == 1 else many, rest + branch, rest + below))


def _grouped(children: list[Node], *, whole: bool) -> list[list[Node]]:
    many = Counter(child.routine for child in children)
    found: dict[Any, list[Node]] = {}
    for at, child in enumerate(children):
        is_one = whole or many[child.routine] < _MANY or (not child.is_over and child.children)
        found.setdefault(at if is_one else child.routine, []).append(child)
    return list(found.values())


def _counted(group: list[Node]) -> str:
    states = Counter(each.state for each in group)
    return ", ".join(f"{count} {state}" for state, count in states.most_common())


def short(routine: str) -> str:
    """A routine as people say it: its name, and for a task its version."""
    return routine.partition(":")[2].replace(":", " ")


def words(node: Node) -> str:
    """A call in one line."""
    parts = [short(node.routine)]
    if node.job is not None:
        parts.append(f"(job {node.job})")
    parts.append(node.state)
    if node.is_again:
        parts.append("as above")
    if node.seconds is not None and not node.is_again:
        parts.append(f"{node.seconds:.1f} s")
    if node.waits_for:
        parts.append(f"on {_numbers(node.waits_for)}")
    if node.progress is not None:
        parts.append(progress_words(node.progress))
    if node.message:
        parts.append(f"– {node.message}")
    return " ".join(parts)


def _numbers(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


def progress_words(progress: Any) -> str:
    """What a routine has told of how far it is."""
    if not isinstance(progress, dict) or "done" not in progress:
        return str(progress)
    of = f"/{progress['total']}" if progress.get("total") is not None else ""
    return f"[{progress['done']}{of}]" + (f" {progress['text']}" if progress.get("text") else "")


# -- as a drawing ---------------------------------------------------------------------------------------


def dot(node: Node) -> str:
    """For Graphviz."""
    edges, boxes = _drawn(node)
    told = [f'  "{name}" [label="{label}"{_LOOKS.get(each.state, "")}];' for name, (label, each) in boxes.items()]
    drawn = [f'  "{one}" -> "{other}";' for one, other in edges]
    return "\n".join(["digraph calls {", "  rankdir=LR; node [shape=box];", *told, *drawn, "}"])


_LOOKS = {
    "failed": ", color=red",
    "cancelled": ", style=dotted",
    "cached": ", style=dashed",
    "queued": ", color=gray",
}


def mermaid(node: Node) -> str:
    """For Mermaid, as in Markdown."""
    edges, boxes = _drawn(node)
    told = [f'  {name}["{label}"]:::{each.state.lower()}' for name, (label, each) in boxes.items()]
    drawn = [f"  {one} --> {other}" for one, other in edges]
    looks = ["  classDef failed stroke:#c00", "  classDef cached stroke-dasharray:4"]
    return "\n".join(["flowchart LR", *told, *drawn, *looks])


def _drawn(top: Node) -> tuple[list[tuple[str, str]], dict[str, tuple[str, Node]]]:
    """Edges, and boxes by name; a job that several have called is one box."""
    edges: dict[tuple[str, str], None] = {}
    boxes: dict[str, tuple[str, Node]] = {}
    kept = 0
    waiting: list[tuple[str, Node]] = [("", top)]
    while waiting:
        above, node = waiting.pop()
        if node.job is None:
            kept += 1
        name = f"k{kept}" if node.job is None else f"j{node.job}"
        label = f"{short(node.routine)}, {node.state}".replace("\\", "").replace('"', "'")
        if name not in boxes or not node.is_again:
            boxes[name] = (label, node)
        if above:
            edges[above, name] = None
        waiting += ((name, each) for each in reversed(node.children))
    return list(edges), boxes
