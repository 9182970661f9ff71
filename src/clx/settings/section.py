"""What settings sections are made of: their base, and the types of values that say what they reach."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

Reach = Literal["program", "image", "place", "places", "server", "network", "pull", "mode", "own"]
"""What a setting makes the machine do outside of the project that wrote it; :mod:`clx.settings.reach` decides by it."""


def _reach(kind: Reach) -> dict[str, Reach]:
    return {"reach": kind}


ExecutionMode = Literal["direct", "docker"]
Count = Annotated[int, Meta(ge=0, le=256)]
Seconds = Annotated[float, Meta(gt=0, le=7 * 24 * 3600)]

# Text that names something is never empty, and every kind of it says what it reaches.
Program = Annotated[str, Meta(min_length=1, extra=_reach("program"))]
"""What is run on this machine."""
Image = Annotated[str, Meta(min_length=1, extra=_reach("image"))]
"""What is fetched and run in a container."""
Place = Annotated[str, Meta(min_length=1, extra=_reach("place"))]
"""What is opened and written."""
Network = Annotated[str, Meta(min_length=1, extra=_reach("network"))]
"""What containers can talk to."""
Server = Annotated[str, Meta(min_length=1, extra=_reach("server"))]
"""What is connected to, and where work and results go."""
OwnPlace = Annotated[str, Meta(min_length=1, extra=_reach("own"))]
"""What only the user can name."""
Secret = Annotated[str, Meta(min_length=1, extra={"reach": "own", "secret": True})]
"""What only the user can name, and nobody is shown."""
Places = tuple[Annotated[str, Meta(min_length=1)], ...]
"""Directories that are read and run from."""
Names = tuple[Annotated[str, Meta(min_length=1)], ...]
"""Names of what is imported."""
Pull = Annotated[bool, Meta(extra=_reach("pull"))]
"""Whether a registry is asked."""
Mode = Annotated[ExecutionMode, Meta(extra=_reach("mode"))]
"""Whether the code of a course runs in containers."""


class Section(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Base of all settings sections: unknown keys are errors, values never change."""


class JobTypeSection(Section, frozen=True):
    """Base of the section that a job type brings in ``settings.py`` of its room; it is called like the room."""

    rank: ClassVar[int]
    """The place of the job type where job types are listed."""
    on_demand: ClassVar[bool] = False
    """Whether only a course with sources for it starts its workers: services have none unless its settings say so."""
    uses: ClassVar[tuple[str, ...]] = ()
    """Settings of other job types, as dotted keys, that name what it runs."""
