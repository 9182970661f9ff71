"""A client does what a queue does: the same values come back, the same errors are raised."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import clx
from clx.db import retention
from clx.db.jobs import Queue
from clx.db.models import Failure, NewJob, Success
from clx.db.retention import Pruned
from clx.errors import (
    ClxError,
    JobCancelledError,
    JobExistsError,
    JobFailedError,
    JobTimeoutError,
    LostBatchError,
    LostRunError,
    LostWorkerError,
    QueueError,
    UnknownJobError,
)
from clx.remote.client import Client
from clx.server.api import upkeep

Either = Queue | Client


@pytest.fixture(params=["file", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty queue, in a file and on a PostgreSQL server."""
    where = request.getfixturevalue("postgresql") if request.param == "postgresql" else tmp_path / "jobs.db"
    with Queue.open(where) as opened:
        yield opened


def finish(queue: Queue, result: Any = "done", type_: str = "t") -> int:
    (job,) = queue.claim([type_])
    queue.finish(job.id, job.run, result)
    return job.id


def test_what_goes_in_is_what_is_read(either: Either, queue: Queue) -> None:
    first = either.enqueue(NewJob("u"))
    job = NewJob(
        "t", {"n": [1, None, {"ü": 2.5}]}, pool="p", key="k", priority=5, max_runs=7, not_before=10**12,
        deadline=2 * 10**12, timeout=9000, needs=[first],
    )  # fmt: skip
    made = either.enqueue(job)
    assert either.get(made) == queue.get(made)
    found = either.get(made)
    assert found is not None
    assert (found.payload, found.key, found.deadline, found.waits_for) == (job.payload, "k", 2 * 10**12, 1)
    assert either.needs(made) == [first]
    assert either.get(made + 1) is None
    assert either.get_many([made, first, 99]) == queue.get_many([first, made])
    assert either.needs(99) == []
    assert either.runs(99) == []


def test_many_go_in_together(either: Either, queue: Queue) -> None:
    ids = either.enqueue_many(NewJob("t", {"n": n}) for n in range(50))
    assert ids == list(range(1, 51))
    with pytest.raises(UnknownJobError) as raised:
        either.enqueue_many([NewJob("t"), NewJob("t", needs=[999])])
    assert raised.value.job_id == 999
    assert len(queue.search(limit=1000)) == 50


def test_keys(either: Either) -> None:
    made = either.enqueue(NewJob("t", key="k"))
    assert either.enqueue(NewJob("t", key="k")) == made
    with pytest.raises(JobExistsError, match=f"Job {made} with the same key is queued") as raised:
        either.enqueue(NewJob("t", key="k"), on_conflict="raise")
    assert raised.value.job_id == made
    assert either.enqueue(NewJob("t", {"new": 1}, key="k"), on_conflict="replace") == made
    found = either.get(made)
    assert found is not None
    assert found.payload == {"new": 1}


def test_batches(either: Either, queue: Queue) -> None:
    batch, ids = either.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("last"), name="b")
    assert either.search(batch=batch) == queue.get_many(ids)[::-1]
    more = either.enqueue_many([NewJob("t")], batch=batch)
    for _ in range(3):
        finish(queue)
    (called,) = either.search(type="last")
    assert called.payload["batch"] == {"id": batch, "succeeded": 3, "failed": 0, "cancelled": 0}
    assert more == [3]
    with pytest.raises(LostBatchError):
        either.enqueue_many([NewJob("t")], batch=batch)


def test_search(either: Either, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", pool="p"), NewJob("u", key="k"), NewJob("t")])
    queue.cancel([1])
    asked: list[dict[str, Any]] = [
        {}, {"type": "t"}, {"pool": "p"}, {"state": "queued"}, {"state": ["queued", "cancelled"]}, {"state": []},
        {"key": "k"}, {"before": 3, "limit": 1}, {"limit": 0}, {"limit": 100_000}, {"worker": 1}, {"batch": 7},
    ]  # fmt: skip
    for given in asked:
        assert either.search(**given) == queue.search(**given), given
    with pytest.raises(QueueError):
        either.search(state="odd")  # type: ignore[arg-type]
    assert either.stats(["x"]) == {"x": {}, "t": {"cancelled": 1, "queued": 1}, "u": {"queued": 1}}


def test_cancel_and_retry(either: Either, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("t", key="k")])
    assert either.cancel([2, 1, 99]) == [2, 1]
    queue.enqueue(NewJob("t", key="k"))
    with pytest.raises(JobExistsError):
        either.retry([1, 2])
    assert either.retry([1]) == [1]
    assert [job.state for job in either.get_many([1, 2])] == ["queued", "cancelled"]


def test_results_and_runs(either: Either, queue: Queue) -> None:
    queue.enqueue(NewJob("t", key="k"))
    finish(queue, {"x": [1]})
    assert either.results(["k", "none"]) == {"k": {"x": [1]}}
    assert either.results(["k"], type="other") == {}
    assert either.runs(1) == queue.runs(1)


def test_result(either: Either, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("u"), NewJob("v", max_runs=1), NewJob("w")])
    finish(queue, {"x": 1})
    assert either.result(1) == {"x": 1}
    with pytest.raises(JobTimeoutError):
        either.result(2, timeout=timedelta(milliseconds=20))
    (job,) = queue.claim(["v"])
    queue.fail(job.id, job.run, {"type": "ValueError", "message": "no"})
    with pytest.raises(JobFailedError, match="ValueError: no"):
        either.result(3)
    queue.cancel([4])
    with pytest.raises(JobCancelledError):
        either.result(4)
    with pytest.raises(UnknownJobError):
        either.result(99)


def test_what_else_a_job_may_have(either: Either, queue: Queue) -> None:
    hour = timedelta(hours=1)
    queue.set_limit("l", concurrency=9)
    either.enqueue(NewJob("t", delay=hour))
    either.enqueue(NewJob("t", expires=hour, limit="l"))
    first = either.enqueue(NewJob("t", key="k", unique_for=hour))
    finish(queue, type_="t")
    finish(queue, type_="t")
    assert either.enqueue(NewJob("t", key="k", unique_for=hour)) == first
    delayed, expiring, _ = queue.get_many([1, 2, 3])
    assert delayed.not_before - delayed.created_at == 3_600_000
    assert expiring.limit == "l"
    assert either.get_many([1, 2, 3]) == queue.get_many([1, 2, 3])


def test_types_are_paused_and_limits_set(either: Either, queue: Queue) -> None:
    assert either.pause("t") is True
    assert either.pause("t") is False
    assert either.paused() == queue.paused()
    assert [each.type for each in either.paused()] == ["t"]
    assert either.resume("t") is True
    assert either.resume("t") is False
    either.set_limit("l", concurrency=2, rate=5, per=timedelta(seconds=1))
    assert either.limits() == queue.limits()
    assert (either.limits()[0].concurrency, either.limits()[0].period) == (2, 1000)
    either.set_limit("l")
    assert either.limits() == []
    with pytest.raises(QueueError):
        either.set_limit("l", rate=5)


def test_wait(either: Either, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob("u")])
    ends = threading.Timer(0.2, finish, [queue])
    ends.start()
    (job,) = either.wait([1], timeout=60)
    ends.join()
    assert (job.state, job.result) == ("succeeded", "done")
    assert [job.state for job in either.wait([1, 2, 99], timeout=0.05)] == ["succeeded", "queued"]
    assert [job.state for job in either.wait([1])] == ["succeeded"]


def test_a_worker_claims_reports_and_goes(either: Either, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t", {"n": n}, max_runs=1) for n in range(4)])
    first, second = either.claim(["t"], 2)
    assert (first.id, first.state, first.run, second.payload) == (1, "running", 1, {"n": 1})
    assert either.heartbeat(1, 1, progress={"half": True}) == "go on"
    queue.cancel([2])
    assert either.heartbeat(2, 1) == "cancel"
    lost = Success(2, 9)
    done = either.settle(
        [Success(1, 1, [7], stderr="said"), lost, Failure(2, 1, {"message": "as asked"}, cancelled=True)], ["t"], 1
    )
    assert queue.runs(1)[0]["stderr"] == "said"
    assert ([job.id for job in done.claimed], done.lost) == ([3], [lost])
    assert [job.state for job in queue.get_many([1, 2, 3])] == ["succeeded", "cancelled", "running"]
    with pytest.raises(LostRunError):
        either.heartbeat(1, 1)
    either.close()
    with Queue.open(queue.database.path) as again:
        assert [job.state for job in again.get_many([3])] == ["queued"]


def test_a_worker_that_was_struck_off_gets_nothing(either: Either, queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    with pytest.raises(LostWorkerError):
        either.settle([], ["t"], 1, worker=77)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.enqueue("t"),
        lambda it: it.enqueue(NewJob("t"), on_conflict="odd"),
        lambda it: it.enqueue_many(NewJob("t")),
        lambda it: it.enqueue(NewJob("t", {"x": float("nan")})),
        lambda it: it.enqueue(NewJob("t", {"x": object()})),
        lambda it: it.enqueue(NewJob("t", not_before=5000)),
        lambda it: it.enqueue_batch([NewJob("t")], NewJob("u", key="k")),
        lambda it: it.get("x"),
        lambda it: it.get_many(5),
        lambda it: it.search(limit=-1),
        lambda it: it.results("k"),
        lambda it: it.cancel("x"),
        lambda it: it.wait([1], timeout=float("nan")),
        lambda it: it.claim("t"),
        lambda it: it.settle("x"),
    ],
)  # fmt: skip
def test_what_one_refuses_the_other_refuses(queue: Queue, client: Client, call: Any) -> None:
    with pytest.raises(ClxError) as mine:
        call(queue)
    with pytest.raises(type(mine.value)) as there:
        call(client)
    assert there.value.next_step
    assert queue.search() == []


def test_a_run_is_finished_and_handed_back(either: Either, queue: Queue) -> None:
    first, second = queue.enqueue_many([NewJob("t"), NewJob("t")])
    taken = {job.id: job.run for job in either.claim(["t"], 2)}
    either.finish(first, taken[first], {"n": 1})
    either.release(second, taken[second], delay=5_000)
    assert queue.result(first, timeout=0) == {"n": 1}
    assert [job.state for job in queue.get_many([first, second])] == ["succeeded", "queued"]
    with pytest.raises(LostRunError):
        either.finish(first, taken[first])
    with pytest.raises(LostRunError):
        either.release(second, taken[second])


def test_what_is_long_over_is_removed(either: Either, queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t") for _ in range(4)])
    for _ in ids[:3]:
        finish(queue)
    old = queue.database.clock.now() - 40 * 24 * 3_600_000
    queue.database.write("age", lambda tx: tx.execute("UPDATE jobs SET finished_at = ? WHERE id = ?", (old, ids[0])))
    assert either.prune() == Pruned(jobs=1)
    assert either.prune(succeeded=timedelta(0), results=0).jobs == 2
    assert [job.id for job in queue.search()] == ids[3:]
    with pytest.raises(QueueError, match="What is kept"):
        either.prune(everything=1)
    with pytest.raises(QueueError, match="Nothing can be kept for"):
        either.prune(failed=-1)


def test_much_is_removed_by_as_many_calls_as_it_takes(
    client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_AT_A_TIME", 0.0)
    monkeypatch.setattr(retention, "_STRIDE", 2)
    queue.enqueue_many([NewJob("t", key=str(n)) for n in range(7)])
    for _ in range(7):
        finish(queue)
    call, paths = client._call, list[str]()

    def counted(method: str, path: str, *rest: Any, **more: Any) -> Any:
        paths.append(path)
        return call(method, path, *rest, **more)

    monkeypatch.setattr(client, "_call", counted)
    removed = client.prune(succeeded=0, failed=0, workers=0, results=0)
    assert (removed.jobs, removed.results) == (7, 7)
    assert len(paths) > 4
    assert queue.search() == []


def test_the_verbs_are_called_alike() -> None:
    """What a client lacks is for who has the table at hand: docs/decisions.md."""
    assert not {"sql", "backup"} & set(dir(Client))
    assert clx.Client is Client
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_") and name != "close":
            its = inspect.signature(method).parameters
            queues = inspect.signature(getattr(Queue, name)).parameters
            assert [each for each in queues if each in its] == list(its), name
            missing = {each for each in queues if each not in its}
            assert missing <= {"harmless"}, name
