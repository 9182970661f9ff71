"""Models in the table: versions, which one is served, how it is to stand, what is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clx.db.jobs import Queue
from clx.db.retention import named_text
from clx.db.serving.models import ActionRow, NewModel, RequestRow
from clx.db.serving.table import BELL, ServingTable, Told
from clx.db.wait import Bells
from clx.errors import UsageError


@pytest.fixture
def models(queue: Queue) -> ServingTable:
    return ServingTable(queue.database)


def chosen(models: ServingTable) -> list[tuple[str, str]]:
    return [(each.name, each.version) for each in models.chosen()]


def test_a_new_version_is_the_next_and_is_served(models: ServingTable) -> None:
    assert [models.add(NewModel("a", digest=each * 64, size=1)) for each in "de"] == ["1", "2"]
    assert chosen(models) == [("a", "2")]
    models.add(NewModel("b", callable="m:f"))
    models.choose("a", "1")
    assert chosen(models) == [("a", "1"), ("b", "1")]


def test_versions_are_sorted_as_numbers(models: ServingTable) -> None:
    for version in ("10", "9"):
        models.add(NewModel("a", callable="m:f", version=version))
    assert [each.version for each in models.versions("a")] == ["9", "10"]
    assert models.add(NewModel("a", callable="m:f")) == "11"


def test_a_version_is_not_overwritten_by_another_unless_that_is_meant(models: ServingTable) -> None:
    models.add(NewModel("a", digest="d" * 64, version="1"))
    models.add(NewModel("a", digest="d" * 64, version="1", largest=4))
    with pytest.raises(UsageError, match="another model a of version 1"):
        models.add(NewModel("a", digest="e" * 64, version="1"))
    models.add(NewModel("a", digest="e" * 64, version="1"), replace=True)
    assert [(each.digest[0], each.largest) for each in models.versions()] == [("e", 0)]


@pytest.mark.parametrize(
    "model",
    [
        *(NewModel(name, callable="m:f") for name in ("", "a/b", "ä", "a" * 129, "a\n")),
        *(NewModel("a", callable="m:f", version=version) for version in ("x", "-1", "1.0", "²", "9" * 19)),
        NewModel("a", callable="m:f", default_timeout=-1),
        NewModel("a", callable="m:f", largest=1 << 17),
    ],
)
def test_what_cannot_be_is_refused(models: ServingTable, model: NewModel) -> None:
    with pytest.raises(UsageError):
        models.add(model)
    assert models.versions() == []


def test_when_the_served_version_is_removed_the_last_of_the_others_is_served(models: ServingTable) -> None:
    for _ in range(3):
        models.add(NewModel("a", callable="m:f"))
    assert models.remove("a", "3") == ["3"]
    assert chosen(models) == [("a", "2")]
    assert models.remove("a") == ["1", "2"]
    for name, version in (("a", None), ("b", "1")):
        with pytest.raises(UsageError, match="There is no model"):
            models.remove(name, version)


def test_every_change_is_counted_and_rings(models: ServingTable) -> None:
    with Bells(models.database, [BELL]) as bells:
        models.add(NewModel("a", callable="m:f"))
        assert bells.wait(10)
    before = models.changes()
    models.reside("a", "warm")
    models.tell([Told("a", "1", "ready", "", 7, 8)])
    assert models.changes() == before + 1
    (row,) = models.versions()
    assert (row.residence, row.state, row.grown, row.load_ns) == ("warm", "ready", 7, 8)
    models.tell([Told("a", "1", "unloaded", "", 0)])
    (row,) = models.versions()
    assert (row.state, row.grown, row.load_ns) == ("unloaded", 7, 8)  # what is known of it stays known


def test_a_models_bytes_stay_in_the_store(models: ServingTable) -> None:
    models.add(NewModel("a", digest="d" * 64, size=1))
    assert "d" * 64 in named_text(models.database)


def test_each_start_of_a_server_has_a_number_of_its_own(models: ServingTable) -> None:
    numbers = [models.begin("here") for _ in range(2)]
    request = RequestRow(1, "", "a", "1", "success", 1, 1, 1, 1, 0, 1, 2)
    action = ActionRow(2, "infer", 0, "a", "1", "success", 1, 1, 1, 1, 1, 1, 1)
    for number in numbers:
        models.log(number, [request], [action])
    rows = models.database.read("SELECT server, number FROM serving_requests ORDER BY server")
    assert [tuple(row) for row in rows] == [(number, 1) for number in numbers]
    assert models.setting("server") == "here"


def test_others_see_what_was_set(models: ServingTable, open_queue: Callable[[], Queue]) -> None:
    models.set("phase", "infer")
    other = ServingTable(open_queue().database)
    assert other.setting("phase") == "infer"
    assert other.setting("nothing") is None
