"""Pictures drawn by PlantUML."""

from __future__ import annotations

from clx.jobtypes.jobtype import JobType

JOB_TYPE = JobType(
    name="plantuml",
    title="PlantUML",
    converter="clx.jobtypes.plantuml.converter:PlantUmlConverter",
    sources=(".pu", ".puml", ".plantuml"),
    includes="clx.jobtypes.plantuml.includes:closure",
    priority=4,
    depends_on={"jar": "plantuml", "java": "java", "dot": "graphviz"},
    tools=("java", "plantuml"),
    optional_tools=("graphviz",),
    image_tools=("plantuml",),
)
