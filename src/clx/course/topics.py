"""Where a course lies and which topics it has.

Course root: the nearest directory, from the spec's own upwards, that holds ``slides/``. A topic is
``slides/<any directory>/<a>_<b>_<id…>``: a directory, or a deck file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from clx.course.spec import CourseSpec, TopicRef
from clx.course.symlinks import OUTSIDE, Bounds
from clx.errors import CourseError
from clx.jobtypes.notebook.deck import decks_among
from clx.settings.owners import require_own
from clx.settings.project import upwards
from clx.visible import visible_line


class Topic(msgspec.Struct, frozen=True):
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


class CourseTopic(msgspec.Struct, frozen=True):
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


class _Found:
    """Every topic of a course, by id, in the order of their paths."""

    def __init__(self, bounds: Bounds) -> None:
        self.topics: dict[str, list[Topic]] = {}
        self.left_out: dict[str, list[tuple[str, str]]] = {}
        """By the id of a topic: links behind which it would be, each with where it leads."""
        self._bounds = bounds
        slides = bounds.root / "slides"
        self._slides = bounds.misled(str(slides))
        for module in _listed(slides):
            if module.is_dir() and not module.name.startswith("."):
                self._module(module)

    def _module(self, module: os.DirEntry[str]) -> None:
        behind = self._misled(module, f"slides/{module.name}")
        entries = _listed(Path(module.path), is_ours=behind is None)
        decks = set(decks_among([entry.name for entry in entries]))
        for entry in entries:
            if not entry.is_dir() and entry.name not in decks:
                continue
            topic = _topic(module.name, entry.name, entry.is_dir())
            if topic is None:
                continue
            link = behind or self._misled(entry, topic.path)
            if link:
                self.left_out.setdefault(topic.id, []).append(link)
            else:
                self.topics.setdefault(topic.id, []).append(topic)

    def _misled(self, entry: os.DirEntry[str], path: str) -> tuple[str, str] | None:
        """The path of a link, and where it leads that it must not; None when it is no such link."""
        if self._slides:
            return "slides", self._slides
        where = self._bounds.misled(entry.path) if entry.is_symlink() else ""
        return (path, where) if where else None


def _listed(folder: Path, *, is_ours: bool = True) -> list[os.DirEntry[str]]:
    """What lies in a directory, by name; nothing when it is somebody else's and cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if not is_ours:
            return []
        raise CourseError(f"{folder} cannot be read: {error.strerror}.", "Correct its permissions.") from error


def _topic(module: str, name: str, is_directory: bool) -> Topic | None:
    if name.startswith("."):
        return None
    stem = name if is_directory else name.rpartition(".")[0]
    parts = stem.split("_", 2)
    if len(parts) < 3 or not parts[2]:
        return None
    return Topic(parts[2], f"slides/{module}/{name}", is_directory)


def resolve_topics(
    spec: CourseSpec,
    bounds: Bounds,
    *,
    warn: Callable[[str], None] = lambda _text: None,
    mistakes: list[str] | None = None,
) -> list[CourseTopic]:
    """The topics the spec names, in order.

    Args:
        warn: is told of topics that are left out because they lie behind links to what is outside of *bounds*.
        mistakes: gets what is wrong with ids, which is no error then: there may be more that is wrong elsewhere.

    Raises:
        CourseError: ids are unknown or occur in two places, or a directory may not be read; all of them at once.
    """
    known = _Found(bounds)
    found, problems = [], []
    for number, section in enumerate(spec.sections):
        for index, ref in enumerate(section.topics):
            named = known.topics.get(ref.bare_id, [])
            candidates = [topic for topic in named if ref.directory in (None, topic.directory)]
            if len(candidates) == 1:
                found.append(CourseTopic(number, ref, candidates[0]))
            elif candidates:
                problems.append((spec.where(number, index), _ambiguous(ref, candidates)))
            elif ref.bare_id in known.left_out:
                warn(_left_out(ref, known.left_out[ref.bare_id]))
            else:
                problems.append((spec.where(number, index), _unknown(ref, known.topics)))
    if mistakes is not None:
        mistakes += [f"{visible_line(f'{where}: {fact}')}\n{step}" for where, (fact, step) in problems]
    elif problems:
        lines = [visible_line(f"{where}: {fact}") for where, (fact, _) in problems]
        raise CourseError("\n".join(lines[:20]), problems[0][1][1])
    return found


def _left_out(ref: TopicRef, links: list[tuple[str, str]]) -> str:
    told = ", ".join(f"{path} is a link to {where}" for path, where in dict.fromkeys(links))
    outside = any(where == OUTSIDE for _, where in links)
    step = " If you trust what is there: clx config set --user course.shared_modules DIR" if outside else ""
    return f'the topic "{ref.id}" was left out: {told}.{step}'


def _ambiguous(ref: TopicRef, candidates: list[Topic]) -> tuple[str, str]:
    names = ", ".join(topic.path for topic in candidates)
    return f'the topic "{ref.id}" occurs more than once: {names}', (
        f"Write which one, for example {candidates[0].directory}/{ref.bare_id}."
        if len({topic.directory for topic in candidates}) > 1
        else "Rename one of them."
    )


def _unknown(ref: TopicRef, known: dict[str, list[Topic]]) -> tuple[str, str]:
    import difflib  # a build of a course that is right need not

    from clx.spelling import nearly

    near = difflib.get_close_matches(ref.bare_id, known, n=1)
    if ref.directory and ref.bare_id in known:
        return f'there is no topic "{ref.id}"', f"It is in {known[ref.bare_id][0].path}."
    hint = nearly(ref.bare_id, known)
    if hint:
        return f'there is no topic "{ref.id}" below slides/', hint
    hint = f'Did you mean "{near[0]}"?' if near else "Topics are named slides/<module>/topic_100_<id>."
    return f'there is no topic "{ref.id}" below slides/', hint
