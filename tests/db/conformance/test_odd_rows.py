"""Rows that no queue would write: somebody used another program."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.clock import at

from clx.db.clock import now_ms
from clx.db.jobs import NewJob, Queue
from clx.db.models import Failure, Success
from clx.db.workers import register_this_process
from clx.errors import QueueError

_PAYLOADS = [
    "{",
    "",
    "NaN",
    "[1]",
    "7",
    '"text"',
    "null",
    b"\xff\xfe",
    '{"a": "\ud800"}'.encode("utf-8", "surrogatepass"),
    "[" * 50_000,
]


@pytest.mark.parametrize("payload", _PAYLOADS, ids=lambda payload: repr(payload)[:12])
@pytest.mark.parametrize("types", [["t"], ["t", "u"]], ids=["one type", "two types"])
def test_a_job_that_nobody_can_read_is_failed_and_stops_nobody(queue: Queue, payload: Any, types: list[str]) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(4)])
    dependent = queue.enqueue(NewJob("t", needs=[ids[1]]))
    cast = "CAST(? AS TEXT)"  # bytes that are no text, as text
    _put(queue, f"UPDATE jobs SET payload = {cast} WHERE id = ?", (payload, ids[1]))

    claimed = queue.claim(types, 2) + queue.claim(types, 9)

    assert [job.id for job in claimed] == [ids[0], ids[2], ids[3]]
    (odd, waiting) = queue.get_many([ids[1], dependent])
    assert odd.error is not None
    assert (odd.state, odd.error["type"], waiting.state) == ("failed", "Unreadable", "failed")
    assert [run["outcome"] for run in queue.runs(ids[1])] == ["failed"]
    assert not odd.is_readable
    assert queue.claim(types, 9) == []


def _put(queue: Queue, statement: str, parameters: tuple[Any, ...]) -> None:
    queue.database.write("odd", lambda connection: connection.execute(statement, parameters))


def test_what_cannot_be_read_is_shown_as_it_stands(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", key="k"))
    (job,) = queue.claim(["t"])
    queue.fail(job.id, job.run, {"message": "no"})
    _put(queue, "UPDATE jobs SET error = ?, progress = ?, payload = ? WHERE id = ?", ("[1]", "{x", "{y", job_id))
    _put(queue, "UPDATE runs SET error = ?", ("nonsense",))
    _put(queue, "INSERT INTO results VALUES (?, 't', ?, 1, 1)", ("k", "NaN"))

    (found,) = queue.search()

    shown: tuple[object, ...] = (found.payload, found.progress, found.error)
    assert shown == ("{y", "{x", {"type": "Unreadable", "message": "[1]"})
    assert queue.runs(job_id)[0]["error"] == {"type": "Unreadable", "message": "nonsense"}
    assert queue.results(["k"]) == {}


@pytest.mark.parametrize("raw", [b"{", b"NaN", b'{"a": 1}}', b"[1,]"])
def test_ready_made_json_is_looked_at_before_it_is_stored(queue: Queue, raw: bytes) -> None:
    with pytest.raises(QueueError):
        queue.enqueue(NewJob("t", {"a": [msgspec.Raw(raw)]}))
    assert queue.stats() == {}

    queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"])
    with pytest.raises(QueueError):
        queue.finish(job.id, job.run, {"a": msgspec.Raw(raw)})
    with pytest.raises(QueueError):
        queue.settle([Success(job.id, job.run, msgspec.Raw(raw))], worker=job.worker_id)
    queue.settle([Failure(job.id, job.run, {"message": msgspec.Raw(raw)})], worker=job.worker_id)
    (found,) = queue.search()
    assert found.state == "failed"  # a failure is told all the same


def test_ready_made_json_that_is_right_is_stored(queue: Queue) -> None:
    nothing = queue.enqueue(NewJob("t", {"a": None, "b": msgspec.Raw(b"null")}))
    assert queue.get_many([nothing])[0].payload == {"a": None, "b": None}
    job_id = queue.enqueue(NewJob("t", {"a": msgspec.Raw(b'{"b": [1, 2]}')}))

    assert queue.get_many([job_id])[0].payload == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    "payload", [{1: "a", "1": "b"}, {"x": [{1.5: 1, "1.5": 2}]}, {float("nan"): 1}, {"a": {float("inf"): 1}}]
)
def test_names_that_json_cannot_tell_apart_are_refused(queue: Queue, payload: dict[Any, Any]) -> None:
    with pytest.raises(QueueError, match="JSON cannot say this"):
        queue.enqueue(NewJob("t", payload))


def test_names_that_are_no_text_become_text(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", {1: "a", "b": {2: 3}}))  # type: ignore[dict-item]

    assert queue.get_many([job_id])[0].payload == {"1": "a", "b": {"2": 3}}


@pytest.mark.parametrize("job_id", ["x", None, 1.5])
def test_a_job_is_asked_for_by_its_id(queue: Queue, job_id: Any) -> None:
    with pytest.raises(QueueError):
        queue.get(job_id)


@pytest.mark.parametrize("name", ["not_before", "deadline"])
def test_moments_in_seconds_are_refused(queue: Queue, name: str) -> None:
    moment: dict[str, Any] = {name: now_ms() // 1000 + 3600}
    job = NewJob("t", **moment)
    with pytest.raises(QueueError, match="these are seconds"):
        queue.enqueue(job)


def test_moments_and_durations_as_python_has_them(queue: Queue) -> None:
    moment = datetime(2040, 1, 1, tzinfo=UTC)
    job_id = queue.enqueue(NewJob("t", not_before=moment, deadline=moment, timeout=timedelta(seconds=30)))
    later = queue.enqueue(NewJob("t", not_before=timedelta(hours=1)))

    job, delayed = queue.get_many([job_id, later])
    assert (job.not_before, job.deadline, job.timeout) == (2_208_988_800_000, 2_208_988_800_000, 30_000)
    assert abs(delayed.not_before - now_ms() - 3_600_000) < 60_000


@pytest.mark.parametrize(
    "options",
    [
        {"not_before": datetime(2040, 1, 1, tzinfo=UTC).replace(tzinfo=None)},
        {"timeout": datetime(2040, 1, 1, tzinfo=UTC)},
    ],
)
def test_other_moments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(QueueError):
        NewJob("t", **options)


def test_two_that_claim_to_wait_behind_the_same_job_stop_no_sweep(queue: Queue) -> None:
    """Queued again both would be in one place, which the table has once."""
    good, *odd = queue.enqueue_many([NewJob("t") for _ in range(3)])
    at(queue, 1_700_000_000_000).claim(["t"], 3, lease=1000)
    _put(queue, "UPDATE jobs SET after_id = 99 WHERE id IN (?, ?)", (*odd,))

    at(queue, 1_700_000_100_000).rescue()

    assert [job.state for job in queue.get_many([good, *odd])] == ["queued", "failed", "failed"]


def test_a_job_behind_one_of_another_key_does_not_keep_that_from_ending(queue: Queue) -> None:
    """Let go it would be the second live one of its key."""
    first = queue.enqueue(NewJob("t", key="a"))
    (job,) = queue.claim(["t"])
    queue.enqueue(NewJob("t", key="b"))
    odd = queue.enqueue(NewJob("t"))
    _put(queue, "UPDATE jobs SET key = 'b', after_id = ?, waits_for = 1, ready = 0 WHERE id = ?", (first, odd))

    queue.finish(job.id, job.run)

    ended, behind = queue.get_many([first, odd])
    assert (ended.state, behind.state) == ("succeeded", "failed")
    assert behind.error is not None
    assert "after_id" in behind.error["message"]


def test_a_batch_that_was_made_to_count_no_jobs_keeps_none_of_them_from_ending(queue: Queue) -> None:
    batch, (first, second) = queue.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("after"))
    _put(queue, "UPDATE batches SET pending = 0 WHERE id = ?", (batch,))

    assert queue.cancel([first, second]) == [first, second]

    assert len(queue.claim(["after"], 9)) == 1


def test_a_need_that_its_job_does_not_count_can_end(queue: Queue) -> None:
    need, dependent = queue.enqueue_many([NewJob("t"), NewJob("u")])
    _put(queue, "INSERT INTO dependencies VALUES (?, ?)", (dependent, need))
    (job,) = queue.claim(["t"])

    queue.finish(job.id, job.run)

    assert [each.id for each in queue.claim(["u"])] == [dependent]


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("harmless", [False, True])
@pytest.mark.parametrize("max_runs", [1, 3])
def test_a_claim_gives_what_can_be_read_in_the_place_of_what_cannot(
    queue: Queue, harmless: bool, n: int, max_runs: int
) -> None:
    """The first one that can be read is held alone where that is asked for and it could harm others."""
    ids = queue.enqueue_many([NewJob("t", max_runs=max_runs) for _ in range(4)])
    for odd in (ids[0], ids[2]):
        _put(queue, "UPDATE jobs SET payload = '{' WHERE id = ?", (odd,))

    claimed = queue.settle((), ["t"], n, worker=register_this_process(queue.database, "t"), harmless=harmless).claimed

    assert [job.id for job in claimed] == [ids[1], ids[3]][: 1 if harmless and max_runs == 1 else n]
