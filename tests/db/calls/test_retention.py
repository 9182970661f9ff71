"""Calls go with their caller, what it may still ask for stays; rows that another program wrote stop nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.db.calls.conftest import TASK, WORKFLOW, begin, call, do, enter, enter_one, job_of, rejoin, state
from tests.support.clock import at, prune

from clx.db.calls.models import RoutineRow
from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.retention import Policy, named_text

LATER = 10**13
DIGEST = "0123456789abcdef" * 4


def test_what_a_live_workflow_has_called_stays_and_goes_with_it(queue: Queue) -> None:
    parent = begin(queue)
    done = enter_one(queue, parent, call("a"))
    do(queue, done)
    queue.calls.remember(parent, "now", 0, "1")
    (program,) = enter(queue, None, call("b"))

    assert prune(queue.database, Policy(), now=LATER).jobs == 0
    queue.finish(*parent, {"value": 1})
    queue.calls.leave(program.job_id or 0, program.mark or "")
    assert prune(queue.database, Policy(), now=LATER).jobs == 3

    for table in ("jobs", "calls", "wants"):
        assert queue.sql(f"SELECT * FROM {table}") == []


def test_a_caller_tells_of_what_is_there_no_more(queue: Queue) -> None:
    parent = begin(queue)
    done = enter_one(queue, parent, call("a", cache=False))
    do(queue, done)
    queue.fail(*parent, {"message": "no"})
    prune(queue.database, Policy(failed=10**6), now=LATER)
    assert queue.get(done) is None

    assert [(row.job_id, row.state) for row in queue.calls.of(parent[0])] == [(done, None)]
    queue.retry([parent[0]])
    again = enter_one(queue, rejoin(queue, parent[0]), call("a", cache=False))
    assert (again != done, state(queue, again)) == (True, "queued")
    assert check(queue.database) == []


def test_what_a_live_workflow_remembers_names_artifacts(queue: Queue) -> None:
    parent = begin(queue)
    queue.calls.remember(parent, "picture", 0, f'{{"$large": ["{DIGEST}", 5]}}')
    assert any(DIGEST in each for each in named_text(queue.database))

    queue.finish(*parent, {"value": 1})

    assert not any(DIGEST in each for each in named_text(queue.database))


def test_routines_that_nobody_has_any_more_go(queue: Queue) -> None:
    day = 24 * 3600 * 1000
    at(queue.calls, 1).register([RoutineRow(TASK, "shop", "0")])
    at(queue.calls, 100 * day).register([RoutineRow(WORKFLOW, "shop", "0")])

    prune(queue.database, Policy(), now=181 * day)

    assert [each.id for each in queue.calls.routines()] == [WORKFLOW]


@pytest.mark.parametrize("open_queue", ["wal", "delete", "memory"], indirect=True)
@pytest.mark.parametrize("table", ["calls", "wants", "routines"])
def test_the_check_names_rows_that_another_program_wrote(open_queue: Callable[[], Queue], table: str) -> None:
    """A server refuses what is no number."""
    queue = open_queue()
    parent = begin(queue)
    enter(queue, parent, call("a"))
    enter(queue, None, call("a"))
    queue.calls.register([RoutineRow(TASK, "shop", "0")])
    column = "seen_at" if table == "routines" else "created_at"
    queue.database.connection().execute(f"UPDATE {table} SET {column} = 'soon'")

    assert any(f"{table}.{column}" in each for each in check(queue.database))
    assert queue.calls.of(parent[0])
    assert len(queue.calls.routines()) == 1
    queue.calls.register([RoutineRow(TASK, "shop", "0")])
    queue.finish(*parent, {"value": 1})
    assert not job_of(queue, parent[0]).is_live
