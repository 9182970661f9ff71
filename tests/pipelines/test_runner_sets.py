"""Which runners deployments ask for: whose works each does, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from clx.pipelines.runner_sets import RunnerSet, bytes_of, wanted

_FILE = """
name: survey
runs_on: a
deployments:
  - {name: a, site: aro, sleep: 0, lives: 3}
  - {name: b, replicas: 2}
  - {name: unused}
matrix: {beam: [1, 2]}
pipeline:
  steps:
    - {name: detect, stage: 1, work: {user: ada}}
    - {name: sift, stage: 1, runs_on: "a, b", work: {pipeline: "beam-${{ matrix.beam }}"}}
    - {name: own, stage: 2, runs_on: b, replicate_deployments: true, work: {user: ada}}
    - {name: odd, if: always, runs_on: b, evaluate_on_runtime: true, work: {pipeline: "${{ pipeline.own.status }}"}}
"""


def _wanted(*pipelines: dict[str, Any]) -> list[RunnerSet]:
    return wanted({"id": "c", "yaml": _FILE}, pipelines)


def test_each_deployment_has_one_for_all_pipelines_and_others_where_they_are_replicated() -> None:
    found = _wanted(
        {"id": "two", "matrix": {"beam": 2}, "steps": []}, {"id": "one", "matrix": {"beam": 1}, "steps": []}
    )
    assert [(each.deployment.name, each.pipeline, each.buckets, each.parents) for each in found] == [
        ("a", None, ("beam-1", "beam-2", "detect"), ("one", "two")),
        ("b", None, ("beam-1", "beam-2"), ("one", "two")),
        ("b", "two", ("own",), ("two",)),
        ("b", "one", ("own",), ("one",)),
    ]
    assert len({each.key for each in found}) == 4
    assert _wanted() == []


def test_a_bucket_that_results_name_has_runners_once_its_works_are_there() -> None:
    steps = [{"name": "own", "buckets": ["own"]}, {"name": "odd", "buckets": ["success"]}]
    found = _wanted({"id": "one", "matrix": {"beam": 1}, "steps": steps})
    assert [each.buckets for each in found if each.deployment.name == "b" and each.pipeline is None] == [
        ("beam-1", "success")
    ]


def test_no_name_of_a_file_is_an_option_of_a_runner() -> None:
    first = _wanted({"id": "one", "matrix": {"beam": 1}, "steps": []})[0]
    assert first.words() == [
        *("--parent", "one", "--lives", "3", "--sleep", "0.1", "--site=aro", "--function-of-work"),
        *("--", "beam-1", "detect"),
    ]


@pytest.mark.parametrize(("ram", "expected"), [("512M", 512 << 20), ("1.5 GiB", 3 << 29), ("4g", 4 << 30)])
def test_memory_is_read_as_it_is_written(ram: str, expected: int) -> None:
    assert bytes_of({"ram": ram}) == expected
    assert bytes_of({}) is None
