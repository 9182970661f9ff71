"""Results that are kept by key: found again, and noted as used."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clock import at, find_results

from clx.db.jobs import NewJob, Queue
from clx.db.results import all_results
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000


def do(queue: Queue, key: str, result: Any, type_: str = "t", now: int = 0) -> None:
    at(queue, now).enqueue(NewJob(type_, key=key))
    job = at(queue, now).claim([type_])[0]
    at(queue, now).finish(job.id, job.run, result)


def used_at(queue: Queue) -> dict[str, int]:
    return dict(queue.database.read("SELECT key, used_at FROM results"))


def test_results_are_found_by_key(queue: Queue) -> None:
    do(queue, "a", {"outputs": [1]})
    do(queue, "b", "text")
    assert find_results(queue.database, ["a", "b", "c"], now=0) == {"a": {"outputs": [1]}, "b": "text"}
    assert sorted(all_results(queue.database)) == [("a", {"outputs": [1]}), ("b", "text")]


def test_of_one_key_with_results_of_two_types_the_type_must_be_said(queue: Queue) -> None:
    do(queue, "a", 1, "one")
    do(queue, "a", 2, "two")
    with pytest.raises(QueueError, match="Jobs of several types left a result for the key 'a'"):
        find_results(queue.database, ["a"], now=0)
    assert find_results(queue.database, ["a"], "two", now=0) == {"a": 2}


@pytest.mark.parametrize(("later", "noted"), [(_DAY, False), (_DAY + 1, True)])
def test_that_a_result_was_used_is_noted_once_a_day(queue: Queue, later: int, noted: bool) -> None:
    do(queue, "a", 1)
    do(queue, "b", 1)
    find_results(queue.database, ["a"], now=later)
    assert used_at(queue) == {"a": later if noted else 0, "b": 0}


def test_a_result_that_cannot_be_read_is_none(queue: Queue) -> None:
    do(queue, "a", 1)
    queue.database.write("test", lambda connection: connection.execute("UPDATE results SET result = '{broken'"))
    assert find_results(queue.database, ["a"], now=0) == {}
