"""The sections that job types bring, found by their rooms: this room lies below them and imports none by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import msgspec

from clx.settings.section import JobTypeSection, Section

S = TypeVar("S", bound=Section)


def _rooms() -> Iterator[tuple[str, type[JobTypeSection]]]:
    for place in (Path(__file__).parents[1] / "jobtypes").glob("*/settings.py"):
        yield place.parent.name, import_module(f"clx.jobtypes.{place.parent.name}.settings").SETTINGS


SECTIONS: dict[str, type[JobTypeSection]] = dict(sorted(_rooms(), key=lambda room: room[1].rank))
"""Job type → its section, in the order in which job types are listed."""


def for_each_job_type(kind: Callable[[str], type[Section]]) -> Callable[[type[S]], type[S]]:
    """Give a section one more for every job type, called like it; *kind* says which class it has."""

    def with_sections(base: type[S]) -> type[S]:
        fields = [(name, kind(name), kind(name)()) for name in SECTIONS]
        made = msgspec.defstruct(base.__name__, fields, bases=(base,), module=base.__module__, frozen=True)
        made.__doc__ = base.__doc__
        return made  # type: ignore[return-value]

    return with_sections
