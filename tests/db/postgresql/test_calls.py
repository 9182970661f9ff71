"""Calls, ends of callers and what follows from them on two connections at once, each held up before every statement.

Whatever came of it must be what some order of the two, one after the other, leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.clock import at
from tests.support.interleaving import Scene, in_any_order

from clx.db.batches import BatchTable
from clx.db.calls.models import Call, RoutineRow
from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.db.postgresql.connect import Connection
from clx.db.workers import register_this_process

P1, P2, LEFT, RUNNING, SHARED, INNER, BELOW = range(1, 8)
"""Two callers that run; tasks: one that P1 and a batch want, one of P1 that runs, one that both called; a workflow that
P1 has called, which waits for another run, and what that one has called."""
W, TASK, AFTER = "workflow:w", "task:t:1.0.0", "task:after:1.0.0"
MARK = "m"


def _call(key: str | None, type_: str = TASK) -> Call:
    return Call(f"call of {key or type_}", 0, NewJob(type_, key=key))


def _program(queue: Queue) -> None:
    """One that waits for what P1 alone has called, under a name that is known here."""
    (entered,) = queue.calls.enter(None, [_call("running")])
    if entered.job_id is not None:
        queue.calls.leave(entered.job_id, entered.mark or "")


_STEPS: dict[str, Callable[[Queue], Any]] = {
    "finish p1": lambda queue: at(queue, 50).finish(P1, 1, {"value": 1}),
    "finish p2": lambda queue: at(queue, 50).finish(P2, 1, {"value": 1}),
    "fail p1": lambda queue: at(queue, 50).fail(P1, 1, {"message": "no"}),
    "settle both": lambda queue: at(queue, 50).settle([Success(P2, 1), Success(P1, 1)], worker=1),
    "cancel inner": lambda queue: at(queue, 50).cancel([INNER]),
    "release p1": lambda queue: at(queue, 50).release(P1, 1),
    "rescue": lambda queue: at(queue, 500).rescue(),
    "p1 calls": lambda queue: at(queue.calls, 50).enter((P1, 1), [_call("new"), _call("left"), _call("shared")]),
    "p2 calls": lambda queue: at(queue.calls, 50).enter((P2, 1), [_call("new"), _call("running"), _call("left")]),
    "program calls": lambda queue: at(queue.calls, 50).enter(None, [_call("running"), _call("left"), _call("new")]),
    "program comes and goes": _program,
    "program leaves": lambda queue: at(queue.calls, 50).leave(SHARED, MARK),
    "put in": lambda queue: at(queue, 50).enqueue(NewJob(TASK, key="left")),
    "finish task": lambda queue: at(queue, 50).finish(RUNNING, 1, {"value": 1}),
    "task ends as told": lambda queue: at(queue, 50).release(RUNNING, 1),
    "claim": lambda queue: at(queue, 50).claim([TASK], 9, worker=2),
    "close batch": lambda queue: at(BatchTable(queue.database), 50).close(1),
    "remember": lambda queue: at(queue.calls, 50).remember((P1, 1), "now", 0, "1"),
    "register": lambda queue: at(queue.calls, 50).register([_after("task:a:1.0.0", "task:b:1.0.0")]),
    "register back": lambda queue: at(queue.calls, 50).register([_after("task:b:1.0.0", "task:a:1.0.0")]),
}


def _after(id_: str, after: str) -> RoutineRow:
    return RoutineRow(id_, f"module of {id_}", "0", after=after, on="always", parameter="x")


def _prepare(queue: Queue) -> None:
    for _ in range(2):
        register_this_process(queue.database, W)
    start = at(queue, 1)
    start.enqueue_many([NewJob(W, max_runs=9), NewJob(W, max_runs=9)])
    assert [job.id for job in start.claim([W], 2, worker=1, lease=100)] == [P1, P2]
    calls = at(queue.calls, 1)
    entered = calls.enter(
        (P1, 1), [_call("left"), _call("running"), _call("shared"), Call("inner", 0, NewJob("workflow:inner"))]
    )
    assert [each.job_id for each in entered] == [LEFT, RUNNING, SHARED, INNER]
    calls.enter((P2, 1), [_call("shared")])
    start.claim(["workflow:inner"], worker=2)
    assert calls.enter((INNER, 1), [_call("below")])[0].job_id == BELOW
    start.release(INNER, 1)
    queue.database.connection().execute("INSERT INTO wants VALUES (?, ?, 1)", (SHARED, MARK))
    batch = at(BatchTable(queue.database), 1).open("b", host="h", pid=1, identity="i", lease=10**9)
    queue.database.connection().execute("INSERT INTO batch_jobs VALUES (?, ?)", (batch, LEFT))
    queue.database.connection().execute("UPDATE jobs SET priority = 5, claim_rank = 0 WHERE id = ?", (RUNNING,))
    assert start.claim([TASK], worker=2, lease=10**9)[0].id == RUNNING
    calls.register([_after(AFTER, W)])


@pytest.fixture
def scene(postgresql: str) -> Iterator[Scene]:
    with Scene(postgresql, _STEPS, _prepare) as found:
        yield found


_WANTED = """(EXISTS (SELECT 1 FROM clx.calls c JOIN clx.jobs p ON p.id = c.parent_id
    WHERE c.job_id = j.id AND p.state IN ('queued', 'running'))
  OR EXISTS (SELECT 1 FROM clx.wants w WHERE w.job_id = j.id)
  OR EXISTS (SELECT 1 FROM clx.batch_jobs w JOIN clx.batches b ON b.id = w.batch_id
    WHERE w.job_id = j.id AND b.state = 'live'))"""
_RULES = {
    "a job is left that nobody wants": f"""SELECT id FROM clx.jobs j WHERE type <> '{W}' AND unbatched = 0
      AND (state = 'queued' OR (state = 'running' AND cancel_requested = 0)) AND NOT {_WANTED}""",
    "a job was cancelled that somebody wants": f"""SELECT id FROM clx.jobs j WHERE unbatched = 0 AND id <> {BELOW}
      AND error LIKE '%"kind":"caller"%' AND {_WANTED}""",
    "a job was asked to end that somebody wants": f"""SELECT id FROM clx.jobs j
      WHERE state = 'running' AND cancel_requested = 1 AND {_WANTED}""",
    "one question was asked twice": """SELECT max(id) FROM clx.jobs WHERE key IS NOT NULL AND state <> 'cancelled'
      AND NOT (state = 'running' AND cancel_requested = 1) GROUP BY key HAVING count(*) > 1""",
    "a call was recorded for one that had ended": f"""SELECT c.parent_id FROM clx.calls c JOIN clx.jobs p
      ON p.id = c.parent_id WHERE c.created_at > 1 AND p.id IN ({P1}, {P2}) AND p.finished_at IS NOT NULL
      AND c.job_id IS NOT NULL AND EXISTS (SELECT 1 FROM clx.jobs j WHERE j.id = c.job_id AND j.state = 'queued'
      AND NOT {_WANTED} AND j.unbatched = 0)""",
}


def _wrong(scene: Scene) -> list[str]:
    """What is not as any order of two steps would leave it."""
    problems = check(scene.one.database)
    problems += [f"{rule}: {rows}" for rule, query in _RULES.items() if (rows := scene.found(query))]
    ended = scene.found(f"SELECT count(*) FROM clx.jobs WHERE type = '{W}' AND finished_at IS NOT NULL")
    after = scene.found(f"SELECT count(*) FROM clx.jobs WHERE type = '{AFTER}'")
    if ended != after:
        problems.append(f"{after} triggered by {ended} ends")
    if len(scene.found("SELECT 1 FROM clx.routines WHERE after_id LIKE 'task:%'")) > 1:
        problems.append("routines trigger each other in a circle")
    return problems


@pytest.mark.parametrize("first", _STEPS)
def test_any_two_steps_in_any_order(scene: Scene, first: str) -> None:
    in_any_order(scene, _STEPS, first, lambda _second: _wrong(scene), share=5)


def test_a_call_while_its_caller_ends_is_taken_before_or_refused(scene: Scene) -> None:
    for first, second in (("finish p1", "p1 calls"), ("p1 calls", "finish p1")):
        for before in range(2, 9):
            told, _ = scene.run(first, second, before)
            calls = told[1] if second == "p1 calls" else told[0]
            states = scene.found("SELECT state FROM clx.jobs WHERE key = 'new'")
            assert states == ([("cancelled",)] if calls == "done" else [])


def test_a_call_while_the_last_caller_of_its_twin_ends_has_a_job_that_goes_on(scene: Scene) -> None:
    for first, second in (("finish p1", "p2 calls"), ("p2 calls", "finish p1")):
        for before in range(2, 9):
            scene.run(first, second, before)
            rows = scene.found(
                "SELECT j.state, j.cancel_requested FROM clx.calls c JOIN clx.jobs j ON j.id = c.job_id "
                f"WHERE c.parent_id = {P2} AND j.key = 'running'"
            )
            assert rows in ([("running", 0)], [("queued", 0)])


def test_of_two_callers_that_end_at_once_one_takes_what_both_have_called(scene: Scene) -> None:
    scene.found("DELETE FROM saved.wants RETURNING 1")
    for first, second in (("finish p1", "finish p2"), ("finish p2", "fail p1"), ("finish p2", "settle both")):
        for before in range(2, 9):
            scene.run(first, second, before)
            assert scene.found(f"SELECT state FROM clx.jobs WHERE id = {SHARED}") == [("cancelled",)]


def test_a_call_takes_at_most_two_ways_to_the_server_more_than_putting_a_job_in(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    together = Connection.together

    def one_way(connection: Connection, statements: Any) -> list[Any]:
        found = together(connection, statements)
        del told[len(told) - len(statements) + 1 :]
        return found

    with Queue.open(postgresql) as queue:
        parent = queue.enqueue(NewJob(W))
        (job,) = queue.claim([W])

        def ways(do: Callable[[str], Any]) -> int:
            """Statements, those that go together as one; the least of several: the clock is asked now and then."""
            counts = []
            for key in "abcde":
                told.clear()
                do(key)
                counts.append(len(told))
            return min(counts)

        monkeypatch.setattr(Connection, "together", one_way)
        queue.database.connection().set_trace_callback(told.append)
        plain = ways(lambda key: queue.enqueue(NewJob("task:u:1.0.0", key=key)))
        new = ways(lambda key: queue.calls.enter((parent, job.run), [_call(key)]))
        again = ways(lambda key: queue.calls.enter((parent, job.run), [_call(key)]))
        queue.database.connection().set_trace_callback(None)
        assert again < plain < new <= plain + 2
