"""What the pictures depend on besides their sources: cheap to ask, no process is started."""

from __future__ import annotations

from pathlib import Path

from clx.settings.schema import Settings
from clx.tools.finding import Tool, locate

REVISION = "1"
"""Raised whenever this room turns the same source and the same tools into different bytes."""


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name everything that decides about the pictures outside a job's inputs.

    A tool that CLX installed is named by its version (its bytes were verified), any other by place, size and
    time of change. A missing tool is ``absent``: without Graphviz diagrams are laid out by PlantUML itself
    and look different. Fonts are not named.
    """
    return {
        "converter": REVISION,
        "jar": _identity(locate("plantuml", settings)),
        "java": _identity(locate("java", settings)),
        "dot": _identity(locate("graphviz", settings)),
    }


def stamp(path: Path) -> str:
    """A file's resolved path, size in bytes and time of change in nanoseconds."""
    resolved = path.resolve()
    facts = resolved.stat()
    return f"{resolved} {facts.st_size} {facts.st_mtime_ns}"


def _identity(tool: Tool | None) -> str:
    if tool is None:
        return "absent"
    if tool.origin == "cache":
        return tool.version
    try:
        return stamp(tool.path)
    except OSError:
        return "absent"
