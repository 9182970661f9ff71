"""The page about works is true: its samples run, and its table has every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clx.db.works.fields import ALIASES, FIELDS, checked
from clx.work.work import Work

PAGE = (Path(__file__).parents[2] / "docs" / "work.md").read_text(encoding="utf-8")
ROWS = {
    name: row
    for row in re.findall(r"^\| (`.*)\|$", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", row.partition("|")[0])
}


def test_the_samples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(compile(block, "docs/work.md", "exec"), namespace)


def test_every_field_is_on_the_page() -> None:
    assert set(FIELDS) | {"tag"} <= set(ROWS)
    assert "tag" in ALIASES


@pytest.mark.parametrize("name", ["timeout", "retries", "priority", "status", "attempt"])
def test_what_is_usual_is_what_the_page_says(name: str) -> None:
    said = ROWS[name].split("|")[-1] if not ROWS[name].endswith("|") else ROWS[name].split("|")[-2]
    assert re.findall(r"`(.*?)`", said)[0].strip('"') == str(getattr(Work("p"), name))


def test_bounds_are_what_the_page_says() -> None:
    assert checked("timeout", 259_200) == 259_200
    assert checked("retries", 5) == 5
    assert checked("priority", 5) == 5


def test_every_call_on_the_page_is_one() -> None:
    for name in re.findall(r"`(?:work|Work)\.(\w+)\(", PAGE):
        assert callable(getattr(Work, name)), name
