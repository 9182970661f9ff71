"""What the pictures depend on besides their sources: cheap to ask, no process is started."""

from __future__ import annotations

from clx.settings.schema import Settings
from clx.tools.finding import locate
from clx.tools.fingerprint import tool_fingerprint

REVISION = "1"
"""Raised whenever this room turns the same source and the same tools into different bytes."""


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name everything that decides about the pictures outside a job's inputs.

    Graphviz too: without it diagrams are laid out by PlantUML itself and look different. Fonts are not named.
    """
    tools = {"jar": "plantuml", "java": "java", "dot": "graphviz"}
    found = {name: tool_fingerprint(locate(tool, settings)) for name, tool in tools.items()}
    return {"converter": REVISION, **found}
