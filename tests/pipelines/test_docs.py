"""The samples of docs/pipelines.md are read, checked, drawn and run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clx.expressions.language import EXPRESSION_LIMIT
from clx.expressions.matrix import WORKS_LIMIT
from clx.pipelines import reading
from clx.pipelines.checking import BYTES_LIMIT
from clx.pipelines.document import PipelineProblems, read
from clx.pipelines.graph import text

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_file_is_as_it_is_drawn() -> None:
    config = read(_blocks("yaml")[0])

    assert config.warnings == ()
    assert text(config) + "\n" in _blocks("text")


def test_a_mistake_is_told_as_on_the_page() -> None:
    with pytest.raises(PipelineProblems) as raised:
        read(_blocks("yaml")[0].replace("matrix.event", "matrix.evnt"), source="survey.yaml")

    (problem,) = raised.value.problems
    assert raised.value.warnings == ()
    told = f"Error: {problem.where}: {problem.fact}\n  {problem.next_step}\n1 mistake, 0 warnings.\n"
    assert told == _blocks("text")[0]


def test_the_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("survey.yaml").write_text(_blocks("yaml")[0], encoding="utf-8")
    blocks = _blocks("python")

    assert blocks
    for block in blocks:
        exec(compile(block, "docs/pipelines.md", "exec"), {})


def test_every_key_and_bound_is_told() -> None:
    keys = {
        *reading._KEYS,
        *reading._PIPELINE_KEYS,
        *reading._STEP_KEYS,
        *reading._DEPLOYMENT_KEYS,
        *reading._RESOURCES,
    }

    assert [key for key in sorted(keys) if f"{key}`" not in PAGE] == []
    for number in (WORKS_LIMIT, EXPRESSION_LIMIT):
        assert f"{number:,}" in PAGE
    assert f"{BYTES_LIMIT // 1_000_000} MB" in PAGE
