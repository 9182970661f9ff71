"""What can be set for draw.io."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clx.settings.section import JobTypeSection, Program


class DrawioSettings(JobTypeSection, frozen=True):
    """``[drawio]``: the diagram renderer for ``.drawio`` files."""

    rank = 3

    executable: Program | None = None
    """draw.io desktop or a headless Chromium; unset: looked up as ``clx tools list`` shows."""
    scale: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """Pixels per diagram unit in PNG files."""
    border: Annotated[int, Meta(ge=0, le=1000)] = 10
    """Empty margin around a page, in diagram units."""


SETTINGS = DrawioSettings
