"""Pictures drawn by Graphviz."""

from __future__ import annotations

from clx.jobtypes.graphviz.settings import GraphvizSettings
from clx.jobtypes.jobtype import JobType

JOB_TYPE = JobType(
    name="graphviz",
    title="Graphviz",
    converter="clx.jobtypes.graphviz.converter:GraphvizConverter",
    sources=(".dot", ".gv"),
    recognizes="clx.jobtypes.graphviz.converter:is_graph",
    options=lambda settings: {"dpi": settings.section(GraphvizSettings).dpi},
    priority=4,
    depends_on={"dot": "graphviz"},
    tools=("graphviz",),
    memory=100 << 20,
)
