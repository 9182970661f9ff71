"""One build: plan → reuse by key → publish what is known → run the rest → publish → remove what is stale."""

from __future__ import annotations

import gc
import os
import time
from contextlib import closing, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clx.course.build_state import BuildState, Owner
from clx.course.display import Display, Reporter
from clx.course.explain import Reasons
from clx.course.kept_warnings import KeptWarnings
from clx.course.layout import Layout, Selection
from clx.course.moved_course import follow_move
from clx.course.name_clash import require_own_index
from clx.course.page_facts import Pages
from clx.course.pages.course_index import CourseIndex
from clx.course.plan import Plan, PlannedJob
from clx.course.planner import Planner
from clx.course.publish import Publisher, check_targets, usual_output
from clx.course.report import PRIVATE_TEXT, FailedOutput, Report, of_pointers
from clx.course.results import Outdated, Results
from clx.course.source_files import SourceFiles, check_name
from clx.course.spec import CourseSpec, load_spec
from clx.course.topics import find_course_root, resolve_topics
from clx.db.apart import link
from clx.db.database import Database
from clx.db.results import find_results
from clx.db.sqlite.driver import require_reachable
from clx.db.sqlite.lock_watch import tell_of_locks
from clx.db.state import StateDirectory
from clx.errors import CourseError, UsageError
from clx.jobtypes.notebook.reader import DeckReader
from clx.remote.stores import open_store
from clx.settings.resolve import Resolved
from clx.workers.executors.leftovers import remove_leftovers
from clx.workers.platforms import database_options
from clx.workers.supervision.checks import place_database, settings_for
from clx.workers.supervision.configured_workers import Fingerprints

if TYPE_CHECKING:
    from clx.course.session import Session
    from clx.course.stages import Stages
    from clx.course.withdraw import Withdrawn


_AGAIN = 2
"""How often jobs are run once more whose artifacts were gone when they ran."""


class BuildOptions(msgspec.Struct, frozen=True):
    """What is asked of a build.

    Attributes:
        spec: the course file.
        output: the output directory; None for ``<course root>/output``.
        database: the job table; None for ``<course root>/.clx/jobs.db``.
        force: run every job whether or not its result is known.
        fail_fast: stop at the first failure.
        dry_run: plan only; nothing is written.
        force_new_workers: never use workers that are running already.
        check_links: ask for every web address that pages link to.
    """

    spec: Path
    output: Path | None = None
    database: Path | None = None
    selection: Selection = Selection()
    force: bool = False
    fail_fast: bool = False
    dry_run: bool = False
    force_new_workers: bool = False
    check_links: bool = False


class Build:
    """One build of one course.

    Args:
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
        self._watched = session.watched if session is not None else None
        self._reporter = Reporter(display)
        self.report = self._reporter.report
        self._state = BuildState()
        self._copied = False
        self._made: tuple[object, ...] = ()
        """What is freed with this build, not before it is over."""

    def run(self) -> Report:
        """Do it.

        Raises:
            CourseError: the course cannot be built as it is written; nothing was written.
            StartupError: a tool, package or worker that it needs is not there.
            DatabaseError: the job table cannot be used.
            OutputError: the output tree cannot be written.
        """
        started = time.monotonic()
        looks_for_garbage = gc.isenabled()
        gc.disable()  # planning makes many objects and no garbage: looking for it takes a tenth of the time
        try:
            self._locate(self._spec())
            if self._database_path.exists():  # it is made only once the course is known to be sound
                self._state.database = self._open()
            self._build()
            self.report.seconds = time.monotonic() - started
            self.display.finished(self.report)
        finally:
            if looks_for_garbage:
                gc.enable()
            gc.unfreeze()
            if self._state.database is not None:
                self._state.database.close()
        return self.report

    def _spec(self) -> CourseSpec:
        try:
            return load_spec(self.options.spec)
        except CourseError as error:
            from clx.course.broken_spec import with_decks  # only where something is wrong

            raise with_decks(error, self.options.spec) from None

    def _locate(self, spec: CourseSpec) -> None:
        if self._watched is not None:
            self._watched.learn_spec(spec)
        self._root = find_course_root(self.options.spec)
        # real paths, so that one place spelled in two ways is still one place
        self._output = os.path.realpath(self.options.output or usual_output(self._root))
        check_name(str(self._root))
        check_name(self._output)
        if Path(self._output).is_relative_to(os.path.realpath(self._root / "slides")):
            raise UsageError(f"The output directory {self._output} lies among the sources.", "Choose another with -o.")
        self._owner = Owner(os.path.realpath(self.options.spec), self._output)
        self._layout = Layout(spec, self.options.selection)
        self._targets = self._layout.directories(Path(self._output))
        self._database_name = (self.options.database or self._root / ".clx" / "jobs.db").absolute()
        require_reachable(self._database_name)
        named = StateDirectory.of(self._database_name)
        named.require_sound()
        if self.options.database in (None, self.resolved.path("database.path")):
            named.require_own(self.resolved)
        self._database_path = place_database(self.resolved, self._database_name, move=not self.options.dry_run)
        self._directory = StateDirectory.of(self._database_path)
        self._store = open_store(self._directory.shared / "artifacts", self.resolved.settings.artifacts)
        self.report.course = spec.name.in_language(spec.languages[0])
        self.report.output, self.report.targets = self._output, self._targets
        self.report.dry_run = self.options.dry_run
        check_targets(self._targets)

    def _open(self) -> Database:
        settings = settings_for(self.resolved, self._database_path)
        remove_leftovers(self._database_path)
        opened = Database.open(self._database_path, **database_options(settings))
        link(self._database_name)
        tell_of_locks(opened, self.display.note)
        return opened

    def _build(self) -> None:
        is_known = self._state.knows(self._owner) or self._was_moved()
        require_own_index(self._state, self._owner, self._layout.spec, self.options.selection)
        plan = self._plan()
        directory = self._directory.path
        with closing(Publisher(self._targets, self._owner, self._state, self._store, directory)) as publisher:
            warnings = KeptWarnings(self._state, str(self._root))
            results = Results(plan, publisher, self._store, self._reporter, warnings)
            self._made = (*self._made, results)
            missing, outdated = self._compare(results)
            reasons = Reasons(str(self._root), self._state)
            self._tell_plan(plan, missing, reasons)
            results.warn_again({job.key for job in missing})
            if not self.options.dry_run:
                if self._state.database is None:
                    self._directory.prepare()
                    self._state.database = self._open()
                self._carry_out(results, missing, outdated, reasons, self._state.database)
                if not is_known and plan.hides_anything:
                    self._tell_of_nobody(results)
            self._tell_replaced(publisher)
        self.report.written = publisher.written

    def _was_moved(self) -> bool:
        """Whether what is known is that of the course in another place, which has been taken over then."""
        if self.options.dry_run or not follow_move(self._state, self._root, self._owner):
            return False
        self.display.note("The course was moved here: what is known of its files goes along.")
        return True

    def _plan(self) -> Plan:
        root, left_out = str(self._root), list[str]()
        shared = self.resolved.path("course.shared_modules")
        files = SourceFiles(self._root, self._state.files(root), shared=shared, own=self._own_directories())
        mistakes = list[str]()
        topics = resolve_topics(self._layout.spec, files.bounds, warn=left_out.append, mistakes=mistakes)
        known = self._state.sources(root)
        tools = Fingerprints(self.resolved, fetch=not self.options.dry_run)
        with nullcontext(self._session.reader) if self._session else DeckReader(self._get_ready) as reader:
            planner = Planner(self._layout, topics, files, self.resolved.settings, tools, known, reader, mistakes)
            self._made = (planner, topics)
            plan = planner.plan()
            if self._watched is not None:
                self._watched.learn_plan(plan, planner.closures.would_be_read())
        plan.warnings[:0] = left_out
        if files.junk:
            self.display.detail(f"Left out, as what tools and editors leave: {', '.join(sorted(set(files.junk)))}")
        self._learned = planner.learned()
        return plan

    def _get_ready(self) -> None:
        """Load what the build needs once it has a plan: a deck that has to be read will mostly have to run."""
        import_module("clx.course.run")
        if self._layout.spec.index:
            from clx.course.pages.writing import get_ready

            get_ready()

    def _own_directories(self) -> dict[str, str]:
        """The directories that CLX writes into, as real paths, each with what it is."""
        own = {
            self._output: "the output directory",
            os.path.realpath(self._root / ".clx"): "CLX's own directory .clx",
            os.path.realpath(self._directory.path): f"CLX's own directory {self._directory.path.name}",
        }
        for target in self._state.written_to(self._output):
            own.setdefault(target, f"the output of an earlier build in {target}")
        return own

    def _compare(self, results: Results) -> tuple[list[PlannedJob], list[Outdated]]:
        """The jobs that must run, and the files to write of those whose result is known."""
        if self._state.database is None or self.options.force:
            return list(results.plan.jobs), []
        unsure = results.not_current()
        known = find_results(self._state.database, [job.key for job in unsure]) if unsure else {}
        missing, outdated = results.compare(unsure, known)
        if any(job.made_from for job in missing):
            missing += self._stages(results, self._state.database).makers(missing)
        return missing, outdated

    def _stages(self, results: Results, database: Database) -> Stages:
        from clx.course.stages import Stages  # only where something is made of what other jobs make

        return Stages(results, self._store, database)

    def _tell_plan(self, plan: Plan, missing: list[PlannedJob], reasons: Reasons) -> None:
        self._reporter.warn(*plan.warnings)
        for note in plan.notes if missing else ():
            self.display.note(note)
        if plan.pointers:
            self.report.failures.append(of_pointers(plan.pointers))  # the summary tells it: it is no job
        report = self.report
        report.decks, report.jobs, report.to_run = plan.decks, len(plan.jobs), len(missing)
        report.reused = report.jobs - report.to_run
        report.reasons = reasons.tell(plan.jobs, {job.key for job in missing}, forced=self.options.force)
        self.display.planned(decks=report.decks, jobs=report.jobs, reused=report.reused)

    def _carry_out(
        self,
        results: Results,
        missing: list[PlannedJob],
        outdated: list[Outdated],
        reasons: Reasons,
        database: Database,
    ) -> None:
        """Everything that writes: publish what is known, run the rest, remove what is stale."""
        plan, publisher = results.plan, results.publisher
        self._state.remember(str(self._root), *self._learned)
        unchecked = [deck for deck in self._state.unchecked(self._owner) if deck in plan.hidden]
        fresh = [deck for deck in unchecked if plan.hidden[deck]]
        copies = results.static_files(self._root, fresh)
        withdrawn = self._withdraw(results, fresh) if fresh else None
        self._copied = bool(copies)
        if copies:
            publisher.publish(copies)
        missing += results.publish_known(outdated)
        if any(job.made_from for job in missing):
            missing += self._run_in_stages(database, missing, results, reasons)
        elif missing:
            self._run_jobs(database, missing, results, reasons)
        index = CourseIndex(self._root, self._layout.spec, self.options.selection, plan, publisher, self._store)
        unmade = self._remove_stale(results, missing, index)
        has_changed = bool(missing or outdated or self.report.removed)
        index.refresh(unmade, has_changed=has_changed, is_withdrawn=withdrawn is not None and bool(withdrawn.removed))
        self.report.files = len(results.wanted()) + index.count()
        self._check_links(results)
        if missing:
            if self.resolved.settings.jobs.prune:
                from clx.workers.supervision.pruning import prune_if_due  # nothing to run, nothing to tidy up

                prune_if_due(database)
            results.warnings.forget()
        if withdrawn is not None:
            self._tell_withdrawn(withdrawn, results)
        # for the decks that were refused all is looked at again next time
        refused = {each.source for each in self.report.failures if each.error.get("type") == PRIVATE_TEXT}
        self._state.checked(self._owner, [deck for deck in unchecked if deck not in refused])

    def _run_in_stages(
        self, database: Database, missing: list[PlannedJob], results: Results, reasons: Reasons, again: int = _AGAIN
    ) -> list[PlannedJob]:
        """Run jobs some of which are made from what others make; returns those that had to run beside *missing*.

        Args:
            again: how often those whose artifacts are nowhere are run once more, with what makes these.
        """
        stages = self._stages(results, database)
        more = stages.makers(missing)  # there are more where an artifact turned out to be damaged
        for jobs in stages.in_order([*missing, *more]):
            ready, refused = stages.ready(jobs)
            for failure in refused:
                self._reporter.fail(failure)
            if ready and not (self.options.fail_fast and self.report.failures):
                self._run_jobs(database, ready, results, reasons, again)
        return more

    def _run_jobs(
        self, database: Database, missing: list[PlannedJob], results: Results, reasons: Reasons, again: int = _AGAIN
    ) -> None:
        from clx.course.run import JobRunner  # a build with nothing to run need not import it

        gc.freeze()  # the plan lives as long as the build: to look through all of it, again and again, finds nothing
        gc.enable()
        runner = JobRunner(database, self.resolved, self._store, self._root, self.display, self._session)
        try:
            failures = runner.run(
                f"build {self.options.spec.name}",
                missing,
                results.publish,
                why=dict(self.report.reasons),
                fail_fast=self.options.fail_fast,
                new_workers=self.options.force_new_workers,
                makes_again=again > 0,
            )
        finally:
            done = [job for job in missing if job.key in results.done]
            reasons.remember(done)
        reasons.remember([job for job, _error in failures], failed=True)
        self.report.ran += len(failures) + len(done)
        self.report.failures += [FailedOutput(job.type, job.source, job.task, error) for job, error in failures]
        if runner.absent and not (self.options.fail_fast and failures):
            names = ", ".join(sorted({job.label for job in runner.absent}))
            self.display.note(f"Artifacts are not in the store any more, and made again: those of {names}.")
            self._store.forget()
            self._run_in_stages(database, runner.absent, results, reasons, again - 1)

    def _remove_stale(self, results: Results, missing: list[PlannedJob], index: CourseIndex) -> set[tuple[str, str]]:
        """Remove what the course no longer makes; jobs that failed or did not run keep all they had.

        Returns:
            Source and task of those.
        """
        wanted, publisher = {*results.wanted(), *index.wanted()}, results.publisher
        unmade = {(failure.source, failure.task) for failure in self.report.failures}
        unmade |= {(job.source, job.task) for job in missing if job.key not in results.done}
        unmade |= {(path, "") for path in results.plan.pointers}
        for failure in self.report.failures:
            failure.kept = publisher.files_of(failure.source, failure.task)
        removed, kept = publisher.remove_stale(wanted, self.options.selection, unmade)
        self.report.removed += removed
        self.report.kept += kept
        return unmade

    def _check_links(self, results: Results) -> None:
        """Warn of what pages refer to and is not there; a build that changed nothing says what the last one said."""
        publisher = results.publisher
        pages = Pages(results.plan, self.options.selection, self._state, self._owner, results.done)
        if not (publisher.written or pages.fresh or self.report.removed):
            told = pages.told()
        else:
            moved = self.report.removed or self.report.failures or self._copied
            only_pages = len(pages.fresh) == len(results.done)
            told = pages.told_of_the_same() if only_pages and not moved else None
        if told is None:
            from clx.course.link_check import LinkCheck  # what has not changed need not be looked at

            told = LinkCheck(self._root, results.plan, pages, self._targets, results.wanted()).warnings()
            pages.remember(told, whole=not self.report.failures)
        self._reporter.warn(*told)
        if self.options.check_links:
            self._ask_the_web(pages, results)

    def _ask_the_web(self, pages: Pages, results: Results) -> None:
        """Warn of web addresses that are not there."""
        from clx.course.link_check import LinkCheck  # a build that is not asked for it need not import them
        from clx.course.web_links import broken

        addresses = pages.on_the_web()
        self.display.note(f"Asking for {len(addresses)} web addresses that pages link to.")
        check = LinkCheck(self._root, results.plan, pages, self._targets, ())
        found = broken(addresses, self._state)
        self._reporter.warn(*(check.located(addresses[each], f"{each} {why}") for each, why in found.items()))

    # -- what was published before some cells were hidden -----------------------------------------

    def _withdraw(self, results: Results, fresh: list[str]) -> Withdrawn:
        from clx.course.withdraw import withdraw

        return withdraw(results.private, results.publisher, results.plan, fresh)

    def _tell_withdrawn(self, withdrawn: Withdrawn, results: Results) -> None:
        """Tell of files with private text: those that are gone, and those that have stayed, which fail their decks."""
        self.report.removed += withdrawn.gone()
        self._reporter.warn(withdrawn.warning())
        for failure in withdrawn.failures(results.private):
            self._reporter.fail(failure)

    def _tell_of_nobody(self, results: Results) -> None:
        """Tell of public files with private text that are there without CLX's knowing of them."""
        from clx.course.withdraw import of_nobody

        targets = zip(self._layout.targets, self._targets, strict=True)
        public = [directory for target, directory in targets if target.kinds != ("speaker",)]
        known = {target: set(files) for target, files in results.publisher.owned().items()}
        self._reporter.warn(of_nobody(results.private, public, known))

    def _tell_replaced(self, publisher: Publisher) -> None:
        if not publisher.replaced:
            return
        more = f" and {len(publisher.replaced) - 1} more" if len(publisher.replaced) > 1 else ""
        kept = f"replaced, and kept in {publisher.kept_in}"
        self._reporter.warn(f"{publisher.replaced[0]}{more}: not as CLX had written it; {kept}.")
