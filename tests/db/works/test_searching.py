"""Every work is found by every field, whatever its state, with one query; pages follow each other without gaps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.works.conftest import deposit, document, end, ids, withdraw

from clx.db.jobs import Queue
from clx.db.works.searching import Condition, Operator, Search
from clx.errors import QueueError


@pytest.fixture
def made(queue: Queue) -> list[str]:
    found = deposit(
        queue,
        document(
            "a", user="me", tags=["x", "y"], event=[1, 2], group="g", creation=10.5, parameters={"a": 1, "b": "t"}
        ),
        document("a", user="you", tags=["x"], event=[2], group=["g", "h"], creation=11.0, parameters={"a": 2}),
        document("b", user="me", priority=5, site="aro", creation=12.0, parent="p1", parameters={"a": 1.5}),
        document("b", user="me", tags=["Ünï\"'%_"], creation=13.0, config={"parent": "p2"}, parameters={"a": None}),
    )
    end(queue, withdraw(queue, "a"), results={"dm": 500.25, "list": [1, "two"], "ok": True}, plots=["w.png"])
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pipeline": "a"}, [0, 1]),
        ({"pipeline": ["a", "b"]}, [0, 1, 2, 3]),
        ({"user": "me"}, [0, 2, 3]),
        ({"site": "aro"}, [2]),
        ({"status": "success"}, [0]),
        ({"status": ["queued", "running"]}, [1, 2, 3]),
        ({"priority": 5}, [2]),
        ({"attempt": 1}, [0]),
        ({"tags": "x"}, [0, 1]),
        ({"tags": ["y", "z"]}, [0]),
        ({"tags": "Ünï\"'%_"}, [3]),
        ({"event": 2}, [0, 1]),
        ({"event": [1, 9]}, [0]),
        ({"group": "g"}, [0, 1]),
        ({"parent": ["p1", "p2"]}, [2, 3]),
        ({"creation": (11, 13)}, [1, 2]),
        ({"creation": (None, 11)}, [0]),
        ({"creation": 10.5}, [0]),
        ({"parameters": {"a": 1}}, [0]),
        ({"parameters": {"b": "t"}}, [0]),
        ({"parameters__a": [1, 2]}, [0, 1]),
        ({"results__ok": True}, [0]),
        ({"results__list": "two"}, [0]),
        ({"plots": "w.png"}, [0]),
        ({"tags": "x", "user": "you", "pipeline": "a"}, [1]),
        ({"tags": "none"}, []),
        ({"user": 5}, []),
    ],
)
def test_keywords(queue: Queue, made: list[str], fields: dict[str, Any], expected: list[int]) -> None:
    assert ids(queue, **fields) == [made[n] for n in expected]


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("results.dm", ">", 500, [0]),
        ("results.dm", "<=", 500, []),
        ("parameters.a", ">=", 1.5, [1, 2]),
        ("parameters.b", "<", "u", [0]),
        ("parameters.a", "=", None, [3]),
        ("parameters.a", "!=", None, [0, 1, 2]),
        ("parameters.a", "!=", 1, [1, 2, 3]),
        ("parameters.a", "in", [1, 1.5], [0, 2]),
        ("parameters.a", "not in", [1, 1.5], [1, 3]),
        ("results", "exists", True, [0]),
        ("results.none", "exists", True, []),
        ("results.list", "=", [1, "two"], [0]),
        ("results.list", "=", [1], []),
        ("event", "=", [2], [1]),
        ("event", "!=", 1, [1, 2, 3]),
        ("tags", "exists", False, [2]),
        ("tags", "not in", ["x"], [2, 3]),
        ("status", "!=", "queued", [0]),
        ("status", "not in", ["queued"], [0]),
        ("start", "exists", True, [0]),
        ("start", "=", None, [1, 2, 3]),
        ("creation", ">", 11, [2, 3]),
        ("creation", "in", [10.5, 12], [0, 2]),
        ("id", "in", [], []),
        ("in_bucket", "=", True, [0, 1, 2, 3]),
        ("results.locked", "=", True, []),
        ("results.locked", "!=", True, [0, 1, 2, 3]),
        ("x'; DROP TABLE works", "=", 1, []),
    ],
)
def test_conditions(
    queue: Queue, made: list[str], field: str, operator: Operator, value: Any, expected: list[int]
) -> None:
    search = Search([Condition(field, operator, value)], order="deposit")
    assert [each.document["id"] for each in queue.works.find(search).works] == [made[n] for n in expected]
    assert queue.works.count(search) == len(expected)


LARGE = [1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63), -(2**63) - 1, 10**30, [2**64 + 3, 5]]


@pytest.mark.parametrize("number", [*LARGE[:-1], 2**64 + 3])
def test_a_number_of_any_size_is_found(queue: Queue, number: int) -> None:
    made = deposit(queue, *(document("a", parameters={"x y": each}) for each in LARGE))
    wanted = [
        at for at, each in zip(made, LARGE, strict=True) if number in (each if isinstance(each, list) else [each])
    ]
    for operator, value in (("=", number), ("in", [number, "other"])):
        found = queue.works.find(Search([Condition("parameters.x y", operator, value)])).works  # type: ignore[arg-type]
        assert [each.document["id"] for each in found] == wanted
    others = queue.works.find(Search([Condition("parameters.x y", "!=", number)])).works
    assert len(others) == len(LARGE) - 1


@pytest.mark.parametrize("field", ["attempt", "priority", "retries"])
def test_columns_are_compared_with_a_number_of_any_size(queue: Queue, made: list[str], field: str) -> None:
    for number in (2**63, 2**64, 10**400):
        for operator, value, count in (
            *(("<", number, 4), (">", number, 0), ("=", number, 0), ("!=", number, 4), (">", -number, 4)),
            *(("in", [number], 0), ("not in", [number], 4)),
        ):
            search = Search([Condition(field, operator, value)])  # type: ignore[arg-type]
            assert queue.works.count(search) == count, (operator, value)


def test_parts_of_documents_are_compared_with_a_number_of_any_size(queue: Queue, made: list[str]) -> None:
    for number in (2**63, 2**64, 10**400):
        assert queue.works.count(Search([Condition("parameters.a", "<", number)])) == 3
        assert queue.works.count(Search([Condition("parameters.a", ">=", number)])) == 0


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("error.type", "=", "ValueError", [0]),
        ("error.type", "in", ["ValueError", "OSError"], [0, 1]),
        ("error.code", ">", 4, [1]),
        ("error", "exists", True, [0, 1]),
        ("error", "exists", False, [2]),
        ("error", "=", None, [2]),
        ("error.code", "exists", True, [1]),
        ("error.type", "!=", "OSError", [0, 2]),
        ("progress.done", ">=", 0.5, [2]),
        ("progress", "exists", True, [2]),
    ],
)
def test_why_a_work_has_failed_and_how_far_one_is_can_be_asked(
    queue: Queue, field: str, operator: Operator, value: Any, expected: list[int]
) -> None:
    made = deposit(queue, *(document("p", retries=1) for _ in range(3)))
    for error in ({"type": "ValueError", "message": "no"}, {"type": "OSError", "message": "no", "code": 5}):
        end(queue, withdraw(queue), "failure", error=error)
    end(queue, withdraw(queue), "running", progress={"done": 0.5})
    search = Search([Condition(field, operator, value)], order="deposit")
    assert [each.document["id"] for each in queue.works.find(search).works] == [made[n] for n in expected]
    assert queue.works.count(search) == len(expected)


def test_one_of_several(queue: Queue, made: list[str]) -> None:
    either = Condition("", "any", [[Condition("tags", "=", "y")], [Condition("site", "=", "aro")]])
    both = Search([either, Condition("user", "=", "me")], order="deposit")
    assert [each.document["id"] for each in queue.works.find(both).works] == [made[0], made[2]]
    assert queue.works.find(Search([Condition("", "any", [])])).works == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("W.PNG", [0]),
        ("you", [1]),
        ("x 500.25", [0]),
        ("%", [3]),
        ("_", [3]),
        ('"', [3]),
        ("absent", []),
        ("", [0, 1, 2, 3]),
    ],
)
def test_words_anywhere(queue: Queue, made: list[str], text: str, expected: list[int]) -> None:
    found = queue.works.find(Search(text=text, order="deposit")).works
    assert [each.document["id"] for each in found] == [made[n] for n in expected]


def test_an_id_and_an_error_are_words_too(queue: Queue, made: list[str]) -> None:
    end(queue, withdraw(queue, "b"), "failure", error={"type": "E", "message": "overflow in dedispersion"})
    assert [each.document["id"] for each in queue.works.find(Search(text=made[1])).works] == [made[1]]
    assert [each.document["id"] for each in queue.works.find(Search(text="DEDISPERSION")).works] == [made[2]]


@pytest.mark.parametrize("order", ["deposit", "id", "creation", "start", "stop", "priority", "attempt"])
@pytest.mark.parametrize("down", ["", "-"])
@pytest.mark.parametrize("tag", [None, "t"])
def test_pages_follow_each_other(queue: Queue, order: str, down: str, tag: str | None) -> None:
    made = deposit(queue, *[document(priority=1 + n % 5, creation=float(n % 3), tags=["t"]) for n in range(17)])
    for _ in range(5):
        end(queue, withdraw(queue))
    where = [] if tag is None else [Condition("tags", "=", tag)]
    whole = queue.works.find(Search(where, order=f"{down}{order}", limit=None)).works
    assert sorted(each.document["id"] for each in whole) == sorted(made)

    paged, after = [], None
    while True:
        page = queue.works.find(Search(where, order=f"{down}{order}", limit=5, after=after))
        paged += page.works
        after = page.after
        if after is None:
            break
    assert paged == whole
    skipped = queue.works.find(Search(where, order=f"{down}{order}", limit=5, skip=4)).works
    assert skipped == whole[4:9]


@pytest.mark.parametrize(
    "search",
    [
        Search([Condition("a..b", "=", 1)]),
        Search([Condition("", "=", 1)]),
        Search([Condition("a\0", "=", 1)]),
        Search([Condition("status", "like", "x")]),  # type: ignore[arg-type]
        Search([Condition("tags", "<", "x")]),
        Search([Condition("status", "in", "queued")]),
        Search([Condition("creation", ">", "yesterday")]),
        Search([Condition("a", "in", list(range(500)))]),
        Search(order="colour"),
        Search(after="not a place"),
        Search(after="bnVsbA"),
    ],
)
def test_what_cannot_be_searched_is_refused(queue: Queue, search: Search) -> None:
    deposit(queue)
    with pytest.raises(QueueError):
        queue.works.find(search)


def test_characters_that_a_database_has_not_do_no_harm(queue: Queue) -> None:
    deposit(queue, document("a", parameters={"a": "x\0y"}), document("a", parameters={"a": 1}))
    assert len(ids(queue, parameters__a=1)) == 1
    assert queue.works.find(Search([Condition("parameters.a", "=", "x\0y")])).works is not None


@pytest.mark.parametrize("few", [0, 10**6])
def test_how_a_label_is_looked_up_changes_nothing(
    queue: Queue, made: list[str], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    for module in ("table", "withdrawing"):
        monkeypatch.setattr(f"clx.db.works.{module}.FEW", few)
    for order in ("deposit", "id", "creation"):
        assert ids(queue, order=order, tags=["x", "y"]) == [made[0], made[1]]
        assert ids(queue, order=order, tags="x", user="you") == [made[1]]
        assert ids(queue, order=order, tags="x", event=2, group=["h"]) == [made[1]]
    assert queue.works.count(Search([Condition("tags", "=", "x")])) == 2
    assert withdraw(queue, "a", "b", tags=("x",), event=(2,))["id"] == made[1]
    assert withdraw(queue, "a", "b", parent=("p2", "p1"))["id"] == made[2]
