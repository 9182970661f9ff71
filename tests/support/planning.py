"""Plans of courses that tests write, made in this process; nothing runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tests.support.courses import Course

from clx.course.layout import Layout, Selection
from clx.course.plan import Plan, PlannedJob
from clx.course.planner import Planner
from clx.course.source_files import SourceFiles
from clx.course.spec import load_spec
from clx.course.topics import resolve_topics
from clx.jobtypes.notebook.deck_text import Asked, DeckText, read_deck
from clx.jobtypes.notebook.reader import DeckReader
from clx.settings.schema import Settings

TOOLS: dict[str, dict[str, str]] = {type_: {} for type_ in ("notebook", "plantuml", "drawio", "pdf")}
ONE = "slides/module_1/topic_100_one"
ENGLISH = Selection(frozenset({"en"}), frozenset({"completed"}), frozenset({"html", "notebook"}))


class Here(DeckReader):
    """Reads decks in this process."""

    def read(self, asked: Asked) -> DeckText:
        return read_deck(asked)


def planner_of(
    course: Course,
    known: Mapping[str, Any] | None = None,
    *,
    selection: Selection | None = None,
    settings: Settings | None = None,
    tools: Mapping[str, Mapping[str, str]] = TOOLS,
) -> Planner:
    """The planner of ``course.yaml``; *known* is what an earlier one learned about sources."""
    spec = load_spec(course.root / "course.yaml")
    own = {
        os.path.realpath(course.output): "the output directory",
        os.path.realpath(course.root / ".clx"): "CLX's own directory .clx",
    }
    files = SourceFiles(course.root, {}, own=own)
    mistakes: list[str] = []
    topics = resolve_topics(spec, files.bounds, mistakes=mistakes)
    layout = Layout(spec, selection or Selection())
    return Planner(layout, topics, files, settings or Settings(), tools, known or {}, Here(), mistakes)


def plan_of(course: Course, **options: Any) -> Plan:
    """The plan of ``course.yaml``; *options* are those of :func:`planner_of`."""
    return planner_of(course, **options).plan()


def job_of(source: str = "slides/a.py", task: str = "execute en", **changes: Any) -> PlannedJob:
    """A planned job with all that the tests do not care about."""
    type_ = "notebook" if task else "plantuml"
    facts: dict[str, Any] = {"key": f"key of {source} {task}".strip(), "payload": {"source": source}, "files": []}
    facts |= {"tools": {"clx": "1"}, **changes}
    return PlannedJob(type_, source, task, **facts)


def copied(plan: Plan) -> set[str]:
    """The names of the files that a plan copies."""
    return {copy.source.rpartition("/")[2] for copy in plan.copies if copy.places}


def payload(plan: Plan, deck: str, task: str = "render en") -> dict[str, Any]:
    return next(job.payload for job in plan.jobs if (job.source.rpartition("/")[2], job.task) == (deck, task))


def places(plan: Plan, source: str) -> set[str]:
    """Where a copied file goes, below the directories of its variants."""
    return {
        place.path.split("/", 5)[5] for copy in plan.copies if copy.source.endswith(source) for place in copy.places
    }


def linking(course: Course, *links: str, before: str = "") -> None:
    """Write the first of two decks with these links."""
    texts = "".join(f"# [x]({link})\n" for link in links)
    course.deck("one", f"# %% [markdown]{before}\n{texts}")
