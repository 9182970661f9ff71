"""What a draw.io picture depends on outside its inputs; cheap enough for every build."""

from __future__ import annotations

from clx.jobtypes.drawio.tools import is_desktop
from clx.settings.schema import Settings
from clx.tools.finding import locate
from clx.tools.fingerprint import tool_fingerprint

REVISION = "1"
"""Revision of the converter: raised when the same diagram is drawn in another way."""


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name everything that decides how a diagram looks, except its own text and the options of its job."""
    browser = locate("browser", settings)
    found = {"converter": REVISION, "browser": tool_fingerprint(browser)}
    if browser is None or not is_desktop(browser.path):
        found["drawio"] = tool_fingerprint(locate("drawio", settings), "js/app.min.js")
        found["math"] = tool_fingerprint(locate("drawio-math", settings), "startup.js")
    return found
