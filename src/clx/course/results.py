"""The results of the jobs of a plan: which are known, what of them is missing in the output, and their way there.

No result goes into a public file with the text of a hidden cell.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.artifacts.store import ArtifactStore
from clx.course.display import Reporter
from clx.course.kept_warnings import KeptWarnings, texts_of
from clx.course.plan import OutputPath, Plan, PlannedJob, StaticFile, is_near
from clx.course.publish import OutputFile, Publisher
from clx.course.report import FailedOutput
from clx.errors import ArtifactError, ArtifactMissingError

if TYPE_CHECKING:
    from clx.course.private_text import Hit, PrivateText


Outdated = tuple[PlannedJob, list[OutputFile]]
"""A job whose result is known, and the files of it to write."""


def as_error(error: ArtifactError) -> dict[str, Any]:
    """The error as it is told of a job."""
    return {"type": type(error).__name__, "message": error.fact, "next_step": error.next_step}


class Results:
    """What is known of a plan's jobs.

    Attributes:
        done: by key, the results that are known and may be published.
        warnings: those of results that are used again.
    """

    def __init__(
        self, plan: Plan, publisher: Publisher, store: ArtifactStore, reporter: Reporter, warnings: KeptWarnings
    ) -> None:
        self.plan = plan
        self.warnings = warnings
        self.publisher = publisher
        self._store = store
        self._reporter = reporter
        self._further: set[tuple[int, str]] = set()
        self.done: dict[str, Any] = {}

    @cached_property
    def private(self) -> PrivateText:
        """Knows the hidden cells."""
        from clx.course.private_text import PrivateText  # a build with nothing to write need not import it

        return PrivateText(self.plan.hidden, self.plan.names)

    # -- reuse ------------------------------------------------------------------------------------

    def not_current(self) -> list[PlannedJob]:
        """The jobs of which a file is not as CLX wrote it, from a job of the same key: all others need no look."""
        pictures = self._places_of_diagrams()
        return [job for job in self.plan.jobs if not self._is_current(job, pictures)]

    def _places_of_diagrams(self) -> dict[str, list[OutputPath]]:
        """Published pictures by key: how many a diagram has is not known beforehand."""
        found: dict[str, list[OutputPath]] = {job.key: [] for job in self.plan.jobs if job.is_diagram}
        for target, output_stats in enumerate(self.publisher.output_stats) if found else ():
            for path, key, _size, _mtime in output_stats.values():
                if key in found:
                    found[key].append(OutputPath(target, path, ""))
        return found

    def _is_current(self, job: PlannedJob, pictures: Mapping[str, list[OutputPath]]) -> bool:
        is_current = self.publisher.is_current
        if not all(is_current(place, job.key) for places in job.places.values() for place in places):
            return False
        if not job.is_diagram:
            return True
        self._further |= {(place.target, place.path) for place in pictures[job.key]}
        return all(is_current(place, job.key) for place in pictures[job.key])

    def compare(self, jobs: Sequence[PlannedJob], known: Mapping[str, Any]) -> tuple[list[PlannedJob], list[Outdated]]:
        """Which of *jobs* must run, and the files to write of those whose result is *known*."""
        missing, outdated = [], []
        self._store.look_up(digest for job in jobs for _, digest, _ in known.get(job.key, {"outputs": ()})["outputs"])
        for job in jobs:
            files = self._outdated(job, known[job.key]) if job.key in known else None
            if files is None:
                missing.append(job)
            else:
                self.done[job.key] = known[job.key]
                outdated.append((job, files))
        self.publisher.forget_directories()
        return missing, outdated

    def _outdated(self, job: PlannedJob, result: Mapping[str, Any]) -> list[OutputFile] | None:
        """Files of a job that are not as its result says; None when the store lacks bytes for one."""
        files = []
        for name, digest, size in result["outputs"]:
            found = [place for place in job.places_of(name) if not self.publisher.is_current(place, job.key)]
            if found and not self._store.has(digest, size):
                return None
            files += [OutputFile(place, job.source, job.task, job.key, digest) for place in found]
        return files

    def warn_again(self, missing: Collection[str]) -> None:
        """Tell the warnings of all results that are used again: of every job but those with the keys *missing*."""
        used = [job for job in self.plan.jobs if job.key not in missing]
        found = [job for job in used if job.key in self.done]
        self._reporter.warn(*self.warnings.of(used))
        self._reporter.warn(*(text for job in found for text in texts_of(job, self.done[job.key])))

    # -- publishing -------------------------------------------------------------------------------

    def publish_known(self, outdated: Sequence[Outdated]) -> list[PlannedJob]:
        """Write the files whose bytes are to be had; returns the jobs whose artifact turned out to be damaged."""
        again = []
        self.warnings.keep([job for job, _ in outdated], self.done)  # before a file says that the result was used
        for job, files in outdated:
            try:
                if refusal := self._refusal(job, files, self.done[job.key]):
                    self._reporter.fail(FailedOutput(job.type, job.source, job.task, refusal))
                    del self.done[job.key]
                    continue
                self.publisher.publish(files)
            except ArtifactError as error:
                self._reporter.warn(f"{job.label}: {error.fact} It is made again.")
                del self.done[job.key]
                again.append(job)
        return again

    def publish(self, job: PlannedJob, result: dict[str, Any]) -> dict[str, Any] | None:
        """Write the files of a job that has just been done; returns the error for which that may not be."""
        self._reporter.warn(*self.warnings.keep([job], {job.key: result}))
        files = self._outdated(job, result)
        if files is None:
            return as_error(ArtifactMissingError("What it made is not in the store.", "Build again to make it anew."))
        try:
            if error := self._refusal(job, files, result):
                return error
            if files:
                self.publisher.publish(files)
        except ArtifactMissingError as error:
            return as_error(error)
        self.done[job.key] = result
        return None

    def _refusal(
        self, job: PlannedJob, files: Sequence[OutputFile], result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The error of a deck's job whose files may not be published."""
        if not self.plan.hidden.get(job.source):
            return None
        pages = (result.get("facts") or {}).get("pages") or {}
        carried = {page["carried"] for page in pages.values() if "carried" in page}
        carries_files = any(page.get("made") for page in pages.values())
        for digest, place in {file.digest: file.place for file in files if file.place.is_public}.items():
            shown = os.path.relpath(f"{self.publisher.targets[place.target]}/{place.path}", self.publisher.owner.output)
            path, own = self._store.bring(digest), [job.source]
            hit = self.private.look(path, shown, own, carried)
            if hit is None and carries_files:
                hit = self.private.look_inside(path, shown, own)
            if hit is not None:
                return hit.error
        return None

    def static_files(self, root: Path, fresh: Collection[str]) -> list[OutputFile]:
        """The copies to write.

        One that holds the text of a hidden cell fails that cell's deck, and goes where it was published before.

        Args:
            root: the course root.
            fresh: decks whose hidden cells say something else than when the files that are there were written.
        """
        files, hides_anything = [], self.plan.hides_anything
        for copy in self.plan.copies:
            outdated = [place for place in copy.places if not self.publisher.is_current(place, copy.digest)]
            decks = None if outdated else [deck for deck in fresh if is_near(copy.source, deck)]
            hit = self._hit_in(copy, root / copy.source, decks) if hides_anything else None
            if hit is None:
                path = root / copy.source
                files += [OutputFile(place, copy.source, "", copy.digest, copy.digest, path) for place in outdated]
                continue
            self._reporter.fail(FailedOutput("notebook", hit.deck, "", hit.error))
            for place in copy.places:
                self.plan.places.pop((place.target, place.path), None)
        self.publisher.forget_directories()
        return files

    def _hit_in(self, copy: StaticFile, path: Path, decks: list[str] | None) -> Hit | None:
        if decks == [] or not any(place.is_public for place in copy.places):
            return None
        return self.private.look(path, copy.source, decks)

    def wanted(self) -> Collection[tuple[int, str]]:
        """Every output path of the plan, and those of pictures that only results tell of."""
        further = {
            (place.target, place.path)
            for job in self.plan.jobs
            if job.is_diagram and job.key in self.done
            for name, _digest, _size in self.done[job.key]["outputs"]
            for place in job.places_of(name)
        }
        further |= self._further
        return self.plan.places.keys() | further if further else self.plan.places
