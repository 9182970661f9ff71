"""What the published pages of a course refer to, remembered from build to build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from clx.course.build_state import BuildState, Owner
from clx.course.layout import Selection
from clx.course.plan import OutputPath, Plan, PlannedJob
from clx.visible import visible_line

_encode = msgspec.json.encode
_END = "\n"
"""Behind a source, before its task."""
_FEW = 100
"""So many pages are looked for one by one."""


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
            _name(job): {"key": job.key, "pages": done[job.key]["facts"]["pages"]}
            for job in plan.jobs
            if job.key in done and (done[job.key].get("facts") or {}).get("pages")
        }

    def remember(self, texts: list[str], *, whole: bool) -> None:
        """Keep what is known of pages, and what was told of them.

        Args:
            whole: whether all pages are there.
        """
        here = {"", *map(_name, self._plan.jobs)}
        gone = [] if any(self._asked) else [name for name in self._known if name not in here]
        self._state.keep_pages(self._owner, {**self.fresh, "": self._circumstances(texts, whole=whole)}, gone)

    def _circumstances(self, texts: list[str], *, whole: bool) -> dict[str, Any]:
        """What was told, and all besides pages that it depends on."""
        plan = self._plan
        where = sha256(_encode([list(plan.places), sorted(plan.told_links), plan.pointers])).hexdigest()
        return {"asked": self._asked, "warnings": texts, "whole": whole, "where": where}

    def told(self) -> list[str] | None:
        """The warnings of the last look, if it was at the same variants."""
        kept = self._state.told_of_pages(self._owner)
        return kept["warnings"] if kept.get("asked") == self._asked else None

    def told_of_the_same(self) -> list[str] | None:
        """The warnings of the last look, if what is new refers to the same as what it replaces; that is kept then.

        A deck that a warning is of is looked at again: its lines may be others.
        """
        kept = self._state.told_of_pages(self._owner)
        texts = kept.get("warnings", [])
        if len(self.fresh) > _FEW or self._circumstances(texts, whole=True) != kept:
            return None
        known = self._state.pages(self._owner, list(self.fresh))
        if any((known.get(name) or {}).get("pages") != facts["pages"] for name, facts in self.fresh.items()):
            return None
        decks = tuple({visible_line(f"{name.partition(_END)[0]}: ") for name in self.fresh})
        if any(text.startswith(decks) for text in texts):
            return None
        self._state.keep_pages(self._owner, self.fresh, ())
        return list(texts)

    @cached_property
    def _known(self) -> dict[str, Any]:
        return self._state.pages(self._owner)

    def all(self) -> Iterator[tuple[str, OutputPath, Mapping[str, Any]]]:
        """Each page with its deck, its place, and what it refers to."""
        for job in self._plan.jobs:
            if job.is_diagram:
                continue
            name = _name(job)
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


def _name(job: PlannedJob) -> str:
    """What the pages of a job are kept under."""
    return f"{job.source}{_END}{job.task}"


def is_on_the_web(ref: str) -> bool:
    """Whether a reference leads to the web."""
    return ref[:8].lower().startswith(("http://", "https://"))
