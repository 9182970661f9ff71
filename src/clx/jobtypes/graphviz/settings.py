"""What can be set for Graphviz."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clx.settings.section import JobTypeSection


class GraphvizSettings(JobTypeSection, frozen=True):
    """``[graphviz]``: the diagram renderer for ``.dot`` and ``.gv`` files."""

    rank = 4
    on_demand = True

    dpi: Annotated[float, Meta(gt=0, le=1200)] = 192.0
    """Pixels per inch in PNG files, unless the graph says it itself."""


SETTINGS = GraphvizSettings
