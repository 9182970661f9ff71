"""Pictures drawn by draw.io."""

from __future__ import annotations

from clx.jobtypes.jobtype import JobType

JOB_TYPE = JobType(
    name="drawio",
    title="draw.io",
    converter="clx.jobtypes.drawio.converter:DrawioConverter",
    identity="clx.jobtypes.drawio.identity",
    sources=(".drawio",),
    options=lambda settings: {"scale": settings.drawio.scale, "border": settings.drawio.border},
    priority=4,
    rank=3,
    tools=("browser", "drawio"),
    optional_tools=("drawio-math",),
    packages={"defusedxml": "diagrams"},
    memory=700 << 20,
    image_tools=("drawio", "drawio-math"),
)
