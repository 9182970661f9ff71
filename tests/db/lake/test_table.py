"""Versions of a lake's days: each is kept, the newest is what is read."""

from __future__ import annotations

import pytest

from clx.db.jobs import Queue
from clx.db.lake.table import LakeTable, VersionRow
from clx.db.retention import named_text

ROW = VersionRow("lake", "gold/a", "2026-11-27", 0, '[{"digest": "%s"}]' % ("d" * 64), "[]", 3)


@pytest.fixture
def table(queue: Queue) -> LakeTable:
    return LakeTable(queue.database)


def test_what_is_new_is_the_next_version_and_what_is_not_is_none(table: LakeTable) -> None:
    first = table.publish(ROW)
    assert (first.version, first.made_at > 0) == (1, True)
    assert table.publish(ROW) == first
    assert table.publish(ROW._replace(missing='["3"]')).version == 2
    assert table.publish(ROW._replace(day="2026-11-28")).version == 1
    assert table.publish(ROW._replace(lake="other")).version == 1
    newest, one = table.get("lake", "gold/a", "2026-11-27"), table.get("lake", "gold/a", "2026-11-27", 1)
    assert newest is not None
    assert (newest.version, newest.missing, one) == (2, '["3"]', first)
    assert table.get("lake", "gold/b", "2026-11-27") is None
    assert table.get("lake", "gold/a", "2026-11-27", 9) is None


def test_days_are_listed_in_order(table: LakeTable) -> None:
    for day in ("2026-11-29", "2026-11-27", "2026-11-28"):
        table.publish(ROW._replace(day=day))
    assert [each.day for each in table.list("lake", "gold/a", "2026-11-27", "2026-11-28")] == [
        "2026-11-27",
        "2026-11-28",
    ]
    assert len(table.list("lake", "gold/a")) == 3


def test_the_newest_of_every_day(table: LakeTable) -> None:
    for row in (ROW, ROW._replace(missing='["3"]'), ROW._replace(dataset="bronze/b"), ROW._replace(lake="other")):
        table.publish(row)
    assert [(each.dataset, each.version) for each in table.newest("lake")] == [("bronze/b", 1), ("gold/a", 2)]
    assert table.newest("none") == []


def test_the_newest_of_what_a_flow_has_made(table: LakeTable) -> None:
    of_flow = ROW._replace(flow="lab")
    for row in (of_flow, of_flow._replace(missing='["3"]'), of_flow._replace(day="2026-11-29"), ROW._replace(lake="o")):
        table.publish(row)
    found = table.of_flow("lab", "2026-11-01", "2026-11-28")
    assert [(each.lake, each.day, each.version) for each in found] == [("lake", "2026-11-27", 2)]


def test_the_files_of_every_version_stay_in_the_store(table: LakeTable) -> None:
    table.publish(ROW)
    assert any("d" * 64 in each for each in named_text(table.database))
