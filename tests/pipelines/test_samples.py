"""Files as the other system's pages and programs have them, and the objects that its clients make of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from clx.pipelines.document import PipelineProblems, Scope, read, read_object

FLOW = """\
version: "1"
name: "demo"
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
  stage-2-b:
    stage: 2
    work:
      command: ["ls", "-la"]
      site: "local"
  stage-3-a:
    stage: 3
    work:
      site: "local"
      command: ["ls", "-la"]
      tags:
        - tag1
        - tag2
      event:
        - 253483080
"""
ANCHORS = """\
version: "1"
name: "sample"

CANFAR: &canfar
  deploy:
    reservation: {cpus: 1, memory: 2GB}
    replicas: 10

pipeline:
  alpha:
    runs-on: *canfar
    stage: 1
    matrix:
      job: [1,3,5]
    work:
      command: ["echo", "alpha job ${{ matrix.job }}"]
  beta:
    runs-on: *canfar
    stage: 2
    matrix:
      job:
        range: [7,13,2] # start, stop, step
    work:
      command: ["echo", "beta job ${{ matrix.job }}"]
  gamma:
    stage: 3
    matrix:
      denominator: [1,2,3]
    work:
      pipeline: "fraction"
      function: "samples.fraction"
      parameters:
        numerator: 5
        denominator: ${{ matrix.denominator }}
"""
STEPS = """\
version: 1
name: example
defaults:
  user: test
  site: local
deployments:
  - name: test-deployment
    site: canfar
    image: test/test-image:latest
    resources:
      cores: 2
      ram: 4G
      gpu: 4
    replicas: 1
pipeline:
  steps:
    - name: alpha
      stage: 1
      work:
        function: guidelines.example.alpha
        parameters: {mu0: 100.1, sigma0: 22.0}
    - name: beta
      runs-on: test-deployment
      stage: 2
      work:
        function: guidelines.example.beta
"""
CONDITIONS = """\
version: 1
name: "internals_tests"
schedule:
  cronspec: "30 4 * * 0"
  count: 2
defaults:
  event: ["123456"]
matrix:
  event: ["123456", "456123"]
pipeline:
  stage_1_step_1:
    stage: 1
    work: {event: "${{ matrix.event }}"}
  stage_2_step_1:
    stage: 2
    if: ${{ pipeline.stage_1_step_1.status == 'success' }}
    work: {}
  stage_success:
    if: success
    work: {}
  stage_failure:
    if: failure
    work: {}
  stage_always:
    if: always
    work: {}
"""
MIXED = {
    "version": "1",
    "name": "demo",
    "defaults": {"user": "test"},
    "pipeline": {
        "steps": [
            {
                "name": "stage-1-a",
                "stage": 1,
                "matrix": {"event": [123456, 654321], "site": ["chime", "canfar"]},
                "work": {"site": "${{ matrix.site }}", "command": ["ls", "${{ matrix.event }}"]},
            }
        ]
    },
}


def _works(text: str) -> list[list[dict[str, Any]]]:
    config = read(text)
    scope = Scope(config.assignments()[0])
    return [step.works(scope, config, "p") for step in config.steps]


def test_the_flow_of_a_file_of_version_1() -> None:
    works = _works(FLOW)

    assert [len(each) for each in works] == [4, 1, 1, 1]
    assert [(work["parameters"]["job_id"], work["site"]) for work in works[0]] == [
        (1, "aro"),
        (1, "canfar"),
        (2, "aro"),
        (2, "canfar"),
    ]
    assert [stage for stage, _ in read(FLOW).stages()] == [1, 2, 3]


def test_anchors_and_ranges() -> None:
    config = read(ANCHORS)
    alpha, beta, gamma = _works(ANCHORS)

    assert [work["command"][1] for work in alpha] == ["alpha job 1", "alpha job 3", "alpha job 5"]
    assert [work["command"][1] for work in beta] == [f"beta job {job}" for job in (7, 9, 11, 13)]
    assert [(work["pipeline"], work["parameters"]["denominator"]) for work in gamma] == [
        ("fraction", 1),
        ("fraction", 2),
        ("fraction", 3),
    ]
    assert [each.fact for each in config.warnings] == [
        "nothing reads CANFAR",
        "runs_on is a mapping, which nothing reads",
    ]


def test_steps_and_deployments() -> None:
    config = read(STEPS)

    assert config.version == "1"
    assert config.user == "test"
    assert config.deployments[0].resources == {"cores": 2, "ram": "4G", "gpu": 4}
    assert [step.runs_on for step in config.steps] == [(), ("test-deployment",)]
    assert [each.fact for each in config.warnings] == [
        'no runner of its deployments does works of the site "local"',
        "the step alpha runs on none of the deployments",
    ]


def test_conditions_schedules_and_the_matrix_of_a_file() -> None:
    config = read(CONDITIONS)

    assert config.assignments() == [{"event": "123456"}, {"event": "456123"}]
    assert config.schedule is not None
    assert (config.schedule.cronspec, config.schedule.lives) == ("30 4 * * 0", 2)
    assert read(CONDITIONS.replace("count: 2", "count: 0")).schedule.lives == -1  # type: ignore[union-attr]
    assert config.steps[0].works(Scope({"event": "123456"}), config, "p")[0]["event"] == [123456]
    success, failure, always = (step.condition for step in config.steps[2:])
    assert success
    assert failure
    assert always
    assert [success.holds(Scope(), failed=failed) for failed in (False, True)] == [True, False]
    assert [failure.holds(Scope(), failed=failed) for failed in (False, True)] == [False, True]
    assert [always.holds(Scope(), failed=failed) for failed in (False, True)] == [True, True]


def test_the_object_that_a_client_sends() -> None:
    config = read_object({**MIXED, "canfar_cert": "PRIVATE"})

    assert [work["command"] for work in config.steps[0].works(Scope(), config, "p")] == [
        ["ls", "123456"],
        ["ls", "123456"],
        ["ls", "654321"],
        ["ls", "654321"],
    ]
    assert "PRIVATE" not in config.yaml
    assert read(config.yaml).steps[0].work == MIXED["pipeline"]["steps"][0]["work"]  # type: ignore[index]
    assert read(json.dumps(MIXED)).steps == config.steps


def test_what_an_object_says_wrongly_has_its_place_in_the_text_that_is_kept() -> None:
    wrong = json.loads(json.dumps(MIXED).replace('"stage": 1', '"stage": "one"'))
    with pytest.raises(PipelineProblems) as raised:
        read_object(wrong, source="sent")

    (problem,) = raised.value.problems
    assert problem.fact == 'stage cannot be "one"'
    assert problem.where == "sent:8:12"


_ODD = ["1e3", "yes", "~", "0x1", "1_0", "2026-01-01", "\x7f", "\ufeff", "😀", " a", "a: b", "#", "\\ud83d\\ude00"]
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.sampled_from(_ODD)
_NUMBER = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
_NAME = st.text("abcé", min_size=1, max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=examples(200), deadline=None)
@given(_JSON)
def test_an_object_is_read_as_it_was_sent(value: Any) -> None:
    def sent(parameters: Any) -> dict[str, Any]:
        work = {"function": "f.g", "parameters": {"value": parameters}}
        return {"name": "n", "pipeline": {"steps": [{"name": "a", "stage": 1, "work": work}]}}

    config = read_object(sent(value))
    assert json.dumps(config.steps[0].work["parameters"]["value"]) == json.dumps(value)
    assert json.dumps(read(json.dumps(sent(value))).steps[0].work["parameters"]["value"]) == json.dumps(value)


def test_what_json_cannot_say_is_refused() -> None:
    for odd in ({1, 2}, object(), float("nan")):
        with pytest.raises(PipelineProblems):
            read_object(
                {"name": "n", "pipeline": {"steps": [{"name": "a", "stage": 1, "work": {"parameters": {"x": odd}}}]}}
            )
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(PipelineProblems):
        read_object({"name": "n", "pipeline": {"steps": deep}})
    with pytest.raises(PipelineProblems):
        read_object({"name": "\ud800", "pipeline": {"steps": []}})
