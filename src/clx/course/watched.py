"""Which changes below a course root can make a difference to what is built: all others begin no build.

A report or a log that lies in the course would otherwise begin builds without end, each of which writes it anew.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from clx.course.plan import Plan
from clx.course.spec import CourseSpec
from clx.jobtypes.registry import TYPE_OF_SOURCE

_ALWAYS = ("slides", "templates")
"""Directories in which something new may be a topic, a file of one, or a template."""
_INCLUDED = (*TYPE_OF_SOURCE, ".iuml")
"""Endings of files that diagrams may include from anywhere in the course, also such as are not there yet."""


class Watched:
    """What the builds of a watch have seen so far.

    Args:
        root: the course root, as a real path.
        spec: the course file.
        never: files that the builds themselves write.
    """

    def __init__(self, root: str, spec: Path, never: Sequence[Path] = ()) -> None:
        self._root = root
        self._spec = os.path.relpath(os.path.realpath(spec), root)
        self._never = {os.path.realpath(path) for path in never}
        self._written = _standard_files()
        self._patterns: list[str] = []
        self._folders: list[str] = [*_ALWAYS]
        self._named: set[str] = set()

    def learn_spec(self, spec: CourseSpec) -> None:
        """What the course file names."""
        topics = [topic for section in spec.sections for topic in section.topics]
        groups = [*spec.dir_groups, *(group for topic in topics for group in topic.dir_groups)]
        self._folders = [*_ALWAYS, *(group.path for group in groups)]
        # in fnmatch's patterns * stands for directories, too
        patterns = [pattern for topic in topics for pattern in topic.inputs]
        self._patterns = [*patterns, *(each.replace("**/", "") for each in patterns)]

    def learn_plan(self, plan: Plan, named: Iterable[str]) -> None:
        """What a plan reads or copies, and *named*: what it would read if it were there."""
        self._named = {path for job in plan.jobs for path, _ in job.files} | {copy.source for copy in plan.copies}
        self._named |= set(named)

    def matters(self, path: str) -> bool:
        """Whether a change of *path*, below the root, can make a difference."""
        if self._is_written(f"{self._root}/{path}"):
            return False
        return (
            path == self._spec
            or path in self._named
            or any(folder in ("", ".") or f"{path}/".startswith(f"{folder}/") for folder in self._folders)
            or path.endswith(_INCLUDED)
            or any(fnmatchcase(path, pattern) for pattern in self._patterns)
            or self._is_above(f"{path}/")
        )

    def _is_above(self, prefix: str) -> bool:
        """Whether it is a directory, come or gone, in which something that is named lies."""
        return any(each.startswith(prefix) for each in (*self._named, *self._patterns, *self._folders))

    def _is_written(self, full: str) -> bool:
        """Whether the builds write it: their report, or what they say (``clx build … > build.log``)."""
        if full in self._never:
            return True
        try:
            found = os.stat(full) if self._written else None  # noqa: PTH116
        except OSError:
            return False
        return found is not None and (found.st_dev, found.st_ino) in self._written


def _standard_files() -> set[tuple[int, int]]:
    """Device and inode of the files that standard output and standard error go to."""
    found = set()
    for number in (1, 2):
        try:
            told = os.fstat(number)
        except OSError:
            continue
        if stat.S_ISREG(told.st_mode):
            found.add((told.st_dev, told.st_ino))
    return found
