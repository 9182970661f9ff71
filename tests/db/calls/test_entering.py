"""Calls are answered by what is recorded, kept or live, in this order, and else by a new job."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.calls.conftest import TASK, WORKFLOW, begin, call, do, enter, enter_one, job_of, rejoin, state
from tests.db.schedules.conftest import noted
from tests.support.clock import at

from clx.db.calls.models import Entered, Recorded
from clx.db.check import check
from clx.db.jobs import NewJob, Queue
from clx.errors import LostRunError, QueueError


def test_a_new_call_becomes_a_job(queue: Queue) -> None:
    parent = begin(queue)

    first, second = enter(queue, parent, call("a"), call(None, priority=5))

    job = job_of(queue, first.job_id)
    assert (job.type, job.key, job.payload, job.state) == (TASK, "a", {"arguments": {"x": "a"}}, "queued")
    assert job_of(queue, second.job_id).priority == 5
    assert check(queue.database) == []


def test_a_call_is_answered_from_its_record_whatever_has_become_of_the_job(queue: Queue) -> None:
    parent = begin(queue)
    calls = [call("a"), call("b"), call("b", 1), call(None), call(None, 1)]
    before = enter(queue, parent, *calls)
    do(queue, before[0].job_id or 0)
    (job,) = queue.claim([TASK])
    queue.fail(job.id, job.run, {"message": "no"})
    queue.release(*parent)

    again = rejoin(queue, parent[0])

    assert enter(queue, again, *reversed(calls)) == before[::-1]
    assert queue.stats()[TASK] == {"succeeded": 1, "failed": 1, "queued": 2}


def test_one_question_is_asked_once(queue: Queue) -> None:
    one, other = begin(queue), begin(queue)
    plain = queue.enqueue(NewJob(TASK, key="plain"))

    first = enter(queue, one, call("a"), call("a", 1), call("plain"), call(None), call(None, 1))
    second = enter(
        queue, other, call("a"), call("plain"), call("a", 1, pool="other"), call("a", 2, type="task:other:1.0.0")
    )

    a = first[0].job_id
    assert [each.job_id for each in first[:3]] == [a, a, plain]
    assert [each.job_id for each in second[:2]] == [a, plain]
    ids = {each.job_id for each in [*first[3:], *second[2:]]}
    assert len(ids) == 4
    assert not ids & {a, plain}
    assert queue.calls.parents_of(a or 0) == [one[0], other[0]]


def test_a_kept_result_is_an_answer(queue: Queue) -> None:
    do(queue, queue.enqueue(NewJob(TASK, key="a")), [1, 2])
    parent = begin(queue)

    assert enter(queue, parent, call("a")) == [Entered(None, {"value": [1, 2]})]
    assert enter(queue, parent, call("a", 1, cache=False))[0].job_id is not None
    assert enter(queue, parent, call("a", 2, type="task:other:1.0.0"))[0].job_id is not None


def test_a_kept_result_that_is_too_old_is_none_but_stays_what_was_recorded(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob(TASK, key="a"))
    (job,) = queue.claim([TASK])
    at(queue, 1000).finish(job_id, job.run, {"value": 1})
    parent = begin(queue)

    old, fresh = call("a", 0, ttl=99), call("a", 1, ttl=100)
    assert at(queue.calls, 1100).enter(parent, [fresh]) == [Entered(None, {"value": 1})]
    entered = at(queue.calls, 1100).enter(parent, [old, fresh])

    assert entered[0].job_id is not None
    assert entered[1] == Entered(None, {"value": 1})


def test_a_recorded_result_that_is_gone_is_made_anew(queue: Queue) -> None:
    do(queue, queue.enqueue(NewJob(TASK, key="a")))
    parent = begin(queue)
    enter(queue, parent, call("a"))
    assert queue.calls.forget(TASK, "b") == 0
    assert queue.calls.forget(TASK) == 1

    job_id = enter_one(queue, parent, call("a"))

    assert state(queue, job_id) == "queued"
    assert [each.job_id for each in queue.calls.of(parent[0])] == [job_id]


def test_a_result_that_is_no_json_is_none(queue: Queue) -> None:
    do(queue, queue.enqueue(NewJob(TASK, key="a")))
    queue.database.connection().execute("UPDATE results SET result = '{'")
    parent = begin(queue)

    assert queue.calls.find([call("a")]) == {}
    assert enter_one(queue, parent, call("a"))


def test_kept_results_are_found_without_a_transaction(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    do(queue, queue.enqueue(NewJob(TASK, key="a")))
    do(queue, queue.enqueue(NewJob("task:other:1.0.0", key="b")))
    written = noted(monkeypatch, queue, "write")

    found = queue.calls.find([call("a"), call("b"), call("c"), call(None), call("a", 1, cache=False)])

    assert found == {"a": {"value": 1}}
    assert queue.calls.find([]) == {}
    assert written == []


def test_what_was_found_so_is_recorded_with_the_next_calls(queue: Queue) -> None:
    parent = begin(queue)
    queue.calls.enter(parent, [], [call("a")])
    job_id = queue.calls.enter(parent, [call("b")], [call("a"), call("a", 1)])[0].job_id

    rows = {(row.name, row.occurrence): row for row in queue.calls.of(parent[0])}

    assert {at: (row.type, row.job_id, row.state) for at, row in rows.items()} == {
        ("call of a", 0): (TASK, None, None),
        ("call of a", 1): (TASK, None, None),
        ("call of b", 0): (TASK, job_id, "queued"),
    }


def test_use_of_a_result_keeps_it(queue: Queue) -> None:
    day = 24 * 3600 * 1000
    do(queue, queue.enqueue(NewJob(TASK, key="a")))
    parent = begin(queue)
    later = queue.database.clock.now() + 2 * day
    used_at = "SELECT used_at FROM results"

    at(queue.calls, later).find([call("a")])
    assert queue.database.read(used_at) == [(later,)]
    at(queue.calls, later + 2 * day).enter(parent, [call("a")])
    assert queue.database.read(used_at) == [(later + 2 * day,)]


def test_only_the_newest_run_calls(queue: Queue) -> None:
    parent = begin(queue)
    queue.release(*parent)

    for verb in (
        lambda: enter(queue, parent, call("a")),
        lambda: queue.calls.enter(parent, [], [call("a")]),
        lambda: queue.calls.remember(parent, "now", 0, "1"),
    ):
        with pytest.raises(LostRunError):
            verb()
    assert queue.stats() == {WORKFLOW: {"queued": 1}}
    assert queue.calls.of(parent[0]) == []


def test_one_that_is_told_to_end_is_not_joined(queue: Queue) -> None:
    parent = begin(queue)
    first = queue.enqueue(NewJob(TASK, key="a"))
    (job,) = queue.claim([TASK])
    queue.cancel([first])

    behind = enter_one(queue, parent, call("a"))
    again = enter_one(queue, begin(queue), call("a"))

    assert behind == again != first
    assert (state(queue, first), state(queue, behind)) == ("running!", "queued")
    assert queue.claim([TASK]) == []
    queue.release(job.id, job.run)
    assert state(queue, first) == "cancelled"
    do(queue, behind)
    assert check(queue.database) == []


def test_a_job_that_counts_to_a_limit_or_expires_can_be_called(queue: Queue) -> None:
    parent = begin(queue)
    with pytest.raises(QueueError, match="no limit"):
        enter(queue, parent, call("a", limit="l"))
    queue.set_limit("l", concurrency=1)

    job_id = enter_one(queue, parent, call("a", limit="l", expires_in=60_000))

    job = job_of(queue, job_id)
    assert job.limit == "l"
    assert job.expires_at


@pytest.mark.parametrize("job", [{"needs": [1]}, {"unique_for": 5}])
def test_a_job_that_hinges_on_others_cannot_be_called(queue: Queue, job: dict[str, Any]) -> None:
    parent = begin(queue)
    with pytest.raises(QueueError, match="has no needs"):
        enter(queue, parent, call("a", **job))


def test_a_remembered_value_is_the_first_one(queue: Queue) -> None:
    parent = begin(queue)
    assert queue.calls.remember(parent, "now", 0, "1") == "1"
    assert queue.calls.remember(parent, "now", 1, "2") == "2"
    queue.release(*parent)
    again = rejoin(queue, parent[0])

    assert queue.calls.remember(again, "now", 0, "3") == "1"
    first, second = queue.calls.of(parent[0])
    assert (first, second.value) == (Recorded("now", 0, None, None, None, "1", first.created_at), "2")
    enter(queue, again, call("a"))
    with pytest.raises(QueueError, match="is a call"):
        queue.calls.remember(again, "call of a", 0, "4")


def test_a_program_gets_a_mark_for_each_job_and_nothing_is_recorded(queue: Queue) -> None:
    one, same, other = enter(queue, None, call("a"), call("a"), call(None))

    assert one.job_id == same.job_id != other.job_id
    assert len({one.mark, same.mark, other.mark}) == 3
    assert queue.calls.parents_of(one.job_id or 0) == [0]
    do(queue, one.job_id or 0)
    assert enter(queue, None, call("a")) == [Entered(None, {"value": 1})]


def test_many_calls_take_a_few_statements(queue: Queue) -> None:
    parent = begin(queue)
    calls = [call(f"{n}") for n in range(1000)]
    said: list[str] = []
    connection = queue.database.connection()

    def told(work: list[object]) -> int:
        said.clear()
        connection.set_trace_callback(lambda statement: said.append(statement.split()[0]))
        work.append(enter(queue, parent, *calls))
        connection.set_trace_callback(None)
        return len([each for each in said if each != "INSERT" or "postgresql" in type(queue.database).__module__])

    work: list[object] = []
    assert told(work) < 12
    assert told(work) < 12
    assert work[0] == work[1]
    assert queue.stats()[TASK] == {"queued": 1000}
