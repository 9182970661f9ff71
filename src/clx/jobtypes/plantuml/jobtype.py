"""Pictures drawn by PlantUML."""

from __future__ import annotations

from typing import Any

from clx.jobtypes.jobtype import JobType
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.settings.schema import Settings


def _options(settings: Settings) -> dict[str, Any]:
    return {"scale": settings.section(PlantUmlSettings).scale} if settings.diagrams.format == "png" else {}


JOB_TYPE = JobType(
    name="plantuml",
    title="PlantUML",
    converter="clx.jobtypes.plantuml.converter:PlantUmlConverter",
    sources=(".pu", ".puml", ".plantuml"),
    draws="clx.jobtypes.plantuml.includes:has_diagram",
    readable="clx.jobtypes.plantuml.blocks:read_blocks",
    options=_options,
    includes="clx.jobtypes.plantuml.includes:closure",
    priority=4,
    depends_on={"jar": "plantuml", "java": "java", "dot": "graphviz"},
    tools=("java", "plantuml"),
    optional_tools=("graphviz",),
    image_tools=("plantuml",),
)
