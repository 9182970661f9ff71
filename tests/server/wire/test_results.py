"""Results as their clients call them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Served
from tests.support.workflow import OF_2

from clx import Queue
from clx.server.wire import buckets, exchange, results, viewing

AT = "/workflow/results"
FIRST, SECOND = "65e4c9b9c5e8320d351c0d7c", "65e4c9b9c5e8320d351c0d7d"


def ended(**fields: Any) -> dict[str, Any]:
    return {**OF_2, "id": FIRST, "status": "success", "attempt": 1} | fields


def view(served: Served, query: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = served.post(f"{AT}/view", {"query": {"pipeline": "sample"} | query, "projection": {}} | more)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def put(served: Served, *works: dict[str, Any]) -> Any:
    answer = served.call("PUT", f"{AT}/results", json=list(works))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_works_that_no_bucket_has_seen_come_in_and_go(served: Served) -> None:
    assert served.post(f"{AT}/results", []).json() == {}
    answer = served.post(f"{AT}/results", [ended(), ended(id=SECOND, pipeline="other")])
    assert answer.text == '{"other":true,"sample":true}'
    assert served.get(f"{AT}/status").json() == {"other": 1, "sample": 1}
    assert served.post(f"{AT}/results", [ended()]).status_code == 400
    assert put(served, ended(status="failure")) == {"sample": True}
    assert served.post(f"{AT}/view/count", {"query": {"pipeline": "sample", "status": "failure"}}).json() == 1
    gone = served.call("DELETE", f"{AT}/results?sample={SECOND}&other={SECOND}&sample=nothing")
    assert gone.json() == {"sample": False, "other": True}
    assert served.get(f"{AT}/status").json() == {"sample": 1}


def test_the_newest_by_id_comes_first(served: Served) -> None:
    served.post(f"{AT}/results", [ended(id=SECOND), ended()])
    assert [each["id"] for each in view(served, {})] == [SECOND, FIRST]


def test_no_results_are_empty_ones_here_alone(served: Served, queue: Queue) -> None:
    (work_id,) = queue.works.deposit([OF_2])
    held = served.post("/workflow/buckets/work/withdraw", {"pipeline": "sample"}).json()
    assert served.call("PUT", "/workflow/buckets/work", json=[{**held, "status": "success"}]).json() is True
    (there,) = served.post("/workflow/buckets/view", {"query": {}}).json()
    assert there["results"] is None
    assert served.post(f"{AT}/results", [there]).json() == {"sample": True}
    (found,) = view(served, {})
    assert (found["id"], found["results"]) == (work_id, {})
    assert served.call("DELETE", "/workflow/buckets/work", params={"ids": [work_id]}).json() is True
    assert len(view(served, {})) == 1


def test_what_is_locked_takes_only_what_unlocks_it(served: Served) -> None:
    served.post(f"{AT}/results", [ended()])
    (found,) = view(served, {})
    assert put(served, {**found, "results": {"locked": True}}) == {"sample": True}
    (locked,) = served.post(
        f"{AT}/view",
        {"query": {"pipeline": "sample", "results.locked": True},
         "projection": {"event": True, "plots": True, "products": True, "results": True}},
    ).json()  # fmt: skip
    assert locked == {"event": None, "plots": None, "products": None, "results": {"locked": True}}
    assert put(served, {**found, "results": {"locked": True, "x": 1}}) == {"sample": False}
    assert served.call("DELETE", f"{AT}/results?sample={FIRST}").json() == {"sample": False}
    assert put(served, {**found, "results": {"locked": False}}) == {"sample": True}
    assert served.call("DELETE", f"{AT}/results?sample={FIRST}").json() == {"sample": True}


def test_a_work_that_runs_has_no_results_yet(served: Served, queue: Queue) -> None:
    queue.works.deposit([OF_2])
    held = served.post("/workflow/buckets/work/withdraw", {"pipeline": "sample"}).json()
    assert served.post(f"{AT}/results", [held]).status_code == 400
    assert served.post(f"{AT}/results", [{**held, "status": "success"}]).json() == {"sample": True}
    found = queue.works.get(held["id"])
    assert found is not None
    assert (found.document["status"], found.in_results) == ("success", True)


@pytest.mark.parametrize(("limit", "count"), [(None, viewing.NULL), (0, 1300), (-1, 1300), (7, 7), (600, 600)])
def test_views_are_as_long_as_they_are_asked_for(served: Served, queue: Queue, limit: int | None, count: int) -> None:
    queue.works.deposit([{**OF_2, "creation": float(index)} for index in range(1302)])
    found = served.post("/workflow/buckets/view", {"query": {}, "skip": 2, "limit": limit}).json()
    assert [each["creation"] for each in found] == [float(1299 - index) for index in range(count)]


def test_what_changes_something_needs_the_role_for_it() -> None:
    calls: list[exchange.Call] = [*buckets.CALLS, *results.CALLS]
    assert {each.role for each in calls if each.writes} == {"work"}
    assert {each.role for each in calls if not each.writes and "audit" not in each.path} == {"read"}
