"""One build: plan → reuse by key → publish what is known → run the rest → publish → remove what is stale."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import BuildState, Owner
from clx.course.display import Display
from clx.course.explain import Reasons
from clx.course.layout import Layout, Selection
from clx.course.moved_course import follow_move
from clx.course.plan import OutputPath, Plan, PlannedJob, Planner, StaticFile, is_near, target_directories
from clx.course.publish import OutputFile, Publisher, usual_output
from clx.course.report import PRIVATE_TEXT, FailedOutput, Report
from clx.course.source_files import SourceFiles, check_name
from clx.course.spec import CourseSpec, load_spec
from clx.course.topics import find_course_root, resolve_topics
from clx.db.apart import link, shared_directory, state_directory
from clx.db.results import find_results
from clx.db.sqlite.database import Database, prepare_state_directory
from clx.db.sqlite.driver import require_reachable
from clx.db.sqlite.lock_watch import tell_of_locks
from clx.db.state import require_own_state, require_sound_state
from clx.errors import ArtifactError, UsageError
from clx.jobtypes.notebook.reader import DeckReader
from clx.settings.resolve import Resolved
from clx.workers.executors import remove_leftovers
from clx.workers.platforms import database_options
from clx.workers.supervision.needs import Fingerprints
from clx.workers.supervision.readiness import place_database, settings_for

if TYPE_CHECKING:
    from clx.course.private_text import Hit, PrivateText
    from clx.course.session import Session
    from clx.course.withdraw import Withdrawn


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What is asked of a build.

    Attributes:
        spec: the course file.
        output: the output directory; None for ``<course root>/output``.
        database: the job table; None for ``<course root>/.clx/jobs.db``.
        force: run every job whether or not its result is known.
        fail_fast: stop at the first failure.
        dry_run: plan only; nothing is written.
        force_new_workers: never use workers that are running already.
    """

    spec: Path
    output: Path | None = None
    database: Path | None = None
    selection: Selection = field(default_factory=Selection)
    force: bool = False
    fail_fast: bool = False
    dry_run: bool = False
    force_new_workers: bool = False


class Build:
    """One build of one course.

    Args:
        options: what is asked for.
        resolved: the settings with their origins.
        display: is told what happens.
        session: what several builds in a row share; None for a build of its own.
    """

    def __init__(
        self, options: BuildOptions, resolved: Resolved, display: Display, session: Session | None = None
    ) -> None:
        self.options = options
        self.resolved = resolved
        self.display = display
        self._session = session
        self.report = Report()
        self._started = time.monotonic()
        self._left_out: list[str] = []
        self._hidden: dict[str, list[Any]] = {}
        self._further: set[tuple[int, str]] = set()
        self._done: dict[str, Any] = {}
        self._unchecked: list[str] = []
        self._withdrawn: Withdrawn | None = None

    def run(self) -> Report:
        """Do it.

        Raises:
            CourseError: the course cannot be built as it is written; nothing was written.
            StartupError: a tool, package or worker that it needs is not there.
            DatabaseError: the job table cannot be used.
            OutputError: the output tree cannot be written.
        """
        database = None
        gc.disable()  # planning makes many objects and no garbage: looking for it takes a tenth of the time
        try:
            spec = load_spec(self.options.spec)
            self._locate(spec)
            Publisher(self._targets, self._owner, None, self._store, self._state_dir).check()
            database = self._open_existing()
            return self._run(spec, database)
        finally:
            gc.enable()
            if database is not None:
                database.close()
            self.report.seconds = time.monotonic() - self._started

    def _locate(self, spec: CourseSpec) -> None:
        self._root = find_course_root(self.options.spec)
        self._shared = self.resolved.path("course.shared_modules")
        # real paths, so that one place spelled in two ways is still one place
        self._output = Path(os.path.realpath(self.options.output or usual_output(self._root)))
        check_name(str(self._root))
        check_name(str(self._output))
        if self._output.is_relative_to(os.path.realpath(self._root / "slides")):
            raise UsageError(f"The output directory {self._output} lies among the sources.", "Choose another with -o.")
        self._owner = Owner(os.path.realpath(self.options.spec), str(self._output))
        self._layout = Layout(spec, self.options.selection)
        self._targets = target_directories(self._layout, self._output)
        self._database_name = (self.options.database or self._root / ".clx" / "jobs.db").absolute()
        require_reachable(self._database_name)
        require_sound_state(self._database_name)
        if self.options.database in (None, self.resolved.path("database.path")):
            require_own_state(self._database_name, self.resolved)
        self._database_path = place_database(self.resolved, self._database_name, move=not self.options.dry_run)
        self._state_dir = state_directory(self._database_path)
        self._store = ArtifactStore(shared_directory(self._database_path) / "artifacts")
        self.report.course = spec.name.in_language(spec.languages[0])
        self.report.output, self.report.targets = str(self._output), self._targets

    def _open_existing(self) -> Database | None:
        """The database if there is one; it is made only once the course is known to be sound."""
        return self._open() if self._database_path.exists() else None

    def _open(self) -> Database:
        settings = settings_for(self.resolved, self._database_path)
        remove_leftovers(self._database_path)
        opened = Database.open(self._database_path, **database_options(settings))
        link(self._database_name)
        tell_of_locks(opened, self.display.note)
        return opened

    def _run(self, spec: CourseSpec, database: Database | None) -> Report:
        state = BuildState(database) if database else None
        root = str(self._root)
        is_known = state is not None and (state.knows(self._owner) or self._was_moved(state))
        own = self._own_directories(state)
        files = SourceFiles(self._root, state.files(root) if state else {}, shared=self._shared, own=own)
        topics = resolve_topics(spec, files.bounds, warn=self._left_out.append)
        settings = self.resolved.settings
        known = state.sources(root) if state else {}
        tools = Fingerprints(self.resolved, fetch=not self.options.dry_run)
        with nullcontext(self._session.reader) if self._session else DeckReader() as reader:
            planner = Planner(self._layout, topics, files, settings, tools, known, reader)
            plan = planner.plan()
        self._hidden = {deck: each for deck, each in plan.hidden.items() if each}
        publisher = Publisher(self._targets, self._owner, state, self._store, self._state_dir)
        with closing(publisher):  # also when an edit overtakes this build: a watch goes on in the same process
            missing, outdated = self._compare(plan, state, publisher)
            self._warn([*self._left_out, *plan.warnings])
            self._count(plan, missing)
            reasons = Reasons(root, state)
            self.report.reasons = reasons.tell(plan.jobs, {job.key for job in missing}, forced=self.options.force)
            self.display.planned(decks=plan.decks, jobs=len(plan.jobs), reused=len(plan.jobs) - len(missing))
            if not self.options.dry_run:
                with _owned(database) or self._open_new() as writable:
                    state = BuildState(writable)
                    publisher.attach(state)
                    reasons.attach(state)
                    state.remember(root, files.learned, planner.closures.learned, planner.closures.newly_hidden())
                    copies = self._checked(plan, publisher, state)
                    self._carry_out(plan, missing, outdated, copies, writable, publisher, reasons)
                    self._tell_unchecked(state)
                    if not is_known and self._hidden:
                        self._tell_of_nobody(state)
        self._tell_replaced(publisher)
        self.report.dry_run = self.options.dry_run
        self.report.written = publisher.written
        self.report.settle()
        self.report.seconds = time.monotonic() - self._started
        self.display.finished(self.report)
        return self.report

    def _was_moved(self, state: BuildState) -> bool:
        """Whether what is known is that of the course in another place, which has been taken over then."""
        if self.options.dry_run or not follow_move(state, self._root, self._owner):
            return False
        self.display.note("The course was moved here: what is known of its files goes along.")
        return True

    def _carry_out(
        self,
        plan: Plan,
        missing: list[PlannedJob],
        outdated: list[tuple[PlannedJob, list[OutputFile]]],
        copies: list[OutputFile],
        database: Database,
        publisher: Publisher,
        reasons: Reasons,
    ) -> None:
        """Everything that writes: publish what is known, run the rest, remove what is stale."""
        if copies:
            publisher.publish(copies)
        self._publish_known(missing, outdated, publisher)
        if missing:
            self._run_jobs(missing, database, publisher, reasons)
        self._remove_stale(plan, publisher)
        if missing:
            from clx.workers.supervision.upkeep import prune_if_due  # nothing to run, nothing to tidy up

            prune_if_due(database)

    def _own_directories(self, state: BuildState | None) -> dict[str, str]:
        """The directories that CLX writes into, as real paths, each with what it is."""
        own = {
            str(self._output): "the output directory",
            os.path.realpath(self._root / ".clx"): "CLX's own directory .clx",
            os.path.realpath(self._state_dir): f"CLX's own directory {self._state_dir.name}",
        }
        for target in state.written_to(str(self._output)) if state else ():
            own.setdefault(target, f"the output of an earlier build in {target}")
        return own

    def _open_new(self) -> Database:
        prepare_state_directory(self._database_path)
        return self._open()

    def _warn(self, warnings: list[str]) -> None:
        for text in dict.fromkeys(warnings):
            if text in self.report.warnings:
                continue
            self.report.warnings.append(text)
            self.display.warning(text)

    def _count(self, plan: Plan, missing: list[PlannedJob]) -> None:
        self.report.decks = plan.decks
        self.report.jobs = len(plan.jobs)
        self.report.to_run = len(missing)
        self.report.reused = len(plan.jobs) - len(missing)

    # -- reuse ------------------------------------------------------------------------------------

    def _compare(
        self, plan: Plan, state: BuildState | None, publisher: Publisher
    ) -> tuple[list[PlannedJob], list[tuple[PlannedJob, list[OutputFile]]]]:
        """The jobs that must run, and the files to write of those whose result is known.

        A file that is as CLX wrote it, from a job of the same key, is taken to be right without a look at
        the result.
        """
        if state is None or self.options.force:
            return list(plan.jobs), []
        pictures = self._places_of_diagrams(plan, publisher)
        unsure = [job for job in plan.jobs if not self._is_current(job, pictures, publisher)]
        known = find_results(state.database, [job.key for job in unsure]) if unsure else {}
        missing, outdated = [], []
        for job in unsure:
            items = self._outdated(job, known[job.key], publisher) if job.key in known else None
            if items is None:
                missing.append(job)
            else:
                self._done[job.key] = known[job.key]
                outdated.append((job, items))
        publisher.forget_directories()
        return missing, outdated

    @staticmethod
    def _places_of_diagrams(plan: Plan, publisher: Publisher) -> dict[str, list[OutputPath]]:
        """Published pictures by key: how many a diagram has is not known beforehand."""
        found: dict[str, list[OutputPath]] = {job.key: [] for job in plan.jobs if job.is_diagram}
        for target, stamps in enumerate(publisher.stamps) if found else ():
            for path, key, _size, _mtime in stamps.values():
                if key in found:
                    found[key].append(OutputPath(target, path, ""))
        return found

    def _is_current(self, job: PlannedJob, pictures: Mapping[str, list[OutputPath]], publisher: Publisher) -> bool:
        """Whether every file of a job is there as its result says."""
        first = all(publisher.is_current(place, job.key) for places in job.places.values() for place in places)
        if not first or not job.is_diagram:
            return first
        self._further |= {(place.target, place.path) for place in pictures[job.key]}
        return all(publisher.is_current(place, job.key) for place in pictures[job.key])

    def _outdated(self, job: PlannedJob, result: Mapping[str, Any], publisher: Publisher) -> list[OutputFile] | None:
        """Files of a job that are not as its result says; None when the store lacks bytes for one."""
        items = []
        for name, digest, size in result["outputs"]:
            found = [place for place in job.places_of(name) if not publisher.is_current(place, job.key)]
            if found and not self._store.has(digest, size):
                return None
            items += [OutputFile(place, job.source, job.task, job.key, digest) for place in found]
        return items

    # -- the last look ----------------------------------------------------------------------------

    @cached_property
    def _private_text(self) -> PrivateText:
        from clx.course.private_text import PrivateText  # a build with nothing to write need not import it

        spec = self._layout.spec
        texts = [spec.name, *(section.name for section in spec.sections)]
        names = [text.in_language(language) for text in texts for language in spec.languages]
        return PrivateText(self._hidden, names)

    def _checked(self, plan: Plan, publisher: Publisher, state: BuildState) -> list[OutputFile]:
        """The copies to write, after a look at what was published before some cells were hidden."""
        self._unchecked = [deck for deck in state.unchecked(self._owner) if deck in plan.hidden]
        fresh = [deck for deck in self._unchecked if deck in self._hidden]
        copies = self._checked_copies(plan, publisher, fresh)
        if fresh:
            from clx.course.withdraw import withdraw

            self._withdrawn = withdraw(self._private_text, publisher, plan, fresh, str(self._output))
        return copies

    def _tell_unchecked(self, state: BuildState) -> None:
        """Tell of files with private text: those that are gone, and those that have stayed, which fail their decks.

        For these decks all is looked at again next time.
        """
        if self._withdrawn is not None:
            self.report.removed += self._withdrawn.gone()
            self._warn(list(filter(None, [self._withdrawn.warning()])))
            for failure in self._withdrawn.failures(self._private_text):
                self._fail(failure)
        refused = {each.source for each in self.report.failures if each.error.get("type") == PRIVATE_TEXT}
        state.checked(self._owner, [deck for deck in self._unchecked if deck not in refused])

    def _tell_of_nobody(self, state: BuildState) -> None:
        """Tell of public files with private text that are there without CLX's knowing of them."""
        from clx.course.withdraw import of_nobody

        targets = zip(self._layout.targets, self._targets, strict=True)
        public = [directory for target, directory in targets if target.kinds != ("speaker",)]
        known = {target: set(files) for target, files in state.outputs(self._owner).items()}
        self._warn(list(filter(None, [of_nobody(self._private_text, public, known)])))

    def _checked_copies(self, plan: Plan, publisher: Publisher, fresh: list[str]) -> list[OutputFile]:
        """The copies to write.

        One that holds the text of a hidden cell fails that cell's deck, and goes where it was published before.

        Args:
            fresh: decks whose hidden cells say something else than when the files that are there were written.
        """
        items = []
        for copy in plan.copies:
            outdated = [place for place in copy.places if not publisher.is_current(place, copy.digest)]
            hit = self._hit_in(copy, None if outdated else [deck for deck in fresh if is_near(copy.source, deck)])
            if hit is None:
                path = self._root / copy.source
                items += [OutputFile(place, copy.source, "", copy.digest, copy.digest, path) for place in outdated]
                continue
            self._fail(FailedOutput("notebook", hit.deck, "", hit.error))
            for place in copy.places:
                plan.places.pop((place.target, place.path), None)
        publisher.forget_directories()
        return items

    def _hit_in(self, copy: StaticFile, decks: list[str] | None) -> Hit | None:
        if not self._hidden or decks == [] or not any(place.is_public for place in copy.places):
            return None
        return self._private_text.look(self._root / copy.source, copy.source, decks)

    def _refusal(self, job: PlannedJob, items: list[OutputFile]) -> dict[str, Any] | None:
        """The error of a deck's job whose files may not be published."""
        if job.source not in self._hidden:
            return None
        for digest, place in {item.digest: item.place for item in items if item.place.is_public}.items():
            shown = os.path.relpath(f"{self._targets[place.target]}/{place.path}", self._output)
            hit = self._private_text.look(self._store.path(digest), shown, [job.source])
            if hit is not None:
                return hit.error
        return None

    def _fail(self, failure: FailedOutput) -> None:
        self.report.failures.append(failure)
        self.display.job_failed(failure)

    # -- publishing -------------------------------------------------------------------------------

    def _publish_known(
        self, missing: list[PlannedJob], outdated: list[tuple[PlannedJob, list[OutputFile]]], publisher: Publisher
    ) -> None:
        """Write every file whose bytes are to be had; a job whose artifact turns out damaged runs again."""
        for job, items in outdated:
            if refusal := self._refusal(job, items):
                self._fail(FailedOutput(job.type, job.source, job.task, refusal))
                del self._done[job.key]
                continue
            try:
                publisher.publish(items)
            except ArtifactError as error:
                self._warn([f"{job.label}: {error.fact} It is made again."])
                del self._done[job.key]
                missing.append(job)

    def _run_jobs(
        self,
        missing: list[PlannedJob],
        database: Database,
        publisher: Publisher,
        reasons: Reasons,
    ) -> None:
        from clx.course.run import JobRunner  # a build with nothing to run need not import it

        gc.enable()

        def publish(job: PlannedJob, result: dict[str, Any]) -> dict[str, Any] | None:
            self._warn([f"{job.source}: {text}" for text in result["warnings"]])
            items = self._outdated(job, result, publisher)
            if error := self._refusal(job, items or []):
                return error
            self._done[job.key] = result
            if items:
                publisher.publish(items)
            return None

        runner = JobRunner(database, self.resolved, self._store, self._root, self.display, self._session)
        try:
            failures = runner.run(
                f"build {self.options.spec.name}",
                missing,
                publish,
                why=dict(self.report.reasons),
                fail_fast=self.options.fail_fast,
                new_workers=self.options.force_new_workers,
            )
        finally:
            reasons.remember([job for job in missing if job.key in self._done])
        reasons.remember_failed([job for job, _error in failures])
        self.report.ran = len(failures) + sum(1 for job in missing if job.key in self._done)
        self.report.failures += [FailedOutput(job.type, job.source, job.task, error) for job, error in failures]

    def _remove_stale(self, plan: Plan, publisher: Publisher) -> None:
        """Remove what the course no longer makes; jobs that failed or did not run keep all they had."""
        further = {
            (place.target, place.path)
            for job in plan.jobs
            if job.is_diagram and job.key in self._done
            for name, _digest, _size in self._done[job.key]["outputs"]
            for place in job.places_of(name)
        }
        further |= self._further
        wanted: Collection[tuple[int, str]] = plan.places.keys() | further if further else plan.places
        self.report.files = len(wanted)
        failed = {(failure.source, failure.task) for failure in self.report.failures}
        for failure in self.report.failures:
            failure.kept = publisher.files_of(failure.source, failure.task)
        removed, kept = publisher.remove_stale(wanted, self.options.selection, failed, within=str(self._output))
        self.report.removed += removed
        self.report.kept += kept

    def _tell_replaced(self, publisher: Publisher) -> None:
        if not publisher.replaced:
            return
        more = f" and {len(publisher.replaced) - 1} more" if len(publisher.replaced) > 1 else ""
        kept = f"replaced, and kept in {publisher.kept_in}"
        self._warn([f"{publisher.replaced[0]}{more}: not as CLX had written it; {kept}."])


class _Borrowed:
    """Lends an open database without closing it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Database:
        return self._database

    def __exit__(self, *_exc: object) -> None:
        return


def _owned(database: Database | None) -> _Borrowed | None:
    return _Borrowed(database) if database is not None else None
