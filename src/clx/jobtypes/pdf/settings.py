"""What can be set for PDF files."""

from __future__ import annotations

from typing import Literal

from clx.settings.section import JobTypeSection


class PdfSettings(JobTypeSection, frozen=True):
    """``[pdf]``: the printer of pages; the browser is that of ``drawio.executable``."""

    rank = 5
    on_demand = True
    uses = ("drawio.executable",)

    paper: Literal["A4", "Letter"] = "A4"
    """What pages are printed on; slides have a size of their own."""


SETTINGS = PdfSettings
