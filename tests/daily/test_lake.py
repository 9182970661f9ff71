"""A lake: versions are whole or not there, folders are those of the guide, readers never see a half."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clx.daily import Check, Lake
from clx.daily import lake as lakes
from clx.errors import Discard, OutputError, UsageError

DAY = date(2026, 11, 27)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake", database=tmp_path / "jobs.db") as found:
        yield found


def table(*numbers: int) -> pa.Table:
    return pa.table({"n": pa.array(numbers, pa.int64())})


def test_a_day_lies_where_the_guide_has_it_with_its_schema(lake: Lake) -> None:
    made = lake.publish("gold/aggregated", DAY, {"job_7": table(1, 2)}, missing=[3])
    folder = lake.folder / "clean" / "gold" / "aggregated" / "2026" / "11" / "27"
    assert sorted(each.name for each in folder.iterdir()) == ["_schema.json", "job_7.parquet"]
    assert pq.read_table(folder / "job_7.parquet").to_pydict() == {"n": [1, 2]}
    assert pq.ParquetFile(folder / "job_7.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    told = json.loads((folder / "_schema.json").read_text())
    assert (told["version"], told["rows"], told["missing"]) == (1, 2, ["3"])
    assert told["columns"] == [{"name": "n", "type": "int64"}]
    assert (made.version, made.rows, made.missing) == (1, 2, ["3"])
    assert [lake.path(f"{zone}/a", DAY).relative_to(lake.folder).parts[:2] for zone in ("bronze", "silver")] == [
        ("raw", "bronze"), ("clean", "silver"),
    ]  # fmt: skip


def test_a_day_of_an_early_year_is_one_as_any_other(lake: Lake) -> None:
    made = lake.publish("gold/a", date(1, 1, 1), {"x": table(1)})
    assert (made.day, lake.path("gold/a", date(1, 1, 1)).parts[-3:]) == ("0001-01-01", ("0001", "01", "01"))
    assert lake.read(made.dataset, made.day).to_pydict() == {"n": [1]}
    assert lake.path("gold/a", datetime(2026, 11, 27, 6, tzinfo=UTC)) == lake.path("gold/a", DAY)


def test_tables_of_others_and_files_are_taken(lake: Lake, tmp_path: Path) -> None:
    pq.write_table(table(4), tmp_path / "x.parquet")
    tables = {"a": pd.DataFrame({"n": [1]}), "b": pl.DataFrame({"n": [2]}), "c": table(3), "d": tmp_path / "x.parquet"}
    lake.publish("silver/all", DAY, tables)
    assert lake.read("silver/all", DAY).to_pydict() == {"n": [1, 2, 3, 4]}
    assert lake.read("silver/all", DAY, "b").to_pydict() == {"n": [2]}
    assert pd.read_parquet(lake.path("silver/all", DAY) / "a.parquet")["n"].tolist() == [1]


def test_the_same_again_is_no_new_version_and_an_old_one_can_be_read(lake: Lake) -> None:
    first = lake.publish("gold/a", DAY, {"x": table(1)})
    assert lake.publish("gold/a", "2026-11-27", {"x": table(1)}) == first
    assert lake.publish("gold/a", DAY, {"x": table(2)}).version == 2
    assert lake.read("gold/a", DAY).to_pydict() == {"n": [2]}
    assert lake.read("gold/a", DAY, version=1).to_pydict() == {"n": [1]}
    assert pq.read_table(lake.path("gold/a", DAY) / "x.parquet").to_pydict() == {"n": [2]}
    assert lake.version("gold/a", DAY, 1) == first
    assert lake.version("gold/b", DAY) is None


def test_a_check_that_does_not_hold_keeps_a_version_back(lake: Lake) -> None:
    lake.publish("gold/a", DAY, {"x": table(1)}, checks=[Check.rows(1)])
    with pytest.raises(Discard, match=r"gold/a of 2026-11-27 is not published: rows >= 5 \(1 rows\)"):
        lake.publish("gold/a", DAY, {"x": table(2)}, checks=[Check.rows(5)])
    assert lake.read("gold/a", DAY).to_pydict() == {"n": [1]}
    row = lake.table.get(lake.mark, "gold/a", "2026-11-27")
    assert row is not None
    assert json.loads(row.checks) == [{"check": "rows >= 1", "found": "1 rows"}]


def test_whoever_was_killed_between_row_and_folder_is_made_good(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.publish("gold/a", DAY, {"x": table(1)})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lakes, "_take_place", full)
        with pytest.raises(OutputError, match="No space left"):
            lake.publish("gold/a", DAY, {"x": table(2)})
    assert lake.read("gold/a", DAY).to_pydict() == {"n": [2]}
    assert pq.read_table(lake.path("gold/a", DAY) / "x.parquet").to_pydict() == {"n": [1]}
    folder = lake.settle("gold/a", DAY)
    assert pq.read_table(folder / "x.parquet").to_pydict() == {"n": [2]}
    assert [each.name for each in folder.parent.iterdir()] == ["27"]


@pytest.mark.slow
@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_reader_in_a_loop_never_sees_a_half(lake: Lake, can_exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot exchange two folders there is a moment without any; never one with half of a version."""
    if not can_exchange:
        monkeypatch.setattr(lakes, "exchange", lambda _one, _other: False)
    lake.publish("gold/a", DAY, {"x": table(0, 0)})
    path, over = lake.path("gold/a", DAY) / "x.parquet", threading.Event()
    seen: set[Any] = set()

    def look() -> None:
        while not over.is_set():
            try:
                seen.add(tuple(pq.read_table(path).to_pydict()["n"]))
            except FileNotFoundError:
                if can_exchange:
                    seen.add("nothing")

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(1, 30):
            lake.publish("gold/a", DAY, {"x": table(number, number)})
    finally:
        over.set()
        reader.join()
    assert "nothing" not in seen
    assert all(len(set(each)) == 1 and len(each) == 2 for each in seen)


@pytest.mark.parametrize(
    ("dataset", "day", "tables", "said"),
    [
        ("gold", DAY, {"x": table(1)}, "is no dataset"),
        ("gold/../x", DAY, {"x": table(1)}, "is no dataset"),
        ("gold/a", "27.11.", {"x": table(1)}, "is no day"),
        ("gold/a", DAY, {"../x": table(1)}, "cannot be the name of a file"),
        ("gold/a", DAY, {}, "No table was given"),
        ("gold/a", DAY, {"x": 7}, "x is no table"),
        ("gold/a", DAY, {"x": "/nowhere.parquet"}, "x is no table"),
    ],
    ids=range(7),
)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    lake: Lake, dataset: str, day: Any, tables: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        lake.publish(dataset, day, tables)
    assert not list(lake.folder.glob("clean"))


def test_what_is_not_there_is_told(lake: Lake) -> None:
    with pytest.raises(UsageError, match="There is no gold/a of 2026-11-27"):
        lake.read("gold/a", DAY)
    lake.publish("gold/a", DAY, {"x": table(1)})
    with pytest.raises(UsageError, match="has no file 'y'"):
        lake.read("gold/a", DAY, "y")


def test_what_cannot_be_written_is_told_with_its_place(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lake.publish("gold/a", DAY, {"x": table(1)})
    with monkeypatch.context() as patched:
        patched.setattr(type(lake.store), "put_written", full)
        with pytest.raises(OutputError, match=f"{lake.store.root} cannot be written: No space left"):
            lake.publish("gold/a", DAY, {"x": table(2)})
    (lake.folder / ".lock").unlink()
    (lake.folder / ".lock").mkdir()
    with pytest.raises(OutputError, match=f"{lake.folder} cannot be written: Is a directory"):
        lake.publish("gold/a", DAY, {"x": table(2)})


def test_a_lake_that_was_moved_is_the_same(lake: Lake, tmp_path: Path) -> None:
    lake.publish("gold/a", DAY, {"x": table(1)})
    lake.folder.rename(tmp_path / "moved")
    with Lake(tmp_path / "moved", database=tmp_path / "jobs.db") as moved:
        assert moved.read("gold/a", DAY).to_pydict() == {"n": [1]}
