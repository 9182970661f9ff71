"""A warm browser that prints pages, and sees nothing but what lies beside them."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from clx.jobtypes.browser_page import SitePage
from clx.jobtypes.pdf.same_bytes import same_bytes
from clx.regular import read_regular

View = Literal["page", "slides"]

ORIGIN = "http://pages.invalid"
"""Top-level domain ``.invalid`` never exists (RFC 2606)."""
_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_INCHES = {"A4": (210 / 25.4, 297 / 25.4), "Letter": (8.5, 11.0)}
_FOR_SCREENS = frozenset({"course.js", "search.js"})
"""Scripts of the course's pages as a whole: paper needs none of them."""
_SETTLED = """
for (const each of document.querySelectorAll('a[href]')) {
  const to = new URL(each.href, location.href);  // nothing lies beside a PDF file
  if (to.origin === location.origin && to.pathname !== location.pathname) each.removeAttribute('href');
}
Promise.all([document.fonts.ready, ...[...document.images].map(each => {
  each.loading = 'eager';
  return each.decode().catch(() => 0);
})])
  .then(() => new Promise(ok => requestAnimationFrame(() => setTimeout(ok))))
  .then(() => {
    const words = (document.querySelector('main') ?? document.body).cloneNode(true);
    for (const each of words.querySelectorAll('script, style, svg, math')) each.remove();
    return [words.textContent, ...[...words.querySelectorAll('.mermaid img')].map(each => each.alt)].join(' ');
  })
"""
"""Settles the page; gives its words, and those of diagrams, which are drawn with this machine's fonts."""
# its colour is nothing else's: joining.py finds by it the numbers that a deck's pages have of their own
_FOOTER = """<div style="width: 100%; padding: 0 16mm; display: flex; justify-content: space-between; color: #565554;
font: 7.5px system-ui, 'DejaVu Sans', sans-serif"><span class="title"></span>
<span><span class="pageNumber"></span> / <span class="totalPages"></span></span></div>"""


class Printer:
    """One browser with one page, which shows what is to be printed.

    Raises:
        BrowserDiedError, TimeoutError, ToolMissingError: as :class:`clx.jobtypes.browser.Browser`.
    """

    def __init__(self, executable: Path, work_dir: Path | None) -> None:
        self.printed = 0
        self._root = Path()
        self._beside: Mapping[str, str] = {}
        self._page = SitePage(executable, work_dir, "about:blank", self._answer)
        deadline = time.monotonic() + 30
        size = {"width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False}
        self._page.call("Emulation.setDeviceMetricsOverride", size, deadline)

    def print(
        self,
        root: Path,
        name: str,
        *,
        view: View,
        paper: str,
        footer: bool,
        deadline: float,
        beside: Mapping[str, str] | None = None,
    ) -> tuple[bytes, list[str], str]:
        """The PDF file of the page *name* below *root*, the addresses that it asked for in vain, and its words.

        Args:
            beside: where files lie below *root* that the page finds elsewhere: address → path.

        Raises:
            BrowserDiedError: the browser ended meanwhile.
            ScriptError: the page's scripts are broken beyond use.
            TimeoutError: it took longer than *deadline*, one of ``time.monotonic()``; the browser must be ended.
        """
        self.printed += 1
        self._root, self._beside = root.resolve(), beside or {}
        page = self._page
        page.refused.clear()
        page.go(f"{ORIGIN}/{quote(name)}{'#/1' if view == 'slides' else ''}", deadline)
        words = str(page.evaluate(_SETTLED, deadline))
        width, height = _INCHES[paper]
        asked = {
            "paperWidth": width,
            "paperHeight": height,
            "preferCSSPageSize": True,
            "printBackground": True,
            "generateTaggedPDF": True,
            "generateDocumentOutline": True,
            "displayHeaderFooter": footer and view == "page",
            "headerTemplate": "<span></span>",
            "footerTemplate": _FOOTER,
        }
        data = base64.b64decode(page.call("Page.printToPDF", asked, deadline)["data"])
        refused = sorted(
            each.removeprefix(f"{ORIGIN}/") for each in page.refused if each.rpartition("/")[2] not in _FOR_SCREENS
        )
        page.go("about:blank", deadline)  # what the page still does takes no time from the next one
        return same_bytes(data), refused, words

    def close(self) -> None:
        """End the browser."""
        self._page.close()

    def kill(self) -> None:
        """End the browser at once."""
        self._page.browser.kill()

    def _answer(self, url: str) -> tuple[Mapping[str, str], bytes] | None:
        if url == "about:blank":
            return {"Content-Type": "text/html"}, b""
        if not url.startswith(f"{ORIGIN}/"):
            return None
        inside = unquote(url.removeprefix(f"{ORIGIN}/").partition("#")[0].partition("?")[0])
        if "\0" in inside:
            return None
        path = (self._root / self._beside.get(inside, inside)).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            return None
        return {"Content-Type": _TYPES.get(path.suffix.lower(), "application/octet-stream")}, read_regular(path)
