"""What servers say of their models, and what watchers find."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clx.db.identity import process_identity
from clx.db.jobs import Queue
from clx.db.serving.figures import SILENCE, Figures, FiguresTable
from clx.db.serving.models import ActionRow, NewModel, RequestRow
from clx.db.serving.table import ServingTable


@pytest.fixture
def models(queue: Queue) -> ServingTable:
    return ServingTable(queue.database)


@pytest.fixture
def table(queue: Queue) -> FiguresTable:
    return FiguresTable(queue.database)


def figures(model: str, version: str = "1", told_at: int = 1, success: int = 0, **detail: Any) -> Figures:
    return Figures(model, version, 1, told_at, "ready", success, 0, 0, 0, 0, 7, 1, 2, 3, detail)


def test_models_are_listed_by_name_page_by_page_those_of_files_among_them(
    models: ServingTable, table: FiguresTable
) -> None:
    for name in "dbf":
        models.add(NewModel(name, callable="m:f"))
    table.tell([figures("b", success=3), figures("a"), figures("c")])
    first, after = table.page(limit=3)
    second, end = table.page(after or "", limit=3)
    assert [each.name for each in (*first, *second)] == ["a", "b", "c", "d", "f"]
    assert (after, end) == ("c", None)
    assert first[0].row is None
    assert (first[1].row, first[1].figures) == (models.chosen()[0], figures("b", success=3))
    assert second[0].figures is None


def test_the_version_that_was_told_of_last_counts_and_what_is_gone_is_not_told(table: FiguresTable) -> None:
    table.tell([figures("a", "1", 1), figures("a", "2", 2, batches=[[1, 2]])])
    assert table.one("a") == ("a", None, figures("a", "2", 2, batches=[[1, 2]]))
    table.tell([figures("a", "2", 3)], [("a", "1")])
    assert [each.figures for each in table.page()[0]] == [figures("a", "2", 3)]
    table.tell([], [("a", "2")])
    assert table.one("a") is None


def test_a_server_that_begins_says_everything_anew(models: ServingTable, table: FiguresTable) -> None:
    table.tell([figures("a")])
    models.begin("{}")
    assert table.one("a") is None


def test_who_serves_is_known_by_its_process_or_by_what_it_said_last(
    models: ServingTable, table: FiguresTable, queue: Queue
) -> None:
    assert table.server() is None
    me = {"address": "127.0.0.1:8000", "host": "here", "pid": 7, "identity": process_identity()}
    assert models.begin(json.dumps(me)) == 1
    worker = {"worker": 0, "address": "", "pid": 8, "bytes": 9}
    now = queue.database.clock.now()
    models.set("workers", json.dumps({"at": now, "workers": [worker]}))
    assert table.server() == (1, "127.0.0.1:8000", "here", 7, True, [worker])
    elsewhere = {**me, "identity": "another@machine/1/7/8"}
    models.begin(json.dumps(elsewhere))
    found = table.server()
    assert found is not None
    assert (found.is_alive, found.workers) == (True, [worker])
    models.set("workers", json.dumps({"at": now - SILENCE - 60_000, "workers": [worker]}))
    silent = table.server()
    assert silent is not None
    assert (silent.is_alive, silent.workers) == (False, [])
    for odd in ("", "[]", "{}", '{"address": 1}', "null"):
        models.begin(odd)
        assert table.server() is None


def test_the_last_requests_and_actions_of_a_model(models: ServingTable, table: FiguresTable) -> None:
    requests = [
        RequestRow(number, "", model, "1", "success", 1, 1, 1, 1, 0, 1, 2) for number, model in enumerate("aabab")
    ]
    actions = [ActionRow(9, "load", 0, "a", "1", "success", 1, 1, 1, 1, 1, 1, 1)]
    models.log(1, requests, actions)
    models.log(2, requests[:2], [])
    assert [each.number for each in table.requests("a", 4)] == [1, 0, 3, 1]
    assert table.actions("a") == actions
    assert table.requests("c") == []
