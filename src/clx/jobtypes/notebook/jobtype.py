"""Decks: slides with code that is run."""

from __future__ import annotations

from clx.jobtypes.jobtype import JobType

JOB_TYPE = JobType(
    name="notebook",
    title="decks",
    converter="clx.jobtypes.notebook.converter:NotebookConverter",
    identity="clx.jobtypes.notebook.identity",
    rank=1,
    packages=dict.fromkeys(("ipykernel", "jupyter_client", "jinja2", "markdown_it", "pygments"), "notebook"),
    extra="notebook",
)
