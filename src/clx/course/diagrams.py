"""Which files of a course are diagrams, and who draws them."""

from __future__ import annotations

from os.path import splitext

from clx.course.source_files import SourceFiles
from clx.jobtypes.registry import JOB_TYPES, TYPE_OF_SOURCE
from clx.settings.job_types import SECTIONS
from clx.settings.schema import Settings


def diagram_type(path: str, files: SourceFiles, settings: Settings) -> str | None:
    """The job type that draws the file at *path* below the course root; None for files that are copied as they are.

    A job type on demand of which the settings want no workers draws nothing.
    """
    type_ = TYPE_OF_SOURCE.get(splitext(path)[1].lower())  # noqa: PTH122  (every file of every build)
    if type_ is None or (SECTIONS[type_].on_demand and settings.workers.of(type_).count == 0):
        return None
    return type_ if JOB_TYPES[type_].is_source(files.root / path) else None


def told_of_part(source: str) -> str:
    """The warning of a source without a diagram that none of the course's diagrams includes."""
    return f"{source} has no diagram (no line begins with @start), and none includes it: no picture is made of it."
