"""Decks: slides with code that is run."""

from __future__ import annotations

from clx.jobtypes.jobtype import JobType
from clx.jobtypes.notebook.settings import NotebookSettings

JOB_TYPE = JobType(
    name="notebook",
    title="decks",
    converter="clx.jobtypes.notebook.converter:NotebookConverter",
    limits=lambda settings: {"cell_timeout": settings.section(NotebookSettings).cell_timeout},
    fingerprint_of="clx.jobtypes.notebook.fingerprint:fingerprint",
    packages=dict.fromkeys(("ipykernel", "jupyter_client", "jinja2", "markdown_it", "pygments"), "notebook"),
    extra="notebook",
)
