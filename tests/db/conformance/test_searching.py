"""A search finds what fits, whatever part of the table it is read from."""

from __future__ import annotations

from itertools import chain, combinations, product
from typing import get_args

import pytest
from tests.support.clock import at

from clx.db import queries
from clx.db.jobs import NewJob, Queue
from clx.db.models import JobState

_STATES = get_args(JobState)
_CHOICES = [None, *chain.from_iterable(combinations(_STATES, n) for n in range(len(_STATES) + 1))]


@pytest.fixture
def full(queue: Queue) -> Queue:
    """Jobs of every state and kind of waiting, of two pools and types, each with and without the key of others."""
    for n in range(12):
        ids = [
            at(queue, 1000 + n).enqueue(NewJob(type_, pool=pool, key=key))
            for type_, pool, key in (("t", "", "k"), ("t", "p", "k"), ("u", "", None))
        ]
        if n % 4 == 3:
            queue.cancel(ids)
            continue
        for pool in ("", "p"):
            for job in at(queue, 2000).claim(["t", "u"], 3, pool=pool):
                if n % 4 == 0:
                    at(queue, 2000).finish(job.id, job.run)
                else:
                    at(queue, 2000).fail(job.id, job.run, {"message": "no"}, retry=False)
    at(queue, 3000).enqueue(NewJob("t", key="k"))
    at(queue, 3000).claim(["t"])
    at(queue, 3000).enqueue(NewJob("t", key="k"), on_conflict="after")
    delayed = at(queue, 3000).enqueue(NewJob("t", pool="p", key="k", not_before=10**15))
    at(queue, 3000).enqueue(NewJob("u", needs=[delayed]))
    at(queue, 3000).enqueue(NewJob("u"))
    return queue


def test_a_search_finds_exactly_what_fits_newest_first(full: Queue) -> None:
    everything = sorted(full.get_many(range(1, 1000)), key=lambda job: -job.id)
    ways = product(_CHOICES, (None, "k", "none"), (None, "t"), (None, "p"), (None, 30), (3, 1000))
    for states, key, type_, pool, before, limit in ways:
        fitting = [
            job
            for job in everything
            if (states is None or job.state in states)
            and key in (None, job.key)
            and type_ in (None, job.type)
            and pool in (None, job.pool)
            and (before is None or job.id < before)
        ]
        found = full.search(state=states, key=key, type=type_, pool=pool, before=before, limit=limit)
        assert found == fitting[:limit], (states, key, type_, pool, before, limit)


@pytest.mark.parametrize("states", [["queued"], ["queued", "running"], ["queued", "failed"]])
def test_where_many_wait_the_newest_are_found_too(
    full: Queue, states: list[JobState], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = full.search(state=states)
    monkeypatch.setattr(queries, "_FEW", 2)
    assert full.search(state=states) == few
