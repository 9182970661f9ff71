"""Where a course lies and which topics it has (design §5).

Course root: the nearest directory, from the spec's own upwards, that holds ``slides/``. A topic is
``slides/<any directory>/<a>_<b>_<id…>``: a directory, or a deck file.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from clx.course.spec import CourseSpec, TopicRef
from clx.errors import CourseError
from clx.settings.owners import require_own
from clx.settings.project import upwards
from clx.workers.notebook.deck import is_deck


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic found in the repository.

    Attributes:
        id: its name without extension, minus the first two parts.
        path: POSIX path below the course root.
        is_directory: whether it is a directory; else it is one deck file.
    """

    id: str
    path: str
    is_directory: bool

    @property
    def base(self) -> str:
        """The directory its files lie in, relative to the course root."""
        return self.path if self.is_directory else self.path.rpartition("/")[0]

    @property
    def directory(self) -> str:
        """The directory below ``slides/`` that holds it."""
        return self.path.split("/")[1]


@dataclass(frozen=True, slots=True)
class CourseTopic:
    """A topic in its place in the course."""

    section: int
    ref: TopicRef
    topic: Topic


def find_course_root(spec_path: Path) -> Path:
    """The course's directory.

    Raises:
        CourseError: no directory from the spec's own upwards holds ``slides/``.
        UntrustedError: one above the spec's holds it, and it is somebody else's.
    """
    start = Path(os.path.abspath(spec_path)).parent  # noqa: PTH100  (symbolic links stay as they are written)
    for folder in upwards(start):
        if (folder / "slides").is_dir():
            if folder != start:  # whoever may write a directory above could put it there
                require_own(folder / "slides")
            return folder
    raise CourseError(
        f"{spec_path}: no directory from {start} upwards holds slides/.",
        "Put the topics into slides/<module>/topic_100_<id>/, or start with `clx new DIR`.",
    )


def find_topics(root: Path) -> dict[str, list[Topic]]:
    """Every topic of a course by id, in the order of their paths.

    Raises:
        CourseError: a directory may not be read.
    """
    found: dict[str, list[Topic]] = {}
    for module, is_module in _listed(root / "slides"):
        if not is_module or module.startswith("."):
            continue
        for name, is_directory in _listed(root / "slides" / module):
            topic = _topic(module, name, is_directory)
            if topic is not None:
                found.setdefault(topic.id, []).append(topic)
    return found


def _listed(folder: Path) -> list[tuple[str, bool]]:
    """What lies in a directory, by name, and whether each is a directory itself."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        raise CourseError(f"{folder} cannot be read: {error.strerror}.", "Correct its permissions.") from error


def _topic(module: str, name: str, is_directory: bool) -> Topic | None:
    if name.startswith("."):
        return None
    if not is_directory and not is_deck(name):
        return None
    stem = name if is_directory else name.rpartition(".")[0]
    parts = stem.split("_", 2)
    if len(parts) < 3 or not parts[2]:
        return None
    return Topic(parts[2], f"slides/{module}/{name}", is_directory)


def resolve_topics(spec: CourseSpec, root: Path) -> list[CourseTopic]:
    """The topics the spec names, in order.

    Raises:
        CourseError: ids are unknown or occur in two places; all of them at once.
    """
    known = find_topics(root)
    found, problems = [], []
    for number, section in enumerate(spec.sections):
        for index, ref in enumerate(section.topics):
            named = known.get(ref.bare_id, [])
            candidates = [topic for topic in named if ref.directory in (None, topic.directory)]
            if len(candidates) == 1:
                found.append(CourseTopic(number, ref, candidates[0]))
            elif candidates:
                problems.append((spec.where(number, index), _ambiguous(ref, candidates)))
            else:
                problems.append((spec.where(number, index), _unknown(ref, known)))
    if problems:
        lines = [f"{where}: {fact}" for where, (fact, _) in problems]
        raise CourseError("\n".join(lines[:20]), problems[0][1][1])
    return found


def _ambiguous(ref: TopicRef, candidates: list[Topic]) -> tuple[str, str]:
    names = ", ".join(topic.path for topic in candidates)
    return f'the topic "{ref.id}" occurs more than once: {names}', (
        f"Write which one, for example {candidates[0].directory}/{ref.bare_id}."
        if len({topic.directory for topic in candidates}) > 1
        else "Rename one of them."
    )


def _unknown(ref: TopicRef, known: dict[str, list[Topic]]) -> tuple[str, str]:
    near = difflib.get_close_matches(ref.bare_id, known, n=1)
    if ref.directory and ref.bare_id in known:
        return f'there is no topic "{ref.id}"', f"It is in {known[ref.bare_id][0].path}."
    hint = f'Did you mean "{near[0]}"?' if near else "Topics are named slides/<module>/topic_100_<id>."
    return f'there is no topic "{ref.id}" below slides/', hint
