"""Enqueueing: rule 1, keys, delays, payloads."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from tests.support.clock import at

from clx.db import validation
from clx.db.jobs import NewJob, Queue
from clx.errors import DatabaseError, JobExistsError, LostBatchError, QueueError, UnknownJobError


def test_a_job_is_in_the_table_when_enqueue_returned(open_queue: Callable[[], Queue]) -> None:
    job_id = at(open_queue(), 5).enqueue(NewJob("t", {"text": 'ä"\n', "list": [1, None, 2.5]}, priority=4, timeout=7))

    job = open_queue().get(job_id)

    assert job is not None
    assert (job.state, job.payload, job.priority, job.timeout, job.created_at, job.run) == (
        "queued", {"text": 'ä"\n', "list": [1, None, 2.5]}, 4, 7, 5, 0,
    )  # fmt: skip


def test_many_jobs_go_in_together_or_not_at_all(queue: Queue) -> None:
    with pytest.raises(UnknownJobError):
        queue.enqueue_many([NewJob("t"), NewJob("t", needs=[99])])

    assert queue.stats() == {}


@pytest.mark.parametrize("keyed", [False, True])
def test_ids_come_back_in_the_order_of_the_jobs(queue: Queue, keyed: bool) -> None:
    queue.enqueue(NewJob("t"))
    ids = queue.enqueue_many([NewJob("t", {"n": n}, key=str(n) if keyed else None) for n in range(7)])

    assert [job.payload["n"] for job in queue.get_many(ids)] == list(range(7))
    assert ids == sorted(ids)


def test_no_jobs_are_no_trouble(queue: Queue) -> None:
    assert queue.enqueue_many([]) == []


def test_a_key_belongs_to_one_live_job_of_a_pool(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="k"))

    assert queue.enqueue(NewJob("t", key="k")) == first
    assert queue.enqueue(NewJob("t", key="k", pool="other")) != first
    with pytest.raises(JobExistsError, match=rf"Job {first} .* is queued"):
        queue.enqueue(NewJob("t", key="k"), on_conflict="raise")


def test_a_key_is_free_again_when_its_job_has_ended(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="k"))
    job = queue.claim(["t"])[0]
    queue.finish(job.id, job.run)

    assert queue.enqueue(NewJob("t", key="k"), on_conflict="raise") != first


def test_replacing_a_queued_job_keeps_its_id(queue: Queue) -> None:
    other = queue.enqueue(NewJob("t"))
    first = queue.enqueue(NewJob("t", {"n": 1}, key="k", needs=[other]))

    assert queue.enqueue(NewJob("t", {"n": 2}, key="k", priority=5), on_conflict="replace") == first

    job = queue.claim(["t"])[0]
    assert (job.id, job.payload, queue.needs(first)) == (first, {"n": 2}, [])


def test_a_running_job_is_not_replaced(queue: Queue) -> None:
    queue.enqueue(NewJob("t", {"n": 1}, key="k"))
    job = queue.claim(["t"])[0]

    with pytest.raises(JobExistsError, match="running"):
        queue.enqueue(NewJob("t", {"n": 2}, key="k"), on_conflict="replace")
    queue.finish(job.id, job.run)

    found = queue.get(job.id)
    assert found is not None
    assert found.payload == {"n": 1}


def test_asking_again_for_a_job_that_is_being_cancelled_keeps_it(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t", key="k"))
    job = queue.claim(["t"])[0]
    queue.cancel([job_id])

    assert queue.enqueue(NewJob("t", key="k")) == job_id
    assert queue.heartbeat(job.id, job.run) == "go on"


def test_a_delayed_job_waits_for_its_time(queue: Queue) -> None:
    at(queue, 1000).enqueue(NewJob("t", not_before=2000))

    assert at(queue, 1999).claim(["t"]) == []
    assert len(at(queue, 2000).claim(["t"])) == 1


def test_an_ended_batch_takes_no_more_jobs(queue: Queue) -> None:
    batch, _ = queue.enqueue_batch([], NewJob("done"))

    with pytest.raises(LostBatchError):
        queue.enqueue_many([NewJob("t")], batch=batch)
    assert "t" not in queue.stats()


@pytest.mark.parametrize("wrong", [{"priority": 0}, {"priority": 6}, {"max_runs": 0}, {"type": ""}, {"timeout": 0}])
def test_values_the_table_does_not_take_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QueueError):
        NewJob(**{"type": "t", **wrong})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"type": 5}, "type 5"),
        ({"type": "a\0b"}, "type"),
        ({"payload": [1, 2]}, "payload"),
        ({"pool": None}, "pool None"),
        ({"key": 7}, "key 7"),
        ({"priority": "5"}, "priority '5'"),
        ({"priority": 2.5}, "priority 2.5"),
        ({"not_before": 1.5}, "not_before 1.5"),
        ({"not_before": 2**70}, "not_before"),
        ({"deadline": "tomorrow"}, "deadline 'tomorrow'"),
        ({"needs": 5}, "needs 5"),
        ({"needs": "5"}, "needs '5'"),
    ],
)
def test_a_value_of_another_kind_is_named(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(QueueError) as refused:
        NewJob(**{"type": "t", **wrong})
    assert told in refused.value.fact
    assert refused.value.next_step


_NOT_JSON: list[Any] = [float("nan"), [1, {"deep": float("-inf")}], object(), "\udce9", {(1, 2): 3}, 1 + 2j]


@pytest.mark.parametrize("value", _NOT_JSON, ids=repr)
def test_what_json_cannot_say_is_refused_and_not_changed_into_something_else(queue: Queue, value: Any) -> None:
    with pytest.raises(QueueError, match="JSON cannot say this"):
        queue.enqueue(NewJob("t", {"value": value}))
    assert queue.stats() == {}

    queue.enqueue(NewJob("t", {"value": None}))
    job = queue.claim(["t"])[0]
    with pytest.raises(QueueError, match="JSON cannot say this"):
        queue.finish(job.id, job.run, value)
    with pytest.raises(QueueError, match="JSON cannot say this"):
        queue.heartbeat(job.id, job.run, progress=[value])
    queue.finish(job.id, job.run, [None, 10**30])
    found = queue.get(job.id)
    assert found is not None
    assert (found.payload, found.result) == ({"value": None}, [None, 10**30])


@pytest.mark.parametrize("value", _NOT_JSON, ids=repr)
def test_a_failure_is_told_even_where_json_cannot_say_it(queue: Queue, value: Any) -> None:
    queue.enqueue(NewJob("t", max_runs=1))
    job = queue.claim(["t"])[0]

    assert queue.fail(job.id, job.run, {"message": "no", "value": value}) == "failed"

    found = queue.get(job.id)
    assert found is not None
    assert found.error is not None
    assert found.error["message"] == "no"
    assert found.error["value"]


def test_a_failure_told_in_something_bottomless_is_told(queue: Queue) -> None:
    queue.enqueue(NewJob("t", max_runs=1))
    job = queue.claim(["t"])[0]
    bottomless: dict[str, Any] = {"message": "no"}
    bottomless["again"] = bottomless

    assert queue.fail(job.id, job.run, bottomless) == "failed"


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _deep_in_the_stack(frames: int, call: Callable[[], Any]) -> Any:
    return call() if frames == 0 else _deep_in_the_stack(frames - 1, call)


def test_what_could_be_put_in_but_not_read_again_is_refused(queue: Queue) -> None:
    """Reading takes Python's stack: such a job would end every worker that comes upon it, one after the other."""
    queue.enqueue(NewJob("t", {"value": _nested(199), "text": '[{"\\' * 500}))
    job = _deep_in_the_stack(400, lambda: queue.claim(["t"])[0])
    assert job.payload["value"] == _nested(199)

    with pytest.raises(QueueError, match="nested deeper than 200"):
        queue.enqueue(NewJob("t", {"value": _nested(200)}))
    with pytest.raises(QueueError, match="nested deeper than 200"):
        queue.finish(job.id, job.run, _nested(201))
    with pytest.raises(QueueError, match="nested deeper than 200"):
        queue.heartbeat(job.id, job.run, progress={"value": _nested(200)})
    assert queue.fail(job.id, job.run, {"message": "no", "value": _nested(200)}) == "failed"
    assert [found.error for found in queue.search()] == [
        {"type": "Error", "message": "It is told in something that JSON cannot say."}
    ]


def test_what_might_not_fit_into_the_row_later_is_refused(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a job could be done and not be reported, by one worker after the other."""
    monkeypatch.setattr(validation, "LARGEST", 1000)
    with pytest.raises(QueueError, match="more than the 0 MB"):
        queue.enqueue(NewJob("t", {"text": "x" * 1000}))
    queue.enqueue(NewJob("t", {"text": "x" * 980}))
    job = queue.claim(["t"])[0]
    with pytest.raises(QueueError, match="more than"):
        queue.finish(job.id, job.run, "x" * 1000)
    assert queue.fail(job.id, job.run, {"message": "x" * 1000}) == "failed"
    assert validation.LARGEST * 4 < 1_000_000_000  # the largest row of SQLite


def test_the_result_of_a_key_is_there_for_whoever_asks(queue: Queue) -> None:
    queue.enqueue(NewJob("t", key="k", pool="one"))
    job = queue.claim(["t"], pool="one")[0]
    queue.finish(job.id, job.run, {"n": 1})

    assert queue.results(["k", "other"]) == {"k": {"n": 1}}


def test_the_newest_result_of_a_key_counts(queue: Queue) -> None:
    for answer in ("old", "new"):
        queue.enqueue(NewJob("t", key="k"))
        job = queue.claim(["t"])[0]
        queue.finish(job.id, job.run, answer)

    assert queue.results(["k"]) == {"k": "new"}


def test_a_failure_is_a_mapping(queue: Queue) -> None:
    queue.enqueue(NewJob("t"))
    job = queue.claim(["t"])[0]

    with pytest.raises(QueueError, match="mapping"):
        queue.fail(job.id, job.run, "it broke")  # type: ignore[arg-type]


def test_words_and_lists_that_are_none_are_refused(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: queue.enqueue(NewJob("t"), on_conflict="retrun"), 'Did you mean "return"?'),  # type: ignore[arg-type]
        (lambda: queue.enqueue_many(NewJob("t")), "[NewJob("),  # type: ignore[arg-type]
        (lambda: queue.enqueue_many([{"type": "t"}]), "[NewJob("),  # type: ignore[list-item]
        (lambda: queue.search(state="queue"), 'Did you mean "queued"?'),  # type: ignore[arg-type]
        (lambda: queue.claim("t"), "['t']"),
        (lambda: queue.claim(None), "[None]"),  # type: ignore[arg-type]
        (lambda: queue.settle([5]), "Success("),  # type: ignore[list-item]
        (lambda: queue.heartbeat(job_id, 1, lease="abc"), "from 1"),  # type: ignore[arg-type]
        (lambda: queue.fail(job_id, 1, {}, backoff="x"), "whole number"),  # type: ignore[arg-type]
        (lambda: queue.get(2**70), "2^63"),
        (lambda: queue.cancel([2**70]), "2^63"),
        (lambda: queue.retry([[1]]), "[id]"),  # type: ignore[list-item]
        (lambda: queue.enqueue(NewJob("t", key="\ud800")), "plain text"),
        (lambda: queue.claim(["t"], -1), "whole number"),
        (lambda: queue.claim(["t"], lease=0), "from 1"),
        (lambda: queue.cancel(job_id), "[id]"),  # type: ignore[arg-type]
        (lambda: queue.retry(job_id), "[id]"),  # type: ignore[arg-type]
        (lambda: queue.wait(job_id), "[id]"),  # type: ignore[arg-type]
    ]
    for call, next_step in wrong:
        with pytest.raises(QueueError) as refused:
            call()
        assert next_step in refused.value.next_step
    assert [(job.id, job.state) for job in queue.search()] == [(job_id, "queued")]


def test_a_closed_queue_says_so(open_queue: Callable[[], Queue]) -> None:
    queue = open_queue()
    queue.close()

    with pytest.raises(DatabaseError, match="closed by this program"):
        queue.stats()


class _Number(int):
    """As NumPy's numbers are, of a kind of its own."""


class _Text(str):
    __slots__ = ()


_OWN_KINDS = [
    MappingProxyType({"a": None}),
    UserDict({"a": None}),
    {"n": _Number(3), "t": _Text("x"), "none": None},
    {"text": "a null pointer", "list": [None, "null"]},
    OrderedDict(b=1, a=None),
]


@pytest.mark.parametrize("value", _OWN_KINDS, ids=repr)
def test_mappings_numbers_and_texts_of_other_kinds_are_what_they_hold(queue: Queue, value: Any) -> None:
    queue.enqueue(NewJob(_Text("a b\u00a0c\U0001f469\u200d\U0001f680"), value))
    job = queue.claim(["a b\u00a0c\U0001f469\u200d\U0001f680"])[0]
    queue.finish(job.id, job.run, value)

    found = queue.get(job.id)
    assert found is not None
    assert found.payload == found.result == dict(value)


def test_a_failure_with_numbers_of_other_kinds_is_told(queue: Queue) -> None:
    queue.enqueue(NewJob("t", max_runs=1))
    job = queue.claim(["t"])[0]
    queue.fail(job.id, job.run, {"n": _Number(3), "bad": object()})

    found = queue.get(job.id)
    assert found is not None
    assert found.error is not None
    assert found.error["n"] == 3
