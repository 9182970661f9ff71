"""Fences with ``mermaid``, drawn when a page is made, by the browser that draws draw.io files too."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import re
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from clx.errors import ConversionError
from clx.jobtypes.drawio.tools import is_desktop
from clx.jobtypes.notebook.markup import NotDrawnError
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint
from clx.tools.finding import locate

_ASSETS = Path(__file__).with_name("assets") / "mermaid"
_LIBRARY = "mermaid-11.17.2.min.js.gz"
_ORIGIN = "https://mermaid.invalid"
_START = f"{_ORIGIN}/draw.html"
_SECONDS = 30.0
"""Time that one diagram may take."""
_HEADERS = {
    ".html": {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:"
    },
    ".js": {"Content-Type": "text/javascript; charset=utf-8"},
}
_OWN_COLOURS = re.compile(r"%%\{\s*init\b.*?theme|^---\s*$.*?\btheme\s*:.*?^---\s*$", re.DOTALL | re.MULTILINE)
_KEPT = 500
"""Diagrams that are remembered."""


class MermaidDrawer:
    """Draws diagrams; starts a browser for the first one and keeps it, and every diagram it has drawn."""

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self._settings = settings
        self._work_dir = work_dir
        self._page: Any = None
        self._drawn: dict[str, str] = {}

    def html(self, source: str, label: str) -> str:
        """A diagram as pictures for light and for dark pages; *label* says in the page's language what it is.

        Raises:
            NotDrawnError: its source is wrong, or there is no browser.
            ConversionError, ToolMissingError: the browser ended, or does not start.
        """
        asked = f"{label}\0{source}"
        if asked not in self._drawn:
            if len(self._drawn) >= _KEPT:
                self._drawn.clear()
            self._drawn[asked] = self._html(source, label)
        return self._drawn[asked]

    def close(self) -> None:
        """End the browser. Idempotent."""
        page, self._page = self._page, None
        if page is not None:
            page.close()

    def _html(self, source: str, label: str) -> str:
        if not source.strip():
            raise NotDrawnError("it is empty")
        modes = ["light"] if _OWN_COLOURS.search(source) else ["light", "dark"]
        drawn = self._draw(source, modes)
        pictures = [
            _picture(each, label, mode if len(modes) > 1 else "") for each, mode in zip(drawn, modes, strict=True)
        ]
        return f'<div class="mermaid">{"".join(pictures)}</div>\n'

    def _draw(self, source: str, modes: list[str]) -> list[Mapping[str, Any]]:
        from clx.jobtypes.browser import BrowserDiedError, ScriptError

        page, is_new = self._page, self._page is None
        if page is None:
            page = self._page = self._started()
        deadline = time.monotonic() + _SECONDS
        try:
            if not is_new:
                page.go(_START, deadline)  # the library counts what it has drawn, and the counts are in the pictures
            found: dict[str, Any] = page.evaluate(f"clx.draw({json.dumps(source)}, {json.dumps(modes)})", deadline)
        except TimeoutError:
            self._discard()
            raise NotDrawnError(f"it was not drawn within {_SECONDS:g} s") from None
        except ScriptError as error:
            raise NotDrawnError(str(error)) from None
        except BrowserDiedError as error:
            self._discard()
            fact = f"The browser ended while it drew a diagram: {error}"
            raise ConversionError(fact, "Try again.", retryable=True) from None
        except BaseException:
            self._discard()
            raise
        if "problem" in found:
            raise NotDrawnError(_problem(found["problem"]))
        pictures: list[Mapping[str, Any]] = found["pictures"]
        return pictures

    def _started(self) -> Any:
        from clx.jobtypes.browser import BrowserDiedError, starting
        from clx.jobtypes.browser_page import SitePage

        browser = locate("browser", self._settings)
        if browser is None or is_desktop(browser.path):
            raise NotDrawnError(f"there is no browser that draws it (type: {install_hint('browser')})")
        step = f"Type: {browser.path} --version, or choose another one with drawio.executable."
        try:
            with starting(browser.path, step):
                return SitePage(browser.path, self._work_dir, _START, _answer)
        except BrowserDiedError as error:
            raise ConversionError(f"The browser was killed: {error}", "Try again.", retryable=True) from None

    def _discard(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            page.browser.kill()


def _answer(url: str) -> tuple[Mapping[str, str], bytes] | None:
    name = url.removeprefix(f"{_ORIGIN}/")
    if name == "mermaid.min.js":
        return _HEADERS[".js"], _library()
    if name not in {"draw.html", "draw.js"}:
        return None
    return {"Content-Type": "text/html; charset=utf-8", **_HEADERS[Path(name).suffix]}, (_ASSETS / name).read_bytes()


@functools.cache
def _library() -> bytes:
    return gzip.decompress((_ASSETS / _LIBRARY).read_bytes())


def _picture(drawn: Mapping[str, Any], label: str, mode: str) -> str:
    words = " ".join(str(drawn["words"]).split())
    alt = escape(f"{label}: {words[:300]}" if words else label)
    css = f' class="{mode}"' if mode else ""
    data = base64.b64encode(str(drawn["svg"]).encode()).decode("ascii")
    width = int(drawn["width"])
    # slides, whose text is larger, show it larger, too
    size = f'width="{width}" height="{int(drawn["height"])}" style="--drawn:{width}"'
    return f'<img{css} alt="{alt}" {size} src="data:image/svg+xml;base64,{data}">'


def _problem(message: str) -> str:
    """What mermaid says, on one line: where, and what it found there."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    found = re.search(r"got '([^']*)'", lines[-1]) if lines else None
    first = lines[0].rstrip(":") if lines else "unknown error"
    if found and found[1] == "EOF":
        return "it ends too early"
    return f"{first}, at {found[1]!r}" if found and len(lines) > 1 else first[:200]
