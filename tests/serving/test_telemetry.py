"""What became of requests is written in batches, by a thread, and nothing is lost while the table cannot be had."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest

from clx.db.jobs import Queue
from clx.db.serving.table import ServingTable
from clx.errors import DatabaseBusyError, UsageError
from clx.serving import telemetry
from clx.serving.exporting import as_parquet, as_tsv, columns
from clx.serving.telemetry import Telemetry


def note(notes: Telemetry, *numbers: int) -> None:
    for each in numbers:
        notes.request(each, "a\tb\n", "m", "1", "success", 1_000, 2_000, 3_000, 0, 1, 7)


def lines(table: ServingTable) -> list[list[str]]:
    return [line.split("\t") for line in as_tsv(table, "requests")]


def test_all_is_written_at_the_end(queue: Queue, tmp_path: Path) -> None:
    table = ServingTable(queue.database)
    notes = Telemetry(table, table.begin("here"))
    note(notes, *range(1, 2502))
    notes.action(2502, "infer", 0, "m", "1", "success", 1_000, 3_000, 10, 9, 2, 2)
    notes.close()
    names, *rows = lines(table)
    assert names == columns("requests")
    assert [row[1] for row in rows] == [str(each) for each in range(1, 2502)]
    assert rows[0][:6] == ["1", "1", "a\\tb\\n", "m", "1", "success"]
    as_parquet(table, "actions", tmp_path / "actions.parquet")
    (found,) = pyarrow.parquet.read_table(tmp_path / "actions.parquet").to_pylist()
    assert (found["kind"], found["took_ns"], found["requests"]) == ("infer", 9, 2)
    with pytest.raises(UsageError, match="cannot be written"):
        as_parquet(table, "actions", tmp_path / "none" / "actions.parquet")


def test_what_cannot_be_written_is_kept_up_to_a_bound(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ServingTable(queue.database)
    server = table.begin("here")
    good = table.log

    def locked(*_rows: object) -> None:
        raise DatabaseBusyError("It is locked.", "Wait.")

    monkeypatch.setattr(telemetry, "MOST", 3)
    monkeypatch.setattr(table, "log", locked)
    notes = Telemetry(table, server)
    note(notes, 1, 2)
    notes.write()
    note(notes, 3, 4)
    notes.write()
    assert notes.lost == 1
    monkeypatch.setattr(table, "log", good)
    notes.close()
    assert [row[1] for row in lines(table)[1:]] == ["1", "2", "3"]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue.open(tmp_path / "jobs.db")
