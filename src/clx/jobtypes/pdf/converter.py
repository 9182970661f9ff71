"""The printer: a page in, a PDF file out; and the files of a course, joined with contents."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.browser import BrowserDiedError, ScriptError, starting
from clx.jobtypes.converter import Converter
from clx.jobtypes.drawio.tools import is_desktop
from clx.jobtypes.glyphs import warn_of_boxes
from clx.jobtypes.pdf.contents import Part, contents_html
from clx.jobtypes.pdf.printer import Printer, View
from clx.settings.schema import Settings
from clx.tools.finding import require

RECYCLE_AFTER = 300
"""Files after which the browser is replaced."""
DEFAULT_TIMEOUT = 120.0
"""Seconds one file may take unless the payload says otherwise."""


class PdfJob(msgspec.Struct, kw_only=True, frozen=True):
    """What to print.

    Attributes:
        source: the deck, or the course file, below the course root.
        task: ``print`` one page, or ``join`` the files of a course.
        view: the page as it is, or as slides.
        page: the page in the inputs, of ``print``.
        beside: files of the inputs, each with where the page finds it.
        course: the course's name, of ``join``; so are the next three.
        kind: what students read of its kind.
        parts: its sections.
    """

    source: str
    task: Literal["print", "join"]
    view: View
    paper: str = "A4"
    page: str = ""
    beside: list[tuple[str, str]] = []
    course: str = ""
    kind: str = ""
    lang: str = "en"
    parts: list[Part] = []
    timeout: float = DEFAULT_TIMEOUT


class PdfConverter(Converter):
    """Prints; keeps one browser warm between jobs.

    Payload: see :class:`PdfJob`. Output: ``printed.pdf``.
    """

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self._settings = settings
        self._work_dir = work_dir
        self._printer: Printer | None = None

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Print one page or join a course's files; no facts."""
        try:
            job = msgspec.convert(dict(payload), PdfJob)
        except msgspec.ValidationError as error:
            raise ConversionError(f"not a job for printing: {error}", "Rebuild with one version of CLX.") from error
        if job.task == "print":
            data, missing, words = self._print(job, inputs, job.page, footer=True)
            for address in missing:
                short = address if len(address) <= 100 else f"{address[:99]}…"
                warn(f"{short} is not in the PDF file: what does not lie beside the page is not fetched")
            warn_of_boxes([("", words)], warn)
        else:
            data = self._join(job, inputs)
        (outputs / "printed.pdf").write_bytes(data)
        return {}

    def close(self) -> None:
        """End the browser. Idempotent."""
        printer, self._printer = self._printer, None
        if printer is not None:
            printer.close()

    def _join(self, job: PdfJob, inputs: Path) -> bytes:
        from clx.jobtypes.pdf.joining import joined, page_count

        counts = [page_count(inputs / file) for part in job.parts for _title, file in part.decks]
        pages = 1
        while True:
            firsts = [pages + 1 + sum(counts[:number]) for number in range(len(counts))]
            html = contents_html(job.course, job.kind, job.lang, job.parts, firsts, view=job.view)
            with tempfile.TemporaryDirectory(dir=self._work_dir) as folder:
                Path(folder, "contents.html").write_text(html, encoding="utf-8")
                contents, _, _ = self._print(job, Path(folder), "contents.html", footer=False, view="page")
            found = page_count(contents)
            if found <= pages:
                return joined(job.course, contents, job.parts, inputs)
            pages = found

    def _print(
        self, job: PdfJob, root: Path, page: str, *, footer: bool, view: View | None = None
    ) -> tuple[bytes, list[str], str]:
        """Print, once more with a fresh browser when the first one died over it."""
        beside = {path: source for source, path in job.beside}
        asked = {"view": view or job.view, "paper": job.paper, "footer": footer, "beside": beside}
        for attempt in (1, 2):
            try:
                return self._print_once(root, page, job.timeout, **asked)
            except BrowserDiedError as error:
                self._discard()
                if attempt == 2:
                    raise ConversionError(
                        f"The browser ended twice while it printed: {error}",
                        "Look whether memory is short; otherwise make the deck shorter.",
                        retryable=True,
                    ) from error
        raise AssertionError

    def _print_once(self, root: Path, page: str, timeout: float, **asked: Any) -> tuple[bytes, list[str], str]:
        printer = self._warm()
        try:
            found = printer.print(root, page, deadline=time.monotonic() + timeout, **asked)
        except TimeoutError:
            self._discard()
            raise ConversionError(
                f"The page was not printed within {timeout:g} s.", "Look for scripts in its outputs that do not end."
            ) from None
        except ScriptError as error:
            self._discard()
            raise ConversionError(f"The page cannot be printed: {error}", "Open it in a browser.") from None
        if printer.printed >= RECYCLE_AFTER:
            self.close()
        return found

    def _warm(self) -> Printer:
        if self._printer is None:
            browser = require("browser", self._settings).path
            if is_desktop(browser):
                raise ToolMissingError(
                    f"Pages are printed by a browser, and drawio.executable names draw.io desktop: {browser}.",
                    "Type: clx config set drawio.executable chromium",
                )
            with starting(browser, f"Type: {browser} --version"):
                self._printer = Printer(browser, self._work_dir)
        return self._printer

    def _discard(self) -> None:
        printer, self._printer = self._printer, None
        if printer is not None:
            printer.kill()
