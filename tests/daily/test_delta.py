"""Days of a lake in a Delta table: a day once, whole, its newest version, readable by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from clx.daily import Lake
from clx.daily.delta import to_delta
from clx.errors import OutputError, UsageError


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    (tmp_path / ".clx").mkdir(mode=0o700)
    with Lake(tmp_path / "lake") as found:
        yield found


def rows(path: Path) -> list[tuple[str, int]]:
    import deltalake

    found = deltalake.DeltaTable(path).to_pyarrow_table().sort_by([("data_date", "ascending"), ("x", "ascending")])
    return [(str(each["data_date"]), each["x"]) for each in found.to_pylist()]


def test_each_day_has_its_newest_version_and_others_stay(lake: Lake, tmp_path: Path) -> None:
    import deltalake

    table = tmp_path / "delta"
    first = lake.publish("gold/a", "2026-11-26", {"a": pa.table({"x": [1, 2]})})
    other = lake.publish("gold/a", "2026-11-27", {"a": pa.table({"x": [7]}), "b": pa.table({"x": [8]})})
    assert [to_delta(lake, each, table) for each in (first, other)] == [1, 2]
    second = lake.publish("gold/a", "2026-11-26", {"a": pa.table({"x": [3]})})
    assert to_delta(lake, second, table) == 3
    assert rows(table) == [("2026-11-26", 3), ("2026-11-27", 7), ("2026-11-27", 8)]
    assert [to_delta(lake, each, table) for each in (second, first, other)] == [3, 3, 3], "none is written again"
    (told, *_) = deltalake.DeltaTable(table).history(1)
    assert told["clx"] == f"gold/a 2026-11-26 version 2 {second.files['a.parquet']}"
    before = deltalake.DeltaTable(table, version=2).to_pyarrow_table()
    assert sorted(before["x"].to_pylist()) == [1, 2, 7, 8], "what was there before can be read"


def test_pandas_polars_and_duckdb_read_it(lake: Lake, tmp_path: Path) -> None:
    import deltalake
    import duckdb
    import polars as pl

    table = tmp_path / "delta"
    for day in ("2026-11-26", "2026-11-27"):
        to_delta(lake, lake.publish("gold/a", day, {"a": pa.table({"x": [1, 2]})}), table)
    found = deltalake.DeltaTable(table)
    assert found.to_pandas()["x"].sum() == 6
    assert sorted(each.name for each in table.iterdir() if each.name != "_delta_log") == [
        "data_date=2026-11-26", "data_date=2026-11-27",
    ]  # fmt: skip
    with duckdb.connect() as by_duckdb:
        by_duckdb.register("found", found.to_pyarrow_dataset())
        asked = by_duckdb.sql("SELECT sum(x) FROM found WHERE data_date = DATE '2026-11-27'")
        assert asked.fetchall() == [(3,)]
    assert pl.read_delta(str(table))["x"].sum() == 6


def test_what_cannot_be_is_told_and_leaves_the_table_as_it_is(lake: Lake, tmp_path: Path) -> None:
    table = tmp_path / "delta"
    to_delta(lake, lake.publish("gold/a", "2026-11-26", {"a": pa.table({"x": [1]})}), table)
    odd = lake.publish("gold/b", "2026-11-27", {"a": pa.table({"x": ["5"]})})
    with pytest.raises(UsageError, match="other columns"):
        to_delta(lake, odd, table)
    named = lake.publish("gold/c", "2026-11-27", {"a": pa.table({"data_date": [1]})})
    with pytest.raises(UsageError, match="for the day"):
        to_delta(lake, named, table)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        to_delta(lake, odd, tmp_path / "file" / "below")
    assert rows(table) == [("2026-11-26", 1)]
