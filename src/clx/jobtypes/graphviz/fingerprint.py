"""What the pictures depend on besides their sources."""

from __future__ import annotations

from clx.settings.schema import Settings
from clx.tools.finding import locate
from clx.tools.fingerprint import tool_fingerprint

REVISION = "1"
"""Raised whenever this room turns the same source and the same tool into different bytes."""


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name the converter and Graphviz; fonts are not named."""
    return {"converter": REVISION, "dot": tool_fingerprint(locate("graphviz", settings))}
