"""Pages printed by a browser."""

from __future__ import annotations

from clx.jobtypes.jobtype import JobType
from clx.jobtypes.pdf.settings import PdfSettings

JOB_TYPE = JobType(
    name="pdf",
    title="PDF",
    converter="clx.jobtypes.pdf.converter:PdfConverter",
    options=lambda settings: {"paper": settings.section(PdfSettings).paper},
    depends_on={"browser": "browser"},
    fingerprint_of="clx.jobtypes.pdf.fingerprint:fingerprint",
    tools=("browser",),
    packages={"pypdf": "pdf"},
    memory=500 << 20,
    extra="pdf",
)
