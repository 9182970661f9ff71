"""What can be set for PlantUML."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clx.settings.section import JobTypeSection, Program


class PlantUmlSettings(JobTypeSection, frozen=True):
    """``[plantuml]``: the diagram renderer for ``.pu``, ``.puml`` and ``.plantuml`` files."""

    rank = 2

    jar: Program | None = None
    """Path of ``plantuml.jar``; unset: looked up as ``clx tools list`` shows."""
    java: Program | None = None
    """Java executable; unset: ``java`` on the path."""
    scale: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """How many times as many pixels PNG files have as PlantUML gives them by itself; 2 is sharp on a projector."""


SETTINGS = PlantUmlSettings
