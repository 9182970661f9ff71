"""Where a file comes from: versions of versions, and what is said of a file that is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from clx.daily import Lake
from clx.daily.context import STEP, StepRun
from clx.daily.why import origin
from clx.errors import UsageError

DAY = date(2026, 11, 27)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    (tmp_path / ".clx").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    with Lake(tmp_path / "lake") as found:
        yield found


def test_down_to_what_came_in(lake: Lake) -> None:
    came = lake.publish("bronze/in", DAY, {"x": pa.table({"n": [1]})})
    token = STEP.set(StepRun("lab", "gold", "c0de", {"data_date": DAY, "results": {1: came}, "missing": ["2"]}))
    lake.publish("gold/out", DAY, {"y": pa.table({"n": [2]})}, missing=["2"])
    STEP.reset(token)
    file = lake.path("gold/out", DAY) / "y.parquet"
    made = origin(file)
    assert (made.name, made.flow, made.step, made.code, made.missing) == (
        "gold/out 2026-11-27", "lab", "gold", "c0de", ["2"],
    )  # fmt: skip
    assert [(each.name, each.version) for each in made.inputs] == [("bronze/in 2026-11-27", 1)]
    assert made.values == {"data_date": '{"$date": "2026-11-27"}', "missing": '["2"]'}
    assert made.is_whole
    file.write_bytes(b"something else")
    assert not origin(file).is_whole


def test_a_file_that_is_none_of_a_lake_is_told(lake: Lake, tmp_path: Path) -> None:
    lake.publish("gold/out", DAY, {"y": pa.table({"n": [2]})})
    other, odd = tmp_path / "other", lake.folder / "odd"
    beside = lake.path("gold/out", DAY) / "z.parquet"
    for each in (other, odd, beside):
        each.write_text("words")
    for path, said in (
        (tmp_path / "none", "There is no file"), (other, "lies in no lake"), (odd, "is no file of a day"),
        (beside, "was not published"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            origin(path)
