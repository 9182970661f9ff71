"""Works over HTTP: who waits for one is woken, the first come first, and nothing is taken for who has gone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.validation import DEEPEST
from clx.db.workers import WorkerTable
from clx.db.works.searching import Condition, Search

WAIT = 30
"""Seconds that nobody waits who is woken."""


def register(served: Served) -> int:
    worker = served.post("/api/v1/workers", {"type": "work:p"}).json()["id"]
    assert isinstance(worker, int)
    return worker


def withdraw(served: Served, worker: int, **asked: Any) -> Any:
    answer = served.post("/api/v1/works/withdraw", {"pipelines": ["p"], "worker": worker, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()["work"]


def statuses(queue: Queue) -> list[tuple[str, int]]:
    page = queue.works.find(Search(order="deposit"))
    return [(each.document["status"], each.document["attempt"]) for each in page.works]


def test_a_work_from_its_deposit_to_its_end(served: Served, queue: Queue) -> None:
    answer = served.post("/api/v1/works", {"works": [{"pipeline": "p", "tags": ["x"]}, {"pipeline": "p"}]}, role="work")
    assert answer.status_code == 201
    first, second = answer.json()["ids"]
    worker = register(served)
    assert withdraw(served, worker, tags=["y"]) is None
    work = withdraw(served, worker, tags=["x"])
    assert (work["id"], work["run"], work["status"]) == (first, 1, "running")
    told = served.post("/api/v1/works/update", {"works": [{**work, "status": "success"}, {**work, "id": "none"}]})
    assert told.json() == {"taken": [True, False]}
    (found,) = served.post("/api/v1/works/get", {"ids": [first, "none", first]}).json()["works"]
    assert (found["work"]["status"], found["in_bucket"]) == ("success", True)
    assert served.post("/api/v1/works/wait", {"ids": [first, "none"], "timeout": WAIT}).json()["works"] == [found]
    assert [run["outcome"] for run in served.get(f"/api/v1/works/runs?id={first}").json()["runs"]] == ["succeeded"]
    assert served.get("/api/v1/works/buckets").json() == {"pipelines": ["p"]}
    assert served.get("/api/v1/works/status?pipeline=p").json()["status"]["queued"] == 1
    assert served.post("/api/v1/works/cancel", {"ids": [second]}).json() == {"ids": [second]}
    assert served.post("/api/v1/works/retry", {"ids": [second]}).json() == {"ids": [second]}
    assert served.post("/api/v1/works/delete", {"ids": [second], "store": "results"}).json() == {"ids": []}
    assert served.post("/api/v1/works/delete", {"ids": [first, second]}).json() == {"ids": [first, second]}
    assert served.get("/api/v1/works/results").json() == {"pipelines": {}}
    assert statuses(queue) == []


def test_a_search_page_by_page(served: Served, queue: Queue) -> None:
    ids = queue.works.deposit([{"pipeline": "p", "event": n, "tags": ["x"]} for n in range(5)])
    asked: dict[str, Any] = {"where": [{"field": "tags", "operator": "=", "value": "x"}], "order": "deposit"}
    found: list[str] = []
    after = None
    while True:
        page = served.post("/api/v1/works/find", {**asked, "limit": 2, "after": after}).json()
        found += [each["work"]["id"] for each in page["works"]]
        after = page["after"]
        if after is None:
            break
    assert found == ids
    either = [[{"field": "event", "value": 1}], [{"field": "event", "operator": "in", "value": [2, 9]}]]
    counted = served.post("/api/v1/works/count", {"where": [{"field": "", "operator": "any", "value": either}]})
    assert counted.json() == {"count": 2}
    wanted = queue.works.count(Search([Condition("", "any", [[Condition("event", "=", 1)]])]))
    assert wanted == 1


def nested(deep: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"field": "a", "operator": "any", "value": []}
    for _ in range(deep):
        asked = {"field": "a", "operator": "any", "value": [[asked]]}
    return asked


@pytest.mark.parametrize(
    "where",
    [
        [nested(100)],
        [{"field": "a", "operator": "any", "value": [[]] * 1000}],
        [{"field": "a", "operator": "any", "value": 5}],
        [{"field": "a", "operator": "any", "value": [[{"field": "a", "operator": "$where", "value": "1"}]]}],
        [{"field": "a..b", "operator": "=", "value": 5}],
    ],
)
def test_a_search_that_is_none_is_refused(served: Served, where: Any) -> None:
    answer = served.post("/api/v1/works/find", {"where": where})
    assert (answer.status_code, answer.json()["type"]) == (422, "QueueError")


@pytest.mark.parametrize(
    ("path", "role"),
    [("", "work"), ("/withdraw", "work"), ("/update", "work"), ("/delete", "admin"), ("/cancel", "admin")],
)
def test_works_need_the_roles_that_jobs_need(served: Served, path: str, role: str) -> None:
    weaker = {"work": "read", "admin": "work"}[role]
    assert served.post(f"/api/v1/works{path}", {}, role=weaker).status_code == 403
    assert served.post(f"/api/v1/works{path}", {}, role=role).status_code == 422


def test_who_waits_is_woken_the_first_come_first(served: Served, queue: Queue) -> None:
    worker = register(served)
    body = {"pipelines": ["p"], "worker": worker, "wait": WAIT}
    headers = {"authorization": f"Bearer {served.secrets['work']}"}

    async def both() -> list[httpx.Response]:
        calls = []
        for tag in (None, None, "x"):
            asked = {**body, "tags": [tag]} if tag else body
            calls.append(asyncio.create_task(served.client.post("/api/v1/works/withdraw", json=asked, headers=headers)))
            while len(served.application.api.takers) < len(calls):
                await asyncio.sleep(0)
        pending = set(calls)
        for call, tags in zip(calls, ([], [], ["x"]), strict=True):
            await asyncio.to_thread(queue.works.deposit, [{"pipeline": "p", "tags": tags}])
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            assert done == {call}
        return [each.result() for each in calls]

    answers = served.run(both())
    assert sorted(each.json()["work"]["run"] for each in answers) == [1, 1, 1]
    assert statuses(queue) == [("running", 1)] * 3


def test_what_was_taken_for_who_has_gone_waits_again(served: Served, queue: Queue) -> None:
    worker = register(served)
    asked = {"pipelines": ["p"], "worker": worker}

    async def call(wait: float, leaves: asyncio.Event | None) -> list[Any]:
        """A caller who says that he has gone as soon as *leaves* is set; None: before he has an answer."""
        sent: list[Any] = []
        bodies = [{"type": "http.request", "body": json.dumps({**asked, "wait": wait}).encode()}]

        async def receive() -> Any:
            if bodies:
                return bodies.pop()
            if leaves is not None:
                await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        token = f"Bearer {served.secrets['work']}".encode()
        scope = {
            "type": "http", "method": "POST", "path": "/api/v1/works/withdraw", "raw_path": b"", "query_string": b"",
            "headers": [(b"authorization", token), (b"host", b"localhost")], "root_path": "", "scheme": "http",
            "http_version": "1.1", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
        }  # fmt: skip
        await served.application(scope, receive, send)
        return sent

    queue.works.deposit([{"pipeline": "p"}])
    served.run(call(0, None))
    assert statuses(queue) == [("queued", 0)]
    work = withdraw(served, worker)
    queue.works.update([{**work, "status": "success"}])

    async def leaves_while_waiting() -> None:
        leaves = asyncio.Event()
        waiting = asyncio.create_task(call(WAIT, leaves))
        while not len(served.application.api.takers):
            await asyncio.sleep(0)
        leaves.set()
        await waiting
        await asyncio.to_thread(queue.works.deposit, [{"pipeline": "p"}])

    served.run(leaves_while_waiting())
    assert statuses(queue) == [("success", 1), ("queued", 0)]


def test_a_withdrawal_whose_answer_was_lost_is_answered_again(served: Served, queue: Queue) -> None:
    first, second = queue.works.deposit([{"pipeline": "p"}, {"pipeline": "p"}])
    worker = register(served)
    lost = withdraw(served, worker)
    assert withdraw(served, worker, known=[]) == lost
    assert lost["id"] == first
    assert withdraw(served, worker, known=[first])["id"] == second
    assert withdraw(served, worker, known=[first, second]) is None


def test_a_worker_that_was_struck_off_takes_nothing(served: Served, queue: Queue) -> None:
    queue.works.deposit([{"pipeline": "p"}])
    worker = register(served)
    WorkerTable(queue.database).end(worker, "gone", dead=True)
    answer = served.post("/api/v1/works/withdraw", {"pipelines": ["p"], "worker": worker})
    assert (answer.status_code, answer.json()["type"]) == (409, "LostWorkerError")
    assert statuses(queue) == [("queued", 0)]


@pytest.mark.parametrize("strange", ["[" * deep + "]" * deep for deep in (DEEPEST, 1200)])
def test_what_cannot_be_kept_is_refused_and_changes_nothing(served: Served, queue: Queue, strange: str) -> None:
    (known,) = queue.works.deposit([{"pipeline": "p"}])
    work = json.dumps({"pipeline": "p", "id": known, "parameters": {"x": "STRANGE"}}).replace('"STRANGE"', strange)
    for path in ("/api/v1/works", "/api/v1/works/update"):
        answer = served.call("POST", path, content=f'{{"works": [{work}]}}')
        assert answer.status_code in {400, 422}, answer.text
    assert statuses(queue) == [("queued", 0)]
    found = queue.works.get(known)
    assert found is not None
    assert "parameters" not in found.document
