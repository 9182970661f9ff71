"""What a draw.io picture depends on outside its inputs; cheap enough for every build."""

from __future__ import annotations

from pathlib import Path

from clx.jobtypes.drawio.tools import is_desktop
from clx.settings.schema import Settings
from clx.tools.finding import Tool, locate

REVISION = "1"
"""Revision of the converter: raised when the same diagram is drawn in another way."""


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name everything that decides how a diagram looks, except its own text and the options of its job.

    Starts no process. Tools that are missing are named ``missing``; the conversion says what to install.
    """
    browser = locate("browser", settings)
    found = {"converter": REVISION, "browser": _executable_identity(browser)}
    if browser is None or not is_desktop(browser.path):
        found["drawio"] = _application_identity(locate("drawio", settings), "js/app.min.js")
        found["math"] = _application_identity(locate("drawio-math", settings), "startup.js")
    return found


def _executable_identity(tool: Tool | None) -> str:
    """A browser that CLX installed is known by its version, any other one by its file."""
    if tool is None:
        return "missing"
    return tool.version if tool.origin == "cache" else _file_identity(tool.path)


def _application_identity(tool: Tool | None, main_file: str) -> str:
    """An installed copy is known by its version alone, any other one by its largest file."""
    if tool is None:
        return "missing"
    return tool.version if tool.origin == "cache" else _file_identity(tool.path / main_file)


def _file_identity(path: Path) -> str:
    resolved = path.resolve()
    try:
        facts = resolved.stat()
    except OSError:
        return "missing"
    return f"{resolved} {facts.st_size} {facts.st_mtime_ns}"
