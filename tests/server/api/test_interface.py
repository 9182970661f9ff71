"""The operations do what the queue does, and refuse what it refuses, in one shape."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerTable, register_this_process
from clx.server.api import bodies


def finish(queue: Queue, type_: str = "t", result: Any = "done") -> int:
    (job,) = queue.claim([type_])
    queue.finish(job.id, job.run, result)
    return job.id


def test_a_job_goes_in_and_its_result_comes_out(served: Served, queue: Queue) -> None:
    given = {
        "type": "t",
        "payload": {"n": [1, None, "ü"]},
        "key": "k",
        "priority": 5,
        "not_before": 10**12,
        "timeout": 9,
    }
    answer = served.post("/api/v1/jobs", given)
    assert (answer.status_code, answer.json()) == (201, {"id": 1})
    job = served.get("/api/v1/jobs/1").json()
    assert {name: job[name] for name in given} == given
    assert served.get("/api/v1/jobs/1/result").json() == {"id": 1, "state": "queued", "result": None, "error": None}
    finish(queue, result={"x": 1})
    assert served.get("/api/v1/jobs/1/result").json()["result"] == {"x": 1}
    assert served.post("/api/v1/results", {"keys": ["k", "other"]}).json() == {"results": {"k": {"x": 1}}}
    history = served.get("/api/v1/jobs/1/runs").json()
    assert [run["outcome"] for run in history["runs"]] == ["succeeded"]
    assert served.get("/api/v1/stats").json() == {"types": {"t": {"succeeded": 1}}}


def test_many_jobs_go_in_or_none(served: Served, queue: Queue) -> None:
    jobs = [{"type": "t"}, {"type": "u", "needs": [1]}]
    assert served.post("/api/v1/jobs/many", {"jobs": jobs[:1]}).json() == {"ids": [1]}
    assert served.post("/api/v1/jobs/many", {"jobs": jobs}).json() == {"ids": [2, 3]}
    answer = served.post("/api/v1/jobs/many", {"jobs": [{"type": "t"}, {"type": "t", "needs": [99]}]})
    assert answer.status_code == 404
    assert answer.json()["detail"] == {"job_id": 99}
    assert len(queue.search()) == 3


def test_a_job_with_the_key_of_a_live_one_is_that_one_or_refused(served: Served) -> None:
    job = {"type": "t", "key": "k"}
    assert served.post("/api/v1/jobs", job).json() == {"id": 1}
    assert served.post("/api/v1/jobs", job).json() == {"id": 1}
    answer = served.post("/api/v1/jobs", {**job, "on_conflict": "raise"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "JobExistsError"
    assert answer.json()["detail"] == {"job_id": 1}
    assert answer.json()["next_step"] == "Wait for it, or cancel it: clx jobs cancel 1"


def test_jobs_are_searched_in_pages(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", pool="p") for _ in range(5)])
    queue.enqueue(NewJob("u"))
    page = served.get("/api/v1/jobs", params={"type": "t", "state": ["queued", "running"], "limit": 3}).json()
    assert [job["id"] for job in page["jobs"]] == [5, 4, 3]
    page = served.get("/api/v1/jobs", params={"pool": "p", "limit": 3, "before": page["next"]}).json()
    assert ([job["id"] for job in page["jobs"]], page["next"]) == ([2, 1], None)
    assert served.post("/api/v1/jobs/get", {"ids": [2, 99]}).json()["jobs"][0]["id"] == 2


def test_jobs_are_cancelled_and_queued_again(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t")])
    assert served.post("/api/v1/jobs/cancel", {"ids": [1, 99]}).json() == {"ids": [1]}
    assert served.post("/api/v1/jobs/retry", {"ids": [1, 2]}).json() == {"ids": [1]}
    assert served.get("/api/v1/jobs/1").json()["state"] == "queued"


def test_a_batch_calls_back(served: Served, queue: Queue) -> None:
    made = served.post("/api/v1/batches", {"jobs": [{"type": "t"}], "callback": {"type": "last"}, "name": "b"}).json()
    assert made == {"batch": 1, "ids": [1]}
    (live,) = served.get("/api/v1/batches").json()["batches"]
    assert (live["name"], live["states"]) == ("b", {"queued": 1})
    finish(queue)
    assert served.get("/api/v1/batches/1").json()["state"] == "done"
    assert served.get("/api/v1/jobs/2").json()["type"] == "last"
    assert served.get("/api/v1/batches/9").status_code == 404


def test_a_wait_ends_with_the_job(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("u")])
    ends = threading.Timer(0.2, finish, [queue])
    ends.start()
    assert served.get("/api/v1/jobs/1", params={"wait": 30}).json()["state"] == "succeeded"
    ends.join()
    waited = served.post("/api/v1/jobs/wait", {"ids": [1, 2], "timeout": 0.05}).json()["jobs"]
    assert [job["state"] for job in waited] == ["succeeded", "queued"]


@pytest.mark.slow
def test_hundreds_wait_without_a_thread_each(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(3)])

    async def wait_and_finish() -> list[str]:
        before = threading.active_count()
        headers = {"authorization": f"Bearer {served.secrets['read']}"}
        calls = [served.client.get(f"/api/v1/jobs/{n % 3 + 1}?wait=30", headers=headers) for n in range(300)]
        waiting = [asyncio.ensure_future(call) for call in calls]
        for _ in range(1000):  # until each has come so far
            await asyncio.sleep(0)
        threads = threading.active_count() - before
        for _ in range(3):
            await asyncio.to_thread(finish, queue)
        states = [answer.json()["state"] for answer in await asyncio.gather(*waiting)]
        assert threads < 20
        return states

    assert served.run(wait_and_finish()) == ["succeeded"] * 300


def test_a_worker_of_another_machine_registers_works_and_goes(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t"), NewJob("t")])
    worker = served.post("/api/v1/workers", {"type": "t", "host": "far", "pid": 5}, role="work").json()["id"]
    jobs = served.post("/api/v1/settle", {"worker": worker, "types": ["t"], "n": 2}, role="work").json()["jobs"]
    assert [job["id"] for job in jobs] == [1, 2]
    beat = served.post("/api/v1/jobs/1/heartbeat", {"run": 1, "progress": {"done": 0.5}}, role="work")
    assert beat.json() == {"answer": "go on"}
    queue.cancel([1])
    assert served.post("/api/v1/jobs/1/heartbeat", {"run": 1}).json() == {"answer": "cancel"}
    reports = [
        {"outcome": "failure", "job_id": 1, "run": 1, "error": {"message": "as asked"}, "cancelled": True},
        {"outcome": "success", "job_id": 2, "run": 1, "result": [1]},
        {"outcome": "success", "job_id": 2, "run": 7},
    ]
    settled = served.post("/api/v1/settle", {"worker": worker, "reports": reports, "types": ["t"], "n": 5}).json()
    assert [job["id"] for job in settled["jobs"]] == [3]
    assert settled["lost"] == [[2, 7]]
    assert [job.state for job in queue.get_many([1, 2, 3])] == ["cancelled", "succeeded", "running"]
    assert served.post(f"/api/v1/workers/{worker}/beat").json() == {"changed": True}
    (row,) = [row for row in served.get("/api/v1/workers").json()["workers"] if row["id"] == worker]
    assert (row["host"], row["jobs_succeeded"]) == ("far", 1)
    assert served.call("DELETE", f"/api/v1/workers/{worker}").json() == {"changed": True}
    assert queue.search(state="queued")[0].id == 3
    late = {"worker": worker, "types": ["t"], "n": 1}
    assert served.post("/api/v1/settle", late).status_code == 409
    assert served.post("/api/v1/jobs/3/heartbeat", {"run": 1}).json()["type"] == "LostRunError"
    assert served.post("/api/v1/jobs/3/release", {"run": 1}).json() == {"changed": False}


def test_a_worker_of_this_machine_is_not_ended_from_afar(served: Served, queue: Queue) -> None:
    mine = register_this_process(queue.database, "t")
    assert served.call("DELETE", f"/api/v1/workers/{mine}", role="work").status_code == 404
    assert [row.id for row in WorkerTable(queue.database).list()] == [mine]


def test_a_job_handed_back_is_claimed_again(served: Served, queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"])
    assert served.post("/api/v1/jobs/1/release", {"run": job.run}).json() == {"changed": True}
    assert queue.claim(["t"])[0].run == 2


def test_tokens_are_told_without_their_texts(served: Served) -> None:
    answer = served.get("/api/v1/tokens")
    assert [each["role"] for each in answer.json()["tokens"]] == ["read", "work", "admin"]
    assert "digest" not in answer.text
    assert not any(secret in answer.text for secret in served.secrets.values())


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b'{"type": "t", "payload": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422, ""),
        (b'{"type": "t", "payload": {"x": ' + b"[" * 300 + b"]" * 300 + b"}}", 422, "nested deeper"),
        (b'{"type": ""}', 422, "type"),
        (b'{"type": 1}', 422, "type"),
        (b"[]", 422, "body"),
        (b'{"type": "t", "typo": 1}', 422, "typo"),
        (b'{"type": "t", "payload": {"x": 1e999}}', 422, ""),
        (b'{"type": "t", "priority": 9}', 422, "priority"),
        (b'{"type": "t", "not_before": 5000}', 422, "seconds"),
        (b'{"type": "t", "on_conflict": "maybe"}', 422, "on_conflict"),
        (b'{"type": "a\\u0000"}', 422, "type"),
        ('{"type": "t", "payload": {"x": "\udcff"}}'.encode("utf-8", "surrogatepass"), 400, "JSON"),
    ],
)
def test_what_no_job_can_be_is_refused_with_words(
    served: Served, queue: Queue, body: bytes, status: int, says: str
) -> None:
    answer = served.call("POST", "/api/v1/jobs", content=body)
    assert answer.status_code in {status, 400} if not says else answer.status_code == status
    assert says in answer.json()["error"]
    assert queue.search() == []


@pytest.mark.parametrize("id_", ["0", "-1", "x", "1.0", str(2**63), "1" * 400, "%31x", "1/2/3"])
def test_what_is_no_id_leads_nowhere(served: Served, id_: str) -> None:
    assert served.get(f"/api/v1/jobs/{id_}").status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=0", "state=odd", "unknown=1", "limit=1&limit=2", "before=-1", "limit", "%ff=1", "a;b"]
)
def test_what_is_no_query_is_refused(served: Served, query: str) -> None:
    answer = served.get(f"/api/v1/jobs?{query}")
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]


def test_a_large_body_is_taken_and_one_too_large_is_not(served: Served, queue: Queue) -> None:
    jobs = [{"type": "t", "payload": {"text": "x" * 1000}} for _ in range(500)]
    assert len(served.post("/api/v1/jobs/many", {"jobs": jobs}).json()["ids"]) == 500
    answer = served.call("POST", "/api/v1/jobs", content=b" " * (33 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_a_question_is_smaller(served: Served) -> None:
    answer = served.call("POST", "/api/v1/jobs/get", role="read", content=b" " * (5 * 1024 * 1024))
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_large_bodies_have_their_room_together_and_give_it_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_HELD", 150_000)
    large = {"type": "t", "payload": {"text": "x" * 100_000}}
    for _ in range(3):
        assert served.post("/api/v1/jobs", large).status_code == 201
    answer = served.post("/api/v1/jobs", large | {"payload": {"text": "x" * 200_000}})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert served.post("/api/v1/jobs", large).status_code == 201

    async def two_at_a_time() -> list[int]:
        waits = {"ids": [1], "timeout": 60}
        head = {"authorization": f"Bearer {served.secrets['admin']}"}
        padded = json.dumps(waits).encode() + b" " * 100_000
        first = asyncio.create_task(served.client.post("/api/v1/jobs/wait", content=padded, headers=head))
        while not served.queue.get(1) or not _held(served):
            await asyncio.sleep(0.005)
        refused = await served.client.post("/api/v1/jobs", json=large, headers=head)
        small = await served.client.post("/api/v1/jobs/cancel", json={"ids": [1]}, headers=head)
        return [refused.status_code, small.status_code, (await first).status_code]

    assert served.run(two_at_a_time()) == [503, 200, 200]


def _held(served: Served) -> int:
    """Bytes of large bodies that are here."""
    return served.application.api.memory.held


def test_another_method_is_told_which_ones_there_are(served: Served) -> None:
    answer = served.call("DELETE", "/api/v1/jobs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert served.call("POST", "/api/v1/openapi.json").headers["allow"] == "GET, HEAD"
    assert served.call("PATCH", "/api/v1/jobs/1").status_code == 405


def test_a_mistake_of_the_server_shows_nothing_of_it(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Queue, "stats", broken)
    answer = served.get("/api/v1/stats")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret detail" in caplog.text


def test_rows_that_another_program_wrote_are_shown(served: Served, queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    queue.database.connection().execute("UPDATE jobs SET payload = 'no json' WHERE id = 1")
    job = served.get("/api/v1/jobs/1").json()
    assert job["payload"] == "no json"
    assert job["odd"]
