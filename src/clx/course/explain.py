"""Why each job runs or does not: what its inputs were when its last result was made, against now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clx.course.build_state import BuildState
from clx.course.plan import PlannedJob


class Reasons:
    """Compares the jobs of the course in *root* with what they were."""

    def __init__(self, root: str, state: BuildState) -> None:
        self._root = f"{root}#reasons"
        self._state = state

    def tell(self, jobs: list[PlannedJob], missing: Collection[str], *, forced: bool) -> list[tuple[str, str]]:
        """Job label and reason, for every job."""
        before = self._state.sources(self._root) if missing else {}
        return [
            (job.label, self._why(job, before.get(job.label), forced=forced) if job.key in missing else "up to date")
            for job in jobs
        ]

    @staticmethod
    def _why(job: PlannedJob, before: Mapping[str, Any] | None, *, forced: bool) -> str:
        if forced:
            return "--force"
        if before is None:
            return "new: it has no result yet"
        if before["key"] == job.key:
            return "it failed last time" if before.get("failed") else "its stored output is missing or damaged"
        changes = [*_files_changed(before["files"], dict(job.files)), *_options_changed(before, job)]
        if not changes and job.made_from:
            return "what it is printed from changed"
        return "; ".join(changes) or "something it depends on changed"

    def remember(self, jobs: list[PlannedJob], *, failed: bool = False) -> None:
        """Keep what *jobs* that ended were made from."""
        made_from = {
            job.label: {
                "failed": failed,
                "key": job.key,
                "files": dict(job.files),
                "options": {name: value for name, value in job.payload.items() if name != "source"},
                "tools": dict(job.tools),
            }
            for job in jobs
        }
        self._state.remember(self._root, {}, made_from)


def _files_changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = [f"{path} changed" for path in now if path in before and before[path] != now[path]]
    added = [f"{path} is new" for path in now if path not in before]
    gone = [f"{path} is gone" for path in before if path not in now]
    return changed + added + gone


def _options_changed(before: Mapping[str, Any], job: PlannedJob) -> list[str]:
    options = [name for name, value in job.payload.items() if name != "source" and before["options"].get(name) != value]
    tools = [name for name, value in job.tools.items() if before["tools"].get(name) != value]
    return [f"option {name} changed" for name in options] + [f"{name} changed" for name in tools]
