"""What the published pages of a course refer to, remembered from build to build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from clx.course.build_state import BuildState, Owner
from clx.course.layout import Selection
from clx.course.plan import OutputPath, Plan


class Reference(NamedTuple):
    """What a page of a deck refers to, as it is written there."""

    deck: str
    written: str


class Pages:
    """What the published pages of one plan refer to, as far as it is known.

    Args:
        selection: the variants that the plan is for.
        done: results of jobs by key.

    Attributes:
        fresh: by source and task, what pages refer to that are new.
    """

    def __init__(
        self, plan: Plan, selection: Selection, state: BuildState, owner: Owner, done: Mapping[str, Any]
    ) -> None:
        self._asked = [sorted(each or ()) for each in msgspec.structs.astuple(selection)]
        self._plan = plan
        self._state = state
        self._owner = owner
        self.fresh = {
            f"{job.source}\n{job.task}": {"key": job.key, "pages": done[job.key]["facts"]["pages"]}
            for job in plan.jobs
            if job.key in done and (done[job.key].get("facts") or {}).get("pages")
        }

    def remember(self, texts: list[str]) -> None:
        """Keep what is known of pages, and what was told of them."""
        here = {"", *(f"{job.source}\n{job.task}" for job in self._plan.jobs)}
        gone = [] if any(self._asked) else [name for name in self._known if name not in here]
        self._state.keep_pages(self._owner, {**self.fresh, "": {"asked": self._asked, "warnings": texts}}, gone)

    def told(self) -> list[str] | None:
        """The warnings of the last look, if it was at the same variants."""
        kept = self._state.told_of_pages(self._owner)
        return kept["warnings"] if kept.get("asked") == self._asked else None

    @cached_property
    def _known(self) -> dict[str, Any]:
        return self._state.pages(self._owner)

    def all(self) -> Iterator[tuple[str, OutputPath, Mapping[str, Any]]]:
        """Each page with its deck, its place, and what it refers to."""
        for job in self._plan.jobs:
            if job.is_diagram:
                continue
            name = f"{job.source}\n{job.task}"
            facts = self.fresh.get(name) or self._known.get(name)
            if not facts or facts.get("key") != job.key:
                continue  # its job failed: what is there is of before
            for page, found in facts["pages"].items():
                for place in job.places.get(page, ()):
                    yield job.source, place, found

    def on_the_web(self) -> dict[str, Reference]:
        """Every web address that pages refer to, with the first deck that does."""
        found: dict[str, Reference] = {}
        for deck, _place, page in self.all():
            for ref in page["refs"]:
                if is_on_the_web(ref):
                    found.setdefault(ref.partition("#")[0], Reference(deck, ref))
        return found


def is_on_the_web(ref: str) -> bool:
    """Whether a reference leads to the web."""
    return ref[:8].lower().startswith(("http://", "https://"))
