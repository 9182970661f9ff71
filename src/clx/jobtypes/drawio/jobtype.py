"""Pictures drawn by draw.io."""

from __future__ import annotations

from typing import Any

from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.jobtype import JobType
from clx.settings.schema import Settings


def _options(settings: Settings) -> dict[str, Any]:
    own = settings.section(DrawioSettings)
    return {"scale": own.scale, "border": own.border}


JOB_TYPE = JobType(
    name="drawio",
    title="draw.io",
    converter="clx.jobtypes.drawio.converter:DrawioConverter",
    sources=(".drawio",),
    readable="clx.jobtypes.drawio.document:read_below",
    options=_options,
    priority=4,
    fingerprint_of="clx.jobtypes.drawio.fingerprint:fingerprint",
    tools=("browser", "drawio"),
    optional_tools=("drawio-math",),
    packages={"defusedxml": "diagrams"},
    memory=700 << 20,
    image_tools=("drawio", "drawio-math"),
)
