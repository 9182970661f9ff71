"""The warnings of jobs, kept with their results: every build that uses a result again tells them again.

Only results with warnings are written down, so that most builds read nothing: one look, whatever the course's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clx.course.build_state import BuildState
from clx.course.plan import PlannedJob


class KeptWarnings:
    """What is known of the course in *root*.

    Args:
        state: where it is kept; without a database nothing is known.
    """

    def __init__(self, state: BuildState, root: str) -> None:
        self._state = state
        self._root = root
        self._known = state.warnings(root)

    def of(self, jobs: Iterable[PlannedJob]) -> list[str]:
        """The warnings of *jobs*, in their order."""
        return [text for job in jobs for text in self._known.get(job.key, ())] if self._known else []

    def keep(self, jobs: Iterable[PlannedJob], results: Mapping[str, Any]) -> list[str]:
        """Note the warnings of *jobs* from their results, before these are published; returns them."""
        found = {job.key: texts_of(job, results[job.key]) for job in jobs}
        changed = {key: texts for key, texts in found.items() if texts != self._known.get(key, [])}
        if changed:
            self._state.keep_warnings(self._root, changed)
            self._known |= changed
        return [text for texts in found.values() for text in texts]

    def forget(self) -> None:
        """Forget the warnings of results that nothing can use again."""
        if self._known:
            self._state.forget_warnings(self._root)


def texts_of(job: PlannedJob, result: Mapping[str, Any]) -> list[str]:
    """The warnings of one result, each with the file it is about."""
    return [f"{job.source}: {text}" for text in result.get("warnings", ())]
