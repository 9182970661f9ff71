"""The draw.io converter: a file of pages in, one picture for each page out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clx.errors import ConversionError
from clx.jobtypes.browser import BrowserDiedError, starting
from clx.jobtypes.converter import Converter
from clx.jobtypes.drawio import desktop
from clx.jobtypes.drawio.document import Document, Page, read_document
from clx.jobtypes.drawio.exporter import Exporter, Options, PagePicture
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.drawio.site import Site
from clx.jobtypes.drawio.tools import is_desktop
from clx.jobtypes.glyphs import warn_of_boxes
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint
from clx.tools.finding import locate, require

_NAMED = 3
_SHOWN = 100
"""Characters of an address that are shown."""
RECYCLE_AFTER = 300
"""Pages after which the browser is replaced: its memory grows by about 1 MB with each."""
DEFAULT_TIMEOUT = 60.0
"""Seconds one page may take unless the payload says otherwise."""


class DrawioConverter(Converter):
    """Draws ``.drawio`` files; keeps one browser with the application warm between jobs.

    Payload: ``source`` (path in the inputs), ``format`` (``png`` or ``svg``), ``scale`` (pixels per diagram
    unit, PNG only), ``border`` (diagram units), ``timeout`` (seconds per page); the last three have the
    settings' values, or 60 s, when they are absent. Outputs: ``1.png``, ``2.png``, … or ``.svg``.
    """

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self._settings = settings
        self._work_dir = work_dir
        self._exporter: Exporter | None = None
        self._has_math = False
        """Whether the browser is started with MathJax, which few diagrams need and which takes it a while to load."""

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Draw every page; the facts are ``pages``, their names in order."""
        options = self._options(payload)
        document = read_document(inputs / str(payload["source"]))
        browser = require("browser", self._settings).path
        if is_desktop(browser):
            desktop.export(browser, document, options, outputs, self._work_dir)
        else:
            self._prepare_math(document)
            missing: dict[str, list[int]] = {}
            for page in document.pages:
                picture = self._export(document, page, options)
                _warn_about(document, page, picture, warn)
                for address in picture.missing:
                    missing.setdefault(address, []).append(page.number)
                (outputs / f"{page.number}.{options.format}").write_bytes(picture.data)
            if missing:
                warn(_told(missing))
        if options.format == "png":
            warn_of_boxes(((f"Page {page.number}", page.text) for page in document.pages), warn)
        return {"pages": [page.name for page in document.pages]}

    def close(self) -> None:
        """End the browser. Idempotent."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.close()

    def _options(self, payload: Mapping[str, Any]) -> Options:
        defaults = self._settings.section(DrawioSettings)
        return Options(
            format="svg" if payload.get("format") == "svg" else "png",
            scale=float(payload.get("scale", defaults.scale)),
            border=int(payload.get("border", defaults.border)),
            timeout=float(payload.get("timeout", DEFAULT_TIMEOUT)),
        )

    def _prepare_math(self, document: Document) -> None:
        """With the first formula the browser makes room for one that has MathJax, and stays with it."""
        page = next((page for page in document.pages if page.needs_math), None)
        if page is None or self._has_math:
            return
        if locate("drawio-math", self._settings) is None:
            raise ConversionError(
                f"Page {page.number} holds formulas, and MathJax, which typesets them, is not installed.",
                f"Type: {install_hint('drawio-math')}",
                line=page.line,
            )
        self._has_math = True
        self.close()

    def _export(self, document: Document, page: Page, options: Options) -> PagePicture:
        """Draw *page*, once more with a fresh browser when the first one died over it."""
        try:
            return self._export_once(document, page, options)
        except BrowserDiedError:
            pass
        try:
            return self._export_once(document, page, options)
        except BrowserDiedError as error:
            raise ConversionError(
                f"The browser ended twice while it drew page {page.number}: {error}",
                "Look whether memory is short; otherwise make the page simpler.",
                line=page.line,
                retryable=True,
            ) from error

    def _export_once(self, document: Document, page: Page, options: Options) -> PagePicture:
        exporter = self._warm()
        try:
            picture = exporter.export(document, page, options)
        except ConversionError:
            raise
        except TimeoutError:
            self._discard()
            # Not retryable: drawing is computation alone, the same page would take as long again.
            raise ConversionError(
                f"Page {page.number} was not drawn within {options.timeout:g} s.",
                "Make the page simpler, or split it.",
                line=page.line,
            ) from None
        except BaseException:
            self._discard()
            raise
        if exporter.drawn >= RECYCLE_AFTER:
            self.close()
        return picture

    def _warm(self) -> Exporter:
        """The browser, started when there is none.

        Raises:
            BrowserDiedError: it was killed while it started; another one may live.
            ToolMissingError: it ended by itself, as it would every time.
        """
        if self._exporter is None:
            math = locate("drawio-math", self._settings) if self._has_math else None
            site = Site(require("drawio", self._settings).path, math.path if math else None)
            browser = require("browser", self._settings).path
            try:
                with starting(browser, f"Type: {browser} --version, or choose another one with drawio.executable."):
                    self._exporter = Exporter(browser, site, self._work_dir)
            except BrowserDiedError as error:
                raise BrowserDiedError(f"killed while it started: {error}", killed=True) from error
        return self._exporter

    def _discard(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.browser.kill()


def _warn_about(document: Document, page: Page, picture: PagePicture, warn: Callable[[str], None]) -> None:
    if page.is_empty:
        warn(f"Page {page.number} ({page.name}) is empty; its picture is blank.")
    if picture.unknown_shapes:
        names = ", ".join(picture.unknown_shapes)
        warn(f"Page {page.number}: drawn as plain rectangles, because draw.io here does not know them: {names}.")
    if page.behind is not None and document.behind(page) is None:
        warn(f"Page {page.number}: the page behind it is not in the file.")


def _told(missing: Mapping[str, list[int]]) -> str:
    """One warning of all that the pages show and that is not in the file, however much it is."""
    pages = sorted({number for numbers in missing.values() for number in numbers})
    named = [address if len(address) <= _SHOWN else f"{address[: _SHOWN - 1]}…" for address in list(missing)[:_NAMED]]
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    where = f"Page {pages[0]}" if len(pages) == 1 else f"Pages {', '.join(map(str, pages))}"
    are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
    return f"{where}: {', '.join(named)}{more} {are} not part of the file and left out; embed {them} in draw.io."
