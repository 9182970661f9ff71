"""Jobs that are made from what other jobs make: which of those must run, in which order, and what they get."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from clx.artifacts.store import ArtifactStore
from clx.course.plan import PlannedJob
from clx.course.report import FailedOutput
from clx.course.results import Results
from clx.db.database import Database
from clx.db.results import find_results


class Stages:
    """Brings the jobs of a plan into the order in which their inputs are known.

    Args:
        results: of the plan; jobs that end are noted there.
    """

    def __init__(self, results: Results, store: ArtifactStore, database: Database) -> None:
        self._results = results
        self._store = store
        self._database = database
        self._jobs = {job.key: job for job in results.plan.jobs}
        self._known: dict[str, Any] = {}

    def makers(self, missing: Collection[PlannedJob]) -> list[PlannedJob]:
        """The jobs that must run as well so that *missing* ones can: their results are not kept any more."""
        found: dict[str, PlannedJob] = {}
        asked = {job.key for job in missing}
        waiting = list(missing)
        while waiting:
            keys = {each.key for job in waiting for each in job.made_from} - asked
            asked |= keys
            if keys:
                self._known |= find_results(self._database, sorted(keys))
                results = [result for key in keys if (result := self._result(key))]
                self._store.look_up(digest for result in results for _, digest, _ in result["outputs"])
            waiting = [self._jobs[key] for key in sorted(keys) if not self._has(key)]
            found |= {job.key: job for job in waiting}
        return list(found.values())

    def in_order(self, jobs: Sequence[PlannedJob]) -> Iterator[list[PlannedJob]]:
        """Those that are made from no other one of *jobs*, then those that are made from these, and so on."""
        left = list(jobs)
        while left:
            keys = {job.key for job in left}
            now = [job for job in left if not any(each.key in keys for each in job.made_from)]
            yield now
            gone = {job.key for job in now}
            left = [job for job in left if job.key not in gone]

    def ready(self, jobs: Sequence[PlannedJob]) -> tuple[list[PlannedJob], list[FailedOutput]]:
        """Those of *jobs* whose inputs are there, with these, and failures of those that may not be made.

        One whose maker has failed is left out: that failure is told already.
        """
        ready, failures = [], []
        for job in jobs:
            made = self._made(job)
            if made is None:
                continue
            job.made = made
            refusal = self._refusal(job)
            if refusal is None:
                ready.append(job)
            else:
                failures.append(FailedOutput(job.type, job.source, job.task, refusal))
        return ready, failures

    def _result(self, key: str) -> Any:
        return self._results.done.get(key) or self._known.get(key)

    def _has(self, key: str) -> bool:
        result = self._result(key)
        return bool(result) and all(self._store.has(digest, size) for _, digest, size in result["outputs"])

    def _made(self, job: PlannedJob) -> list[tuple[str, str]] | None:
        """Path and digest of all that a job gets of others; None when something is not there."""
        found: dict[str, str] = {}
        for path, key, output in job.made_from:
            result = self._result(key)
            if not result:
                return None
            for name, digest, _size in result["outputs"]:
                if name == output:
                    found[path] = digest
                elif self._jobs[key].is_diagram:  # a further page of it
                    folder_and_stem, extension = os.path.splitext(path)  # noqa: PTH122
                    found[f"{folder_and_stem}-{name.partition('.')[0]}{extension}"] = digest
            if path not in found:
                return None
        return sorted(found.items())

    def _refusal(self, job: PlannedJob) -> dict[str, Any] | None:
        """The error of a public file of a page that holds the text of a hidden cell: in a PDF file none is found."""
        places = [place for wanted in job.places.values() for place in wanted if place.is_public]
        pages = [digest for path, digest in job.made if path.endswith(".html")]
        if not places or not self._results.plan.hidden.get(job.source):
            return None
        publisher = self._results.publisher
        shown = os.path.relpath(f"{publisher.targets[places[0].target]}/{places[0].path}", publisher.owner.output)
        for digest in pages:
            hit = self._results.private.look(self._store.bring(digest), shown, [job.source])
            if hit is not None:
                return hit.error
        return None
