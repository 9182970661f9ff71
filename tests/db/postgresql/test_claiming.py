"""Claims of two workers at once on a server: what one has not committed is not in the way of the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clx.db import consumer
from clx.db.consumer import Consumer
from clx.db.jobs import NewJob, Queue
from clx.db.postgresql.database import PostgresDatabase
from clx.db.transaction import Transaction


def claimed_by_two(url: str, jobs: int, n: int, then: int) -> tuple[list[int], list[int]]:
    """Places of the jobs that a claim of *n* over two types took, and those of *then* others before it was over."""
    yours: list[int] = []

    def claim(queue: Queue, most: int) -> list[int]:
        return [job.id for job in queue.claim(["t", "u"], most)]

    with Queue.open(url) as one, Queue.open(url) as other, ThreadPoolExecutor(1) as thread:
        ids = one.enqueue_many([NewJob("tu"[number % 2]) for number in range(jobs)])

        def write(name: str, body: Callable[[Transaction], Any]) -> Any:
            def held_up(tx: Transaction) -> Any:
                done = body(tx)
                if name == "claim":
                    yours.extend(thread.submit(claim, other, then).result(20))
                return done

            return one.database.write(name, held_up)

        one._write = write
        mine = claim(one, n)
        thread.submit(other.close).result(20)
    return [ids.index(job_id) for job_id in mine], [ids.index(job_id) for job_id in yours]


@pytest.mark.parametrize(("jobs", "n"), [(6, 1), (6, 4), (300, 1), (300, 100), (300, 299)])
def test_a_claim_over_several_types_holds_only_what_it_takes(postgresql: str, jobs: int, n: int) -> None:
    assert claimed_by_two(postgresql, jobs, n, jobs) == (list(range(n)), list(range(n, jobs)))


def test_who_finds_the_first_jobs_of_several_types_taken_gets_those_behind(postgresql: str) -> None:
    assert claimed_by_two(postgresql, 400, 390, 2)[1] == [390, 391]


def test_who_is_told_of_a_job_claims_it_without_a_look(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "rest", lambda _: 60.0)  # no look but those that a bell is the cause of
    done: list[str] = []
    with Queue.open(postgresql) as queue, Queue.open(postgresql) as other:
        assert isinstance(queue.database, PostgresDatabase)
        is_claimable = queue.database.is_claimable

        def look(pool: str, type_: str) -> bool:
            done.append("look")
            found = is_claimable(pool, type_)
            if not found:
                other.enqueue(NewJob("t"))
            return found

        monkeypatch.setattr(queue.database, "is_claimable", look)
        Consumer(queue, {"t": lambda _: done.append("job")}, limit=4).run()

    assert done == ["look", "look", "job", "look", "job", "look", "job", "look", "job"]
