"""Which worker types a course needs, without planning it."""

from __future__ import annotations

from pathlib import Path

from clx.course.diagrams import diagram_type
from clx.course.layout import PDF_FORMATS
from clx.course.source_files import SourceFiles
from clx.course.spec import load_spec
from clx.course.topics import find_course_root, resolve_topics
from clx.settings.schema import Settings


def worker_types(spec_path: Path, settings: Settings) -> list[str]:
    """The worker types that the course's sources call for.

    Raises:
        CourseError: the course cannot be read.
    """
    spec = load_spec(spec_path)
    root = find_course_root(spec_path)
    files = SourceFiles(root, {})
    found = {"notebook"}
    if any(format_ in PDF_FORMATS for target in spec.output_targets for format_ in target.formats):
        found.add("pdf")
    for place in resolve_topics(spec, files.bounds):
        topic = place.topic
        members = files.tree(topic.path) if topic.is_directory else files.listing(topic.base)
        found |= {type_ for path in members if (type_ := diagram_type(path, files, settings))}
    return sorted(found)
