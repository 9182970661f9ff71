"""Two course files of one name in one output directory: their indexes would overwrite each other.

What was written before belongs to a course file (``outputs.course``). One that is gone was moved or renamed: what it
wrote is taken over without a word, and so is that of one that would write elsewhere now.
"""

from __future__ import annotations

from pathlib import Path

from clx.course.build_state import BuildState, Owner
from clx.course.layout import Selection
from clx.course.pages.places import INDEX, Shelves
from clx.course.spec import CourseSpec, load_spec
from clx.errors import ClxError, CourseError


def require_own_index(state: BuildState, owner: Owner, spec: CourseSpec, selection: Selection) -> None:
    """Make sure that no other course file has its index where this one would write its own.

    Raises:
        CourseError: one has.
    """
    for place in _indexes(spec, owner.output, selection):
        other = state.owner_of(*place)
        if other is not None and other.course != owner.course and _writes(other, place, owner):
            raise CourseError(
                f"{spec.path}: {other.course} has this name, too, and its pages lie in {place[0]}",
                f"Give one of them another name:, or build {Path(spec.path).name} with -o DIR into another directory.",
            )


def _indexes(spec: CourseSpec, output: str, selection: Selection) -> dict[tuple[str, str], None]:
    """Target and path of the index of each language and kind; the top page of a target belongs to all its courses."""
    if not spec.index:
        return {}
    shelves = Shelves(spec, selection)
    targets = shelves.layout.directories(Path(output))
    return {(targets[shelf.target], shelf.place(INDEX).path): None for shelf in shelves.all}


def _writes(other: Owner, place: tuple[str, str], owner: Owner) -> bool:
    """Whether another course file is there and would still write its index to *place*."""
    try:
        if Path(other.course).samefile(owner.course):
            return False
        return place in _indexes(load_spec(Path(other.course)), other.output, Selection())
    except OSError:  # it was moved, renamed or removed
        return False
    except ClxError:
        return True  # with mistakes in it nobody can tell: its pages are there
