"""Buckets as their clients call them: what they send, and what they get."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.conftest import Served

from clx import Queue
from clx.server.place import Place

AT = "/workflow/buckets"
CORE = {"x-workflow-core-version": "1.4.0"}


def work(pipeline: str = "sample", **fields: Any) -> dict[str, Any]:
    """A work as ``chime-frb-api`` 2 sends it."""
    return {
        "pipeline": pipeline, "parameters": None, "results": None, "path": ".", "event": None, "tags": None,
        "group": None, "timeout": 3600, "retries": 2, "priority": 3, "products": None, "plots": None, "site": "local",
        "user": None, "archive": True, "precursors": None, "config": None, "id": None, "creation": time.time(),
        "start": None, "stop": None, "attempt": 0, "status": "created",
    } | fields  # fmt: skip


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve(Place(tokens=False))


def deposit(served: Served, *works: dict[str, Any], **more: Any) -> list[str]:
    answer = served.post(f"{AT}/work?return_ids=True", list(works), **more)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def withdraw(served: Served, query: dict[str, Any], **more: Any) -> Any:
    answer = served.post(f"{AT}/work/withdraw", query, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def update(served: Served, *works: dict[str, Any]) -> bool:
    answer = served.call("PUT", f"{AT}/work", json=list(works))
    assert answer.status_code == 200, answer.text
    return bool(answer.json())


def test_a_work_goes_its_way(served: Served) -> None:
    sent = work(parameters={"a": 1}, user="ada", tags=["night"])
    assert served.post(f"{AT}/work", [sent]).json() is True
    found = withdraw(served, {"pipeline": "sample"})
    assert {name: value for name, value in found.items() if name not in {"id", "start", "attempt", "status"}} == {
        name: sent[name] for name in sent if name not in {"id", "start", "attempt", "status", "config"}
    }
    assert (found["attempt"], found["status"], len(found["id"])) == (1, "running", 24)
    assert update(served, {**found, "status": "success", "results": {"sum": 3}}) is True
    (ended,) = served.post(f"{AT}/view", {"query": {"pipeline": "sample"}, "projection": {}}).json()
    assert (ended["status"], ended["results"]) == ("success", {"sum": 3})
    assert served.call("DELETE", f"{AT}/work", params={"ids": [found["id"]]}).json() is True
    assert served.call("DELETE", f"{AT}/work", params={"ids": [found["id"]]}).json() is False


def test_nothing_to_withdraw_is_null_not_an_empty_answer(served: Served) -> None:
    answer = served.post(f"{AT}/work/withdraw", {"pipeline": {"$in": ["none", "neither"]}})
    assert (answer.status_code, answer.text) == (200, "null")


def test_the_five_states_come_in_their_order_and_unknown_buckets_have_none(served: Served, queue: Queue) -> None:
    ids = deposit(served, work(), work(priority=4))
    queue.works.cancel(ids[:1])
    told = json.loads(served.get(f"{AT}/status").text)
    assert list(told.items()) == [("total", 2), ("queued", 1), ("running", 0), ("success", 0), ("failure", 1)]
    assert set(served.get(f"{AT}/status/details/no/such%20one").json().values()) == {0}
    assert served.get(f"{AT}/status/pipelines").json() == ["sample"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("?return_ids=False&return_ids=False", False), ("?return_ids=True&return_ids=True", True), ("", False)],
)
def test_ids_are_returned_when_they_are_wanted(served: Served, query: str, wanted: bool) -> None:
    answer = served.post(f"{AT}/work{query}", [work()]).json()
    assert isinstance(answer, list) if wanted else answer is True


def test_times_are_floats_also_when_they_are_whole(served: Served) -> None:
    deposit(served, work(creation=1_700_000_000))
    answer = served.post(f"{AT}/work/withdraw", {"pipeline": "sample"})
    assert '"creation":1700000000.0' in answer.text


def test_a_late_update_changes_nothing_and_is_no_error(served: Served, queue: Queue) -> None:
    deposit(served, work(retries=3))
    first = withdraw(served, {"pipeline": "sample"})
    assert update(served, {**first, "status": "failure"})
    assert served.get(f"{AT}/audit/failed").json() == 1
    second = withdraw(served, {"pipeline": "sample"})
    assert second["attempt"] == 2
    assert update(served, {**first, "status": "success", "results": {"late": True}}) is False
    assert update(served, {**second, "status": "success", "results": {"late": False}}) is True
    found = queue.works.get(first["id"])
    assert found is not None
    assert found.document["results"] == {"late": False}


def test_failures_wait_for_the_audit_and_two_retries_are_two_attempts(served: Served) -> None:
    deposit(served, work())
    for audited in (1, 0):
        held = withdraw(served, {"pipeline": "sample"})
        assert update(served, {**held, "status": "failure"})
        assert withdraw(served, {"pipeline": "sample"}) is None
        assert served.get(f"{AT}/audit/failed").json() == audited
    assert withdraw(served, {"pipeline": "sample"}) is None


def test_what_takes_too_long_is_found_by_the_audit_of_what_is_expired(served: Served) -> None:
    deposit(served, work())
    held = withdraw(served, {"pipeline": "sample"})
    assert update(served, {**held, "start": time.time() - 7200})
    assert [served.get(f"{AT}/audit/{kind}").json() for kind in ("failed", "expired", "stale/7.0")] == [0, 1, 0]
    assert served.get(f"{AT}/audit/failed").json() == 1


def test_stale_works_are_counted_and_stay(served: Served) -> None:
    deposit(served, work(creation=time.time() - 60 * 86_400))
    assert [served.get(f"{AT}/audit/stale/{days}").json() for days in ("7.0", "61")] == [1, 0]
    assert served.get(f"{AT}/status").json()["total"] == 1


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_base_url_may_end_with_a_slash(served: Served, slashes: str) -> None:
    answer = served.get(f"{AT}{slashes}/version")
    assert answer.status_code == 200
    assert isinstance(answer.json()["version"], str)
    assert served.call("HEAD", f"{AT}{slashes}/version").status_code == 200


def test_the_root_answers(served: Served) -> None:
    for each in ("buckets", "results", "pipelines"):
        assert "version" in served.get(f"/workflow/{each}/").json()


def test_a_deposit_that_is_sent_again_is_one(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = work()
    first = deposit(served, sent)
    assert deposit(served, sent) == first
    monkeypatch.setattr("clx.server.wire.deposits._SENT_AGAIN", {True: 0.0, False: 0.0})  # as if it had waited
    served.get(f"{AT}/version")
    assert deposit(served, sent) == first
    assert served.get(f"{AT}/status").json()["total"] == 1


def test_one_object_that_is_deposited_twice_at_once_is_two(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.server.wire.deposits._SENT_AGAIN", {True: 60.0, False: 60.0})  # however slow this is
    sent = work()
    first = deposit(served, sent)
    served.get(f"{AT}/version")  # as a client does it before each
    assert deposit(served, sent) != first
    assert served.get(f"{AT}/status").json()["total"] == 2
    assert len({each["id"] for each in served.post(f"{AT}/view", {"query": {}}).json()}) == 2


def test_tokens_come_in_each_of_the_ways_of_the_clients(serve: Callable[..., Served]) -> None:
    served = serve(Place())
    secret = served.secrets["work"]
    for headers in ({"x-access-token": secret}, {"authorization": secret}, {"authorization": f"Bearer {secret}"}):
        assert served.post(f"{AT}/work", [work()], role=None, headers=headers).json() is True
        assert served.get(f"{AT}/auth/verify", role=None, headers=headers).json() == {"valid": True}
    for headers in ({}, {"x-access-token": "ghp_somebody"}, {"authorization": "ghp_somebody"}):
        assert served.post(f"{AT}/work", [work()], role=None, headers=headers).status_code == 401
        assert served.get(f"{AT}/version", role=None, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/work", []),
        ("PUT", "/work", []),
        ("DELETE", "/work?ids=a", None),
        ("POST", "/work/withdraw", {"pipeline": "p"}),
        ("GET", "/audit/failed", None),
        ("GET", "/audit/expired", None),
    ],
)
def test_who_may_only_look_changes_nothing(serve: Callable[..., Served], method: str, path: str, body: Any) -> None:
    served = serve(Place())
    assert served.call(method, f"{AT}{path}", role="read", json=body).status_code == 403
    assert served.call(method, f"{AT}{path}", role="work", json=body).status_code == 200
    assert served.post(f"{AT}/view", {"query": {}}, role="read").json() == []
