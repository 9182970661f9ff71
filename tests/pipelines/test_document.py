"""Pipeline files: what they define."""

from __future__ import annotations

from clx.pipelines.document import Scope, read

FLOW = """\
version: "1"
name: "demo"
defaults: {user: me, event: ["123456"]}
pipeline:
  stage-1-a:
    stage: 1
    matrix:
      job_id:
        range: [1, 2]
      site: ["aro", "canfar"]
    work:
      site: ${{ matrix.site }}
      parameters:
        job_id: ${{ matrix.job_id }}
  stage-2-a:
    stage: 2
    work:
      command: ["ls", "-la"]
      site: "local"
      event:
        - 253483080
  report:
    if: ${{ pipeline.stage-1-a.status == 'success' }}
    work: {function: tools.report}
"""


def test_the_flow_of_a_file() -> None:
    config = read(FLOW)

    assert config.assignments() == [{}]
    assert [(stage, [step.name for step in steps]) for stage, steps in config.stages()] == [
        (1, ["stage-1-a"]),
        (2, ["stage-2-a"]),
        (None, ["report"]),
    ]
    first, second, report = config.steps
    works = first.works(Scope(), config, "id-1")
    assert [(work["parameters"]["job_id"], work["site"]) for work in works] == [
        (1, "aro"),
        (1, "canfar"),
        (2, "aro"),
        (2, "canfar"),
    ]
    assert {work["pipeline"] for work in works} == {"stage-1-a"}
    assert {work["parent"] for work in works} == {"id-1"}
    assert {work["config"]["parent"] for work in works} == {"id-1"}
    assert [work["event"] for work in works] == [[123456]] * 4
    assert [work["event"] for work in second.works(Scope(), config, "id-1")] == [[253483080]]
    assert report.condition is not None
    assert report.condition.holds(Scope(steps={"stage-1-a": {"status": "success"}}), failed=False)
    assert not report.condition.holds(Scope(steps={"stage-1-a": {"status": "failure"}}), failed=False)
