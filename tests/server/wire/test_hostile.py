"""Whatever is sent: an answer below 500, nothing runs, and the server goes on; on both databases."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from tests.server.conftest import Served
from tests.support.serving import Listening, listening
from tests.support.workflow import OF_2

from clx.db.jobs import Queue
from clx.db.sqlite.dialect import SqliteDialect
from clx.server.wire import buckets, pipelines, results

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**70, 1e300, "", "x", "\u0000", "<script>alert(1)</script>", "${{ 1 }}", "../../etc",
    [], [None], [[]], [1, "a"], ["x" * 100_000], {}, {"$where": "1"}, {"a": {"$gt": None}}, {"query": 5},
    {"query": {}, "projection": [], "skip": -1}, {"query": {}, "skip": 2**62}, {"query": {}, "limit": "all"},
    {"query": {"": 1}}, {"query": {"a..b": 1}}, {"query": {'a"b': 1}}, {"query": {"id": {"$in": [None, {}, 2**70]}}},
    {"query": {"creation": "today"}}, {"query": {"creation": {"$gt": {"a": 1}}}}, {"query": {"tags": {"$gt": 1}}},
    {"query": {"priority": 2**70}}, {"query": {"event": [2**70, "\u0000"]}}, {"query": {"x": "\u0000"}},
    {"query": {"x." * 50 + "y": 1}}, {"query": {"$or": [{}] * 500}}, {"pipeline": 5}, {"pipeline": {"$in": [1]}},
    {"pipeline": {"$ne": "a"}}, {"pipeline": "p", "event": "x"}, {"pipeline": "p", "priority": 2**70},
    {"pipeline": "p", "site": {"$in": ["a", "b"]}}, {"pipeline": ["\u0000"]}, {"pipeline": "p", "command": "rm"},
    [{}], [{"pipeline": ""}], [{"pipeline": 5}], [{**OF_2, "creation": "now"}], [{**OF_2, "id": 5}],
    [{**OF_2, "tags": [{}]}], [{**OF_2, "retries": 10**30}], [{**OF_2, "timeout": -1}], [{**OF_2, "status": "gone"}],
    [{**OF_2, "status": ["success"], "id": "x"}], [{**OF_2, "status": "success", "id": "\u0000"}],
    [{**OF_2, "parameters": {"\u0000": "\u0000"}, "user": "<b>"}], [{**OF_2, "creation": 1e308}],
)  # fmt: skip
PLACES = [
    (f"/workflow/{name}", each)
    for name, calls in (("buckets", buckets.CALLS), ("results", results.CALLS), ("pipelines", pipelines.CALLS))
    for each in calls
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty one of either."""
    where = tmp_path / "jobs.db" if request.param == "sqlite" else request.getfixturevalue("postgresql")
    with Queue.open(where) as opened:
        yield opened


@pytest.fixture
def listener(queue: Queue) -> Iterator[Listening]:
    """One that listens."""
    with listening(queue) as found:
        yield found


@pytest.mark.parametrize(("at", "call"), PLACES, ids=lambda each: each if isinstance(each, str) else each.path)
def test_odd_values_are_refused_or_kept_as_what_they_are(served: Served, at: str, call: Any) -> None:
    path = call.path.replace("{days}", "nan").replace("{pipeline:path}", "%00/<b>")
    for odd in ODD:
        more: dict[str, Any] = {"json": odd} if call.has_body else {"params": {"ids": str(odd)[:99]}}
        answer = served.call(call.method, f"{at}{path}", **more)
        assert answer.status_code < 500, (odd, answer.text)
        assert answer.headers["content-type"] == "application/json"
    assert served.get("/workflow/buckets/status").status_code == 200


@pytest.mark.parametrize("name", ["query", "projection", "name", "database"])
def test_odd_questions_about_pipelines_are_refused_or_find_nothing(served: Served, name: str) -> None:
    for call in pipelines.CALLS:
        for odd in (
            "",
            "{",
            "[]",
            "1",
            '{"id":{"$in":[{}]}}',
            '{"$where":"1"}',
            "{" * 5000,
            "\0",
            '{"id":null}',
            "<b>",
        ):
            more: dict[str, Any] = {"json": {"name": odd, "id": odd}} if call.has_body else {}
            path = f"/workflow/pipelines{call.path}"
            answer = served.call(call.method, path, params={name: odd}, **more)
            assert answer.status_code < 500, (call.path, odd, answer.text)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'{"a":NaN}', b'[{"pipeline":"\\ud800"}]'])
def test_what_is_no_json_is_refused(served: Served, body: bytes) -> None:
    for method, path in (("POST", "/work"), ("PUT", "/work"), ("POST", "/view"), ("POST", "/work/withdraw")):
        assert served.call(method, f"/workflow/buckets{path}", content=body).status_code == 400


def test_long_ids_are_ids_of_nothing(served: Served) -> None:
    assert served.call("DELETE", "/workflow/buckets/work", params={"ids": "a" * 60_000}).json() is False


def test_addresses_of_any_length_are_served_or_refused(listener: Listening) -> None:
    headers = {"x-access-token": listener.secrets["work"]}
    thousand = "&".join(f"ids={number:024x}" for number in range(1000))  # what `workflow buckets rm` sends at most
    with urllib3.PoolManager(headers=headers) as pool:
        for asked, statuses in ((thousand, {200}), ("ids=" + "a" * 100_000, {414, 431}), ("a" * 2_000_000, {414, 431})):
            address = f"{listener.url}/workflow/buckets/work?{asked}"
            assert pool.request("DELETE", address, timeout=60, retries=False).status in statuses
        assert pool.request("GET", f"{listener.url}/workflow/buckets/version", timeout=60).status == 200


@pytest.mark.parametrize("base", ["/workflow/buckets", "/workflow/results", "/workflow/pipelines/v2"])
def test_whether_there_is_a_server_is_told_while_nobody_can_write(listener: Listening, base: str, queue: Queue) -> None:
    headers = {"x-access-token": listener.secrets["work"]}
    with contextlib.ExitStack() as stack:
        if isinstance(queue.database.sql, SqliteDialect):
            other = stack.enter_context(contextlib.closing(sqlite3.connect(queue.database.path, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
        pool = stack.enter_context(urllib3.PoolManager(headers=headers))
        for method, path in (("GET", "/version"), ("HEAD", "/version"), ("GET", "//version")):
            assert pool.request(method, f"{listener.url}{base}{path}", timeout=60, retries=False).status == 200
