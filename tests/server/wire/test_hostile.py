"""Whatever is sent: an answer below 500, nothing runs, and the server goes on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Served
from tests.support.workflow import OF_2

from clx.server.wire import buckets, results

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
PLACES = [("/workflow/buckets", each) for each in buckets.CALLS] + [
    ("/workflow/results", each) for each in results.CALLS
]


@pytest.mark.parametrize(("at", "call"), PLACES, ids=lambda each: each if isinstance(each, str) else each.path)
def test_odd_values_are_refused_or_kept_as_what_they_are(served: Served, at: str, call: Any) -> None:
    path = call.path.replace("{days}", "nan").replace("{pipeline:path}", "%00/<b>")
    for odd in ODD:
        more: dict[str, Any] = {"json": odd} if call.has_body else {"params": {"ids": str(odd)[:99]}}
        answer = served.call(call.method, f"{at}{path}", **more)
        assert answer.status_code < 500, (odd, answer.text)
        assert answer.headers["content-type"] == "application/json"
    assert served.get("/workflow/buckets/status").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'{"a":NaN}', b'[{"pipeline":"\\ud800"}]'])
def test_what_is_no_json_is_refused(served: Served, body: bytes) -> None:
    for method, path in (("POST", "/work"), ("PUT", "/work"), ("POST", "/view"), ("POST", "/work/withdraw")):
        assert served.call(method, f"/workflow/buckets{path}", content=body).status_code == 400


def test_long_ids_are_ids_of_nothing(served: Served) -> None:
    assert served.call("DELETE", "/workflow/buckets/work", params={"ids": "a" * 60_000}).json() is False
