"""``clx check``: what a build would refuse or warn of, found without running or writing anything of the course.

Decks are expanded and read, their code is compiled, and they are set as pages without outputs, in a directory that is
thrown away; what pages refer to is compared with what a build would publish. What only running tells (errors of cells,
their outputs, whether a diagram can be drawn) is left to the build.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from clx.course.broken_spec import mistakes_of
from clx.course.layout import Layout, Selection
from clx.course.link_check import LinkCheck
from clx.course.mistakes import texts_of
from clx.course.page_facts import Reference
from clx.course.plan import OutputPath, Plan, PlannedJob
from clx.course.planner import Planner
from clx.course.private_text import PrivateText
from clx.course.publish import usual_output
from clx.course.report import of_pointers
from clx.course.source_files import SourceFiles, check_name
from clx.course.spec import CourseSpec, load_spec
from clx.course.topics import find_course_root, resolve_topics
from clx.errors import EXIT_DONE, EXIT_USAGE, ClxError, ConversionError, CourseError
from clx.jobtypes.notebook.reader import DeckReader
from clx.jobtypes.registry import JOB_TYPES
from clx.regular import read_regular
from clx.settings.resolve import Resolved
from clx.visible import visible_line
from clx.workers.supervision.checks import examine_workers
from clx.workers.supervision.configured_workers import Fingerprints

_FURTHER = re.compile(r"-\d+(?=\.\w+$)")


class Checked(msgspec.Struct):
    """What is wrong with a course.

    Attributes:
        mistakes: for which a build would end, or a job fail: ``place: fact``, in a second line what to do.
        warnings: what a build would warn of.
        hints: what this machine lacks for the build, each with what to do in a second line; and what of the course file
            a build makes nothing of.
    """

    decks: int = 0
    jobs: int = 0
    mistakes: list[str] = []
    warnings: list[str] = []
    hints: list[str] = []

    @property
    def exit_code(self) -> int:
        """What the command ends with: warnings are no mistakes."""
        return EXIT_USAGE if self.mistakes else EXIT_DONE


def check(path: Path, resolved: Resolved, selection: Selection | None = None) -> Checked:
    """Look at the course that the file *path* describes.

    Raises:
        UsageError: *selection* names something that the course does not have, or the root is none.
    """
    found = Checked()
    try:
        spec = load_spec(path)
    except CourseError as error:
        found.mistakes += mistakes_of(error, path)
        return found
    try:
        root = find_course_root(path)
        check_name(str(root))
    except CourseError as error:
        found.mistakes += texts_of(error)
        return found
    if spec.certificate is not None:
        kept = "certificate: is kept for other programs, CLX makes nothing of it"
        found.hints.append(visible_line(f"{spec.path}:{spec.certificate_line}: {kept}"))
    plan = _plan(spec, root, resolved, selection or Selection(), found)
    if plan is not None:
        found.decks, found.jobs = plan.decks, len(plan.jobs)
        found.mistakes += _diagrams(plan, root)
        found.mistakes += _copies(plan, root)
        with tempfile.TemporaryDirectory(prefix="clx-check-") as directory:
            pages = _Pages(plan, root, Path(directory), found)
            found.warnings += [text for text in _links(plan, root, pages, directory) if text not in found.warnings]
    types = sorted({job.type for job in plan.jobs} if plan is not None else {"notebook"})
    missing = [each for each in examine_workers(resolved, types) if each.required and not each.ok]
    found.hints += [f"{each.name} (for {each.needed_by}): {each.detail}\n{each.hint}".rstrip() for each in missing]
    return found


def _plan(spec: CourseSpec, root: Path, resolved: Resolved, selection: Selection, found: Checked) -> Plan | None:
    """The plan of a build that knows nothing; None, and the mistakes, if there can be none."""
    layout = Layout(spec, selection)
    own = {
        os.path.realpath(usual_output(root)): "the output directory",
        os.path.realpath(root / ".clx"): "CLX's own directory .clx",
    }
    mistakes: list[str] = []
    with DeckReader() as reader:
        try:
            files = SourceFiles(root, {}, shared=resolved.path("course.shared_modules"), own=own)
            topics = resolve_topics(spec, files.bounds, warn=found.warnings.append, mistakes=mistakes)
            tools = Fingerprints(resolved, fetch=False)
            plan = Planner(layout, topics, files, resolved.settings, tools, {}, reader, mistakes).plan()
        except CourseError as error:
            found.mistakes += texts_of(error)
            return None
    found.warnings += plan.warnings
    if plan.pointers:
        failed = of_pointers(plan.pointers)
        found.mistakes.append(f"{failed.line}\n{failed.error['next_step']}")
    return plan


def _diagrams(plan: Plan, root: Path) -> Iterator[str]:
    """What is wrong with the sources of diagrams."""
    for job in plan.jobs:
        try:
            JOB_TYPES[job.type].read_through(root, job.source)
        except ModuleNotFoundError:
            continue  # a hint tells of it
        except ConversionError as error:
            place = f"{job.source}:{error.line}" if error.line else job.source
            yield f"{visible_line(f'{place}: {error.fact}')}\n{visible_line(error.next_step)}".rstrip()


def _copies(plan: Plan, root: Path) -> Iterator[str]:
    """Copied files that hold the text of a hidden cell."""
    private = PrivateText(plan.hidden, plan.names)
    for copy in plan.copies if plan.hides_anything else ():
        if any(place.is_public for place in copy.places) and (hit := private.look(root / copy.source, copy.source)):
            line, message = hit.error.get("source_line"), hit.error["message"]
            place = f"{hit.deck}:{line}" if line else hit.deck
            yield f"{visible_line(f'{place}: {message}')}\n{hit.error['next_step']}"


class _Pages:
    """The pages of all decks without outputs, and what they refer to; warnings and mistakes go into *found*."""

    def __init__(self, plan: Plan, root: Path, outputs: Path, found: Checked) -> None:
        self._facts: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._jobs = [job for job in plan.jobs if job.payload.get("task") in ("render", "execute")]
        try:
            from clx.jobtypes.notebook.conversion import DeckFiles
        except ModuleNotFoundError:
            return  # a hint tells of it
        files = DeckFiles(lambda _path: None)
        told = dict.fromkeys(found.warnings)
        for job in self._jobs:
            if (job.source, job.payload["lang"]) in self._facts:
                continue
            warnings: list[str] = []
            try:
                self._facts[job.source, job.payload["lang"]] = _rendered(files, job, root, outputs, warnings)
            except ClxError as error:
                found.mistakes.append(f"{visible_line(f'{job.label}: {error.fact}')}\n{error.next_step}".rstrip())
            told |= dict.fromkeys(visible_line(f"{job.source}: {text}") for text in warnings)
        found.warnings[:] = told

    def all(self) -> Iterator[tuple[str, OutputPath, Mapping[str, Any]]]:
        """Each page that a build makes with its deck, its place, and what it refers to."""
        for job in self._jobs:
            for page, found in self._facts.get((job.source, job.payload["lang"]), {}).items():
                for place in job.places.get(page, ()):
                    yield job.source, place, found


def _rendered(files: Any, job: PlannedJob, root: Path, outputs: Path, warnings: list[str]) -> Mapping[str, Any]:
    """Set all pages of a deck without running anything; returns what each refers to."""
    from clx.jobtypes.notebook.job import read_job

    asked = read_job({**job.payload, "task": "render", "evaluate": False})
    files.look_at_code(read_job(job.payload), root, warnings.append)
    pages: Mapping[str, Any] = files.render(asked, root, outputs, warnings.append)["pages"]
    return pages


def _links(plan: Plan, root: Path, pages: _Pages, nowhere: str) -> Iterator[str]:
    """Warnings of references that lead nowhere, but for such as only a build can judge."""
    published = _Published(plan)
    looked = LinkCheck(root, plan, pages, [nowhere] * (1 + max((t for t, _ in plan.places), default=0)), published)
    yield from looked.warnings(unless=lambda ref: _may_be_written(root, ref))


class _Published(frozenset[tuple[int, str]]):
    """What a build publishes; diagrams may have any number of pages."""

    def __new__(cls, plan: Plan) -> _Published:
        """The places of *plan*."""
        directories = {
            (target, "/".join(parts[:depth]))
            for target, path in plan.places
            for parts in [path.split("/")]
            for depth in range(1, len(parts))
        }
        return super().__new__(cls, plan.places.keys() | directories)

    def __contains__(self, place: object) -> bool:
        if super().__contains__(place):
            return True
        target, path = place if isinstance(place, tuple) else (0, "")
        return super().__contains__((target, _FURTHER.sub("", path)))


def _may_be_written(root: Path, ref: Reference) -> bool:
    """Whether a deck's code names the file that its text refers to: running it may write the file."""
    name = ref.written.partition("#")[0].rpartition("/")[2]
    text = read_regular(root / ref.deck).decode("utf-8", "replace")
    lines: Collection[str] = [line for line in text.splitlines() if name in line]
    return bool(name) and any(not line.lstrip().startswith(("#", "//", "![", "<")) for line in lines)
