"""``clx pipelines``: the real command."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.courses import clx

GOOD = "name: demo\npipeline:\n  steps:\n  - {name: a, stage: 1, work: {function: tools.a}}\n"


def test_mistakes_are_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(GOOD.replace("stage: 1", "stage: one"))

    done = clx("pipelines", "check", str(path))
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.splitlines() == [
        f'Error: {path}:4:22: stage cannot be "one"',
        "  Write a whole number from 0 to 1000000.",
        "1 mistake, 0 warnings.",
    ]
    found = json.loads(clx("pipelines", "check", str(path), "--format", "json").stdout)
    assert found["exit_code"] == 2
    assert [each["where"] for each in found["mistakes"]] == [f"{path}:4:22"]


def test_what_is_right_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(GOOD)

    done = clx("pipelines", "check", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "demo: 1 pipeline, 1 work.\n0 mistakes, 0 warnings.\n"


def test_its_works_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    several = "matrix: {n: [1, 2, 3]}, work: {function: tools.a, event: '${{ matrix.n }}'}"
    later = "  - {name: b, stage: 2, evaluate_on_runtime: true, matrix: {m: '${{ pipeline.a.work.results.m }}'},\n"
    path.write_text(
        GOOD.replace("work: {function: tools.a}", several)
        + later
        + "     work: {function: tools.b, parameters: {m: '${{ matrix.m }}', k: '${{ matrix.k }}'}}}\n"
        + "matrix: {k: [1, 2]}\n"
    )

    done = clx("pipelines", "check", str(path))
    assert done.stdout.splitlines()[0] == "demo: 2 pipelines, 6 works, and as many of b as earlier steps say."
    found = json.loads(clx("pipelines", "check", str(path), "--format", "json").stdout)
    assert (found["works"], found["decided_later"]) == (6, ["b"])


def test_what_is_no_file_or_no_yaml_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    done = clx("pipelines", "check", str(path))
    assert done.returncode == 2
    assert f"Error: {path}: there is no such file" in done.stderr
    path.write_text("a: [")
    done = clx("pipelines", "check", str(path))
    assert done.returncode == 2
    assert f"Error: {path}:1:5: is not YAML" in done.stderr


def test_a_file_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(GOOD)

    assert clx("pipelines", "graph", str(path)).stdout.splitlines() == ["demo: 1 pipeline", "stage 1", "  a  1 work"]
    assert clx("pipelines", "graph", str(path), "--format", "svg").stdout.startswith("<svg ")
    path.write_text(GOOD.replace("stage: 1", "stage: one"))
    done = clx("pipelines", "graph", str(path), "--format", "dot")
    assert (done.returncode, done.stdout) == (2, "")
    assert f'Error: {path}:4:22: stage cannot be "one"' in done.stderr
