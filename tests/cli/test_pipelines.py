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
    assert done.stdout.endswith("0 mistakes, 0 warnings.\n")


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
