"""What a draw.io picture depends on outside its inputs; cheap enough for every build."""

from __future__ import annotations

from clx.jobtypes.drawio.tools import is_desktop
from clx.settings.schema import Settings
from clx.tools.finding import locate
from clx.tools.fingerprint import tool_fingerprint


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name the browser and what it shows; draw.io desktop brings all with it."""
    browser = locate("browser", settings)
    found = {"browser": tool_fingerprint(browser)}
    if browser is None or not is_desktop(browser.path):
        found["drawio"] = tool_fingerprint(locate("drawio", settings), "js/app.min.js")
        found["math"] = tool_fingerprint(locate("drawio-math", settings), "startup.js")
    return found
