"""The warm page: the draw.io application in a browser, drawing one page after another."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clx.errors import ConversionError
from clx.jobtypes.drawio.browser import Browser, BrowserDiedError, Message, ScriptError
from clx.jobtypes.drawio.document import Document, Page
from clx.jobtypes.drawio.site import START_PAGE, Site

Format = Literal["png", "svg"]

MAX_SIDE = 16_384
"""Largest width and height of a picture in pixels: the largest bitmap the browser can hold."""
MAX_AREA = 120_000_000
"""Largest area of a picture in pixels (about 0.5 GB while it is drawn)."""

_LOAD_SECONDS = 30.0
# Asked for by the application itself; the pictures behind its ``proxy`` are reported by their own address.
_REFUSED_QUIETLY = re.compile(r"/(math/es5/startup\.js|favicon\.ico|proxy\?url=.*)$")


@dataclass(frozen=True)
class Options:
    """How a page is drawn."""

    format: Format
    scale: float
    """Pixels per diagram unit in PNG files; SVG files are measured in diagram units."""
    border: int
    """Margin in diagram units."""
    timeout: float
    """Seconds one page may take."""


@dataclass(frozen=True)
class PagePicture:
    """A drawn page."""

    data: bytes
    unknown_shapes: tuple[str, ...]
    """Shapes that this version of the application draws as plain rectangles."""
    missing: tuple[str, ...]
    """Addresses of pictures and fonts that are not in the file."""


class Exporter:
    """A browser that shows the application."""

    def __init__(self, executable: Path, site: Site, work_dir: Path | None) -> None:
        self.drawn = 0
        self._site = site
        self._refused: set[str] = set()
        self.browser = Browser(executable, work_dir, self._on_event)
        try:
            self._load()
        except BaseException:
            self.browser.kill()
            raise

    def export(self, document: Document, page: Page, options: Options) -> PagePicture:
        """Draw *page* of *document*.

        Raises:
            ConversionError: the application cannot draw it, or the picture would be too large.
            BrowserDiedError: the browser ended meanwhile.
            TimeoutError: it took longer than ``options.timeout``; the browser must be ended.
        """
        self.drawn += 1
        self._refused.clear()
        deadline = time.monotonic() + options.timeout
        try:
            drawn = self._draw(document, page, options, deadline)
            _check_size(page, drawn)
            is_png = options.format == "png"
            data = self._png(drawn, deadline) if is_png else self._svg(page, options, deadline)
        except ScriptError as error:
            raise ConversionError(
                f"draw.io cannot draw page {page.number}: {error}",
                "Open the page in draw.io, remove what looks wrong and save the file again.",
                line=page.line,
            ) from None
        missing = self._refused | set(drawn["missing"])
        return PagePicture(data, tuple(drawn["unknownShapes"]), tuple(sorted(missing)))

    def close(self) -> None:
        """End the browser. Idempotent."""
        self.browser.close()

    def _load(self) -> None:
        call = self.browser.call
        target = call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = str(attached["sessionId"])
        call("Inspector.enable", session=self._session)
        call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, session=self._session)
        call("Page.enable", session=self._session)
        call("Page.navigate", {"url": START_PAGE}, session=self._session)
        ready = "new Promise(ok => document.readyState === 'complete' ? ok() : addEventListener('load', ok))"
        deadline = time.monotonic() + _LOAD_SECONDS
        self._evaluate(ready, deadline)
        if self._evaluate("typeof clx", deadline) != "object":
            raise BrowserDiedError("the application did not load")

    def _draw(self, document: Document, page: Page, options: Options, deadline: float) -> dict[str, Any]:
        is_png = options.format == "png"
        request = {
            "xml": document.xml_for(page),
            "from": page.number - 1,
            "to": page.number - 1,
            "format": options.format,
            "scale": options.scale if is_png else 1,
            # The application adds the border to the bounds that its SVG is measured by, so it comes in there.
            "border": options.border if is_png else 0,
            # As draw.io desktop does: the page's own colour, else white paper, for SVG none.
            "bg": page.background or ("#ffffff" if is_png else ""),
        }
        drawn: dict[str, Any] = self._evaluate(f"clx.draw({json.dumps(request)})", deadline)
        return drawn

    def _png(self, drawn: dict[str, Any], deadline: float) -> bytes:
        size = {"width": drawn["width"], "height": drawn["height"]}
        metrics = {**size, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", metrics, deadline)
        shot = {"format": "png", "clip": {"x": 0, "y": 0, **size, "scale": 1}}
        return base64.b64decode(self._call("Page.captureScreenshot", shot, deadline)["data"])

    def _svg(self, page: Page, options: Options, deadline: float) -> bytes:
        text: str = self._evaluate(f"clx.svg({options.border}, {json.dumps(page.background)})", deadline)
        return text.encode()

    def _call(self, method: str, params: dict[str, Any], deadline: float) -> dict[str, Any]:
        left = max(0.0, deadline - time.monotonic())
        return self.browser.call(method, params, session=self._session, timeout=left)

    def _evaluate(self, expression: str, deadline: float) -> Any:
        left = max(0.0, deadline - time.monotonic())
        return self.browser.evaluate(expression, session=self._session, timeout=left)

    def _on_event(self, message: Message) -> None:
        if message["method"] == "Fetch.requestPaused":
            self._answer(message["params"])
        elif message["method"] in {"Inspector.targetCrashed", "Inspector.detached"}:
            raise BrowserDiedError("the process that draws the page crashed", killed=True)

    def _answer(self, request: dict[str, Any]) -> None:
        """Serve a file of the application; refuse everything else, whatever its scheme."""
        url = str(request["request"]["url"])
        found = self._site.answer(url)
        reply: dict[str, Any] = {"requestId": request["requestId"]}
        if found:
            headers, body = found
            reply["responseCode"] = 200
            reply["responseHeaders"] = [{"name": name, "value": value} for name, value in headers.items()]
            reply["body"] = base64.b64encode(body).decode()
            self.browser.post("Fetch.fulfillRequest", reply, session=self._session)
            return
        if not _REFUSED_QUIETLY.search(url):
            self._refused.add(self._site.name(url))
        # An aborted navigation leaves the page as it is; any other reason would replace it.
        reply["errorReason"] = "Aborted" if request.get("resourceType") == "Document" else "BlockedByClient"
        self.browser.post("Fetch.failRequest", reply, session=self._session)


def _check_size(page: Page, drawn: dict[str, Any]) -> None:
    width, height = drawn["width"], drawn["height"]
    if width <= MAX_SIDE and height <= MAX_SIDE and width * height <= MAX_AREA:
        return
    raise ConversionError(
        f"The picture of page {page.number} would have {width:,} × {height:,} pixels; at most {MAX_SIDE:,} a"
        f" side and {MAX_AREA // 10**6} million in all are drawn.",
        "Move far-off shapes nearer, split the page, or set a smaller drawio.scale.",
        line=page.line,
    )
