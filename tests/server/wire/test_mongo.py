"""Queries in the language of MongoDB find what MongoDB would find, and what is not known is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from clx import Queue
from clx.db.works.searching import Search
from clx.server.answers import Refusal
from clx.server.wire.mongo import OPERATORS, Projection, conditions

WORKS: dict[str, dict[str, Any]] = {
    "one": {"event": [5], "tags": ["a"], "user": "ada", "parameters": {"dm": 1.5, "list": [1, 2]}, "creation": 1000.5},
    "two": {"event": [5, 6], "tags": ["a", "b"], "config": {"parent": "p1"}, "creation": 2000.0, "retries": 0},
    "three": {"event": None, "results": {"locked": True, "deep": {"x": "y"}}, "creation": 3000.0, "priority": 5},
}


@pytest.fixture
def works(queue: Queue) -> Any:
    for name, fields in WORKS.items():
        queue.works.deposit([{"pipeline": "p", "site": name, **fields}])
    queue.works.cancel([queue.works.find(Search(conditions({"site": "three"}))).works[0].document["id"]])
    return queue.works


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "one two three"),
        (None, "one two three"),
        ({"event": 5}, "one two"),
        ({"event": [5]}, "one"),
        ({"event": [6, 5]}, ""),
        ({"event": {"$in": [6, 7]}}, "two"),
        ({"event": None}, "three"),
        ({"tags": {"$nin": ["b"]}}, "one three"),
        ({"user": "ada"}, "one"),
        ({"user": {"$ne": "ada"}}, "two three"),
        ({"parameters.dm": 1.5}, "one"),
        ({"parameters.list": 2}, "one"),
        ({"parameters": {"dm": 1.5, "list": [1, 2]}}, "one"),
        ({"parameters.dm": {"$gte": 1.5, "$lt": 2}}, "one"),
        ({"config.parent": "p1"}, "two"),
        ({"config.parent": {"$in": ["p1"]}}, "two"),
        ({"results.locked": True}, "three"),
        ({"results.deep.x": {"$exists": True}}, "three"),
        ({"results.deep.x": {"$exists": 0}}, "one two"),
        ({"creation": {"$gt": 1000.5}}, "two three"),
        ({"creation": {"$lte": 1000.5}}, "one"),
        ({"creation": 1000.5}, "one"),
        ({"$expr": {"$gte": ["$attempt", "$retries"]}}, "two"),
        ({"status": "failure"}, "three"),
        ({"status": {"$in": ["failure", "success"]}}, "three"),
        ({"status": {"$ne": "failure"}}, "one two"),
        ({"status": {"$nin": ["failure"]}}, "one two"),
        ({"status": "cancelled"}, "three"),
        ({"$or": [{"site": "one"}, {"priority": 5}]}, "one three"),
        ({"$and": [{"event": 5}, {"$or": [{"site": "two"}, {"site": "three"}]}]}, "two"),
        ({"site": {"$eq": "two"}, "pipeline": "p"}, "two"),
        ({"id": "no such"}, ""),
        ({"id": 7}, ""),
        ({"site": {"no": "operator"}}, ""),
        ({"user": ["ada"]}, ""),
    ],
)
def test_queries_find(works: Any, query: Any, found: str) -> None:
    page = works.find(Search(conditions(query), order="deposit"))
    assert [each.document["site"] for each in page.works] == found.split()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"$where": "this.a"}, "$where"),
        ({"user": {"$regex": ".*"}}, "$regex"),
        ({"user": {"$not": {"$eq": 1}}}, "$not"),
        ({"user": {"$in": ["a"], "$function": {}}}, "$function"),
        ({"$expr": {"$gt": ["$attempt", 1]}}, "$expr"),
        ({"$nor": []}, "$nor"),
        ({"$or": {}}, "$or"),
        ({"$and": []}, "$and"),
        ({"$or": ["x"]}, "mapping"),
        ({"user": {"$in": "ada"}}, "$in"),
        ({"user": {"$gt": 1, "plain": 2}}, "plain"),
        ([], "mapping"),
        ("text", "mapping"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(query: Any, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        conditions(query)
    assert caught.value.status == 400
    assert named in caught.value.fact


def test_queries_are_not_nested_without_an_end() -> None:
    query: dict[str, Any] = {"a": 1}
    for _ in range(40):
        query = {"$and": [query]}
    with pytest.raises(Refusal, match="nested"):
        conditions(query)


DOCUMENT = {"id": "1", "plots": None, "results": {"locked": True, "a": {"b": 1, "c": 2}}, "yaml": "…", "x": [1]}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, DOCUMENT),
        ({}, DOCUMENT),
        ({"_id": False}, DOCUMENT),
        ({"_id": 0, "id": True}, {"id": "1"}),
        ({"id": 1, "_id": 1}, {"id": "1"}),
        ({"results.locked": True}, {"results": {"locked": True}}),
        ({"results.locked": 1, "results.a.b": 1}, {"results": {"locked": True, "a": {"b": 1}}}),
        (
            {"yaml": 0, "results.a.b": 0},
            {"id": "1", "plots": None, "results": {"locked": True, "a": {"c": 2}}, "x": [1]},
        ),
        ({"yaml.deeper": 0}, DOCUMENT),
        ({"event": True, "plots": True, "none": True}, {"event": None, "plots": None}),
        ({"x.y": True}, {}),
        ({"results": True, "results.a": True}, {"results": DOCUMENT["results"]}),
    ],
)
def test_projections_take(asked: Any, found: Any) -> None:
    before = repr(DOCUMENT)
    assert Projection(asked).of(DOCUMENT) == found
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize("asked", [[], "id", {"id": "yes"}, {"id": {"$slice": 1}}, {"id": True, "x": False}])
def test_projections_that_are_none_are_refused(asked: Any) -> None:
    with pytest.raises(Refusal) as caught:
        Projection(asked)
    assert caught.value.status == 400


def test_the_operators_are_those_of_the_documentation() -> None:
    assert OPERATORS == ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or")
