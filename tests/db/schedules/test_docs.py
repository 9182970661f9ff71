"""The page on schedules is true: its example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clx import Queue
from clx.db.schedules.table import Schedules

_PAGE = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(first, namespace)
    exec(first, namespace)  # whenever the program starts
    with Queue.open("jobs.db") as queue:
        queue.schedules.run("nightly")
    exec(second.replace(".run()", ".run(until_idle=True)"), namespace)
    with Queue.open("jobs.db") as queue:
        [job] = queue.search()
        assert job.result == f"report of {job.payload['schedule']['data_date']}"


def test_every_call_is_on_the_page() -> None:
    public = {name for name in dir(Schedules) if not name.startswith("_")}
    assert {name for name in public if not re.search(rf"\b{name}\(", _PAGE)} == set()
