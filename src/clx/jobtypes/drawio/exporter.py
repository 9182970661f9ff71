"""The warm page: the draw.io application in a browser, drawing one page after another."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clx.errors import ConversionError
from clx.jobtypes.browser import BrowserDiedError, ScriptError
from clx.jobtypes.browser_page import SitePage
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
        self.page = SitePage(executable, work_dir, START_PAGE, site.answer)
        self.browser = self.page.browser
        if not self._is_loaded():
            self.browser.kill()
            raise BrowserDiedError("the application did not load")

    def export(self, document: Document, page: Page, options: Options) -> PagePicture:
        """Draw *page* of *document*.

        Raises:
            ConversionError: the application cannot draw it, or the picture would be too large.
            BrowserDiedError: the browser ended meanwhile.
            TimeoutError: it took longer than ``options.timeout``; the browser must be ended.
        """
        self.drawn += 1
        self.page.refused.clear()
        deadline = time.monotonic() + options.timeout
        try:
            behind = self._behind(document, page, options, deadline)
            drawn = self._draw(document, page, options, deadline, behind)
            _check_size(page, drawn)
            is_png = options.format == "png"
            data = self._png(drawn, deadline) if is_png else self._svg(page, options, deadline)
        except ScriptError as error:
            raise ConversionError(
                f"draw.io cannot draw page {page.number}: {error}",
                "Open the page in draw.io, remove what looks wrong and save the file again.",
                line=page.line,
            ) from None
        refused = {Site.name(url) for url in self.page.refused if not _REFUSED_QUIETLY.search(url)}
        missing = refused | set(drawn["missing"])
        # the browser asks for http: by https:, too
        missing = {url for url in missing if f"http:{url.removeprefix('https:')}" not in missing - {url}}
        return PagePicture(data, tuple(drawn["unknownShapes"]), tuple(sorted(missing)))

    def close(self) -> None:
        """End the browser. Idempotent."""
        self.browser.kill()

    def _is_loaded(self) -> bool:
        try:
            return bool(self.page.evaluate("typeof clx === 'object'", time.monotonic() + _LOAD_SECONDS))
        except BaseException:
            self.browser.kill()
            raise

    def _behind(
        self, document: Document, page: Page, options: Options, deadline: float, seen: tuple[Page, ...] = ()
    ) -> str | None:
        """The page behind *page* as a picture, with what is behind that one; pages in a circle end it."""
        other = document.behind(page)
        if other is None or other in seen:
            return None
        plain = replace(options, format="svg", border=0)
        further = self._behind(document, other, options, deadline, (*seen, page))
        self._draw(document, other, plain, deadline, further)
        return json.dumps(self.page.evaluate("clx.backdrop()", deadline))

    def _draw(
        self, document: Document, page: Page, options: Options, deadline: float, behind: str | None
    ) -> dict[str, Any]:
        is_png = options.format == "png"
        request = {
            "xml": document.xml_for(page, behind),
            "from": page.number - 1,
            "to": page.number - 1,
            "format": options.format,
            "scale": options.scale if is_png else 1,
            # The application adds the border to the bounds that its SVG is measured by, so it comes in there.
            "border": options.border if is_png else 0,
            # As draw.io desktop does: the page's own colour, else white paper, for SVG none.
            "bg": page.background or ("#ffffff" if is_png else ""),
        }
        drawn: dict[str, Any] = self.page.evaluate(f"clx.draw({json.dumps(request)})", deadline)
        return drawn

    def _png(self, drawn: dict[str, Any], deadline: float) -> bytes:
        size = {"width": drawn["width"], "height": drawn["height"]}
        metrics = {**size, "deviceScaleFactor": 1, "mobile": False}
        self.page.call("Emulation.setDeviceMetricsOverride", metrics, deadline)
        shot = {"format": "png", "clip": {"x": 0, "y": 0, **size, "scale": 1}}
        return base64.b64decode(self.page.call("Page.captureScreenshot", shot, deadline)["data"])

    def _svg(self, page: Page, options: Options, deadline: float) -> bytes:
        text: str = self.page.evaluate(f"clx.svg({options.border}, {json.dumps(page.background)})", deadline)
        return text.encode()


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
