"""Lists of a long table come page by page, within their time, each job once."""

from __future__ import annotations

import time

import pytest

from clx.db.browsing import Filter, batches, browse, call_tree, keyed, recent_runs, states_of_batch
from clx.db.calls.models import Call
from clx.db.jobs import Queue
from clx.db.models import NewJob, Success
from clx.db.workers import register_this_process
from clx.errors import QueueError


def every(queue: Queue, which: Filter, *, limit: int = 7, seconds: float = 5.0) -> list[int]:
    """The ids on all pages together."""
    found: list[int] = []
    before: int | None = None
    while True:
        page = browse(queue.database, which, before=before, limit=limit, seconds=seconds)
        assert len(page.jobs) <= limit
        found += [job.id for job in page.jobs]
        if page.before is None:
            return found
        assert before is None or page.before < before
        before = page.before


def test_by_their_keys_the_last_first_whatever_their_state(queue: Queue) -> None:
    register_this_process(queue.database, "w:a")
    for key in ("k1", "k3", "k2", "k4"):
        queue.enqueue(NewJob("w:a", {}, key=key))
    (claimed,) = queue.claim(["w:a"], 1)
    queue.finish(claimed.id, claimed.run, {})
    again = queue.enqueue(NewJob("w:a", {}, key="k1"))
    queue.enqueue(NewJob("other", {}, key="k2"))
    found = keyed(queue.database, Filter(prefix="w:"), "k1", "k3", limit=9)
    assert [each.key for each in found] == ["k3", "k2", "k1", "k1"]
    assert [each.id for each in found[2:]] == [again, claimed.id]
    assert [each.key for each in keyed(queue.database, Filter(type="w:a"), "k1", "k3", limit=2)] == ["k3", "k2"]


@pytest.fixture
def filled(queue: Queue) -> Queue:
    """A queue with 60 jobs of three types in several states."""
    register_this_process(queue.database, "a")
    queue.enqueue_many([NewJob("abc"[n % 3], {"text": f"No {n} 100%_x"}, key=f"k{n}") for n in range(60)])
    queue.cancel(range(1, 20))
    for job in queue.claim(["a"], 5):
        queue.finish(job.id, job.run, {"n": job.id})
    queue.claim(["b"], 3)
    return queue


@pytest.mark.parametrize(
    "which",
    [
        Filter(),
        Filter(type="a"),
        Filter(states=("cancelled",)),
        Filter(states=("queued",)),
        Filter(states=("running",)),
        Filter(states=("succeeded", "cancelled")),
        Filter(type="b", states=("queued", "running")),
        Filter(key="k7"),
        Filter(pool="p"),
    ],
)
def test_pages_together_have_what_a_search_has(filled: Queue, which: Filter) -> None:
    named = {"type": which.type or None, "key": which.key or None, "pool": which.pool}
    state = which.states or None
    wanted = [job.id for job in filled.search(state=state, limit=1000, **named)]  # type: ignore[arg-type]
    assert every(filled, which) == wanted
    assert every(filled, which, seconds=0.0) == wanted, "however short the time"


def test_text_is_found_as_it_stands(filled: Queue) -> None:
    assert every(filled, Filter(text="no 5 100%_X")) == [6]
    assert every(filled, Filter(text="100%%")) == []
    assert every(filled, Filter(text="K59")) == [60]
    assert len(every(filled, Filter(text="cancelled", states=("cancelled",)))) in {0, 19}
    assert every(filled, Filter(prefix="a")) == every(filled, Filter(type="a"))


def test_a_filter_that_cannot_be_is_refused(filled: Queue) -> None:
    with pytest.raises(QueueError, match="state"):
        browse(filled.database, Filter(states=("odd",)), before=None)
    with pytest.raises(QueueError, match="text"):
        browse(filled.database, Filter(text="\0"), before=None)


def test_a_look_ends_in_time_and_says_how_far_it_came(queue: Queue) -> None:
    queue.enqueue(NewJob("rare"))
    queue.enqueue_many([NewJob("t") for _ in range(9000)])
    page = browse(queue.database, Filter(type="rare"), before=None, seconds=0.0)
    assert (page.jobs, page.is_whole) == ([], False)
    assert page.before is not None
    assert 1 < page.before < 9001
    begun = time.monotonic()
    assert every(queue, Filter(type="rare"), seconds=0.0) == [1]
    assert time.monotonic() - begun < 30


def test_the_last_runs_are_those_of_the_newest_jobs(filled: Queue) -> None:
    assert {(run.type, run.outcome) for run in recent_runs(filled.database, 0)} == {("a", "succeeded")}
    assert len(recent_runs(filled.database, 0)) == 5
    assert recent_runs(filled.database, filled.database.clock.now() + 1000) == []


def test_what_a_workflow_has_called_is_found_level_by_level(queue: Queue) -> None:
    register_this_process(queue.database, "workflow:w")
    root = queue.enqueue(NewJob("workflow:w"))
    (job,) = queue.claim(["workflow:w"])
    inner = queue.calls.enter((job.id, job.run), [Call("x", 0, NewJob("workflow:v", key="v"))])[0].job_id
    (other,) = queue.claim(["workflow:v"])
    queue.calls.enter((other.id, other.run), [Call(f"t{n}", 0, NewJob("task:t:1", {"n": n})) for n in range(3)])
    queue.calls.remember((root, job.run), "value", 0, "1")
    calls, is_whole = call_tree(queue.database, root)
    assert [call.parent_id for call in calls] == [root, inner, inner, inner]
    assert is_whole
    few, is_whole = call_tree(queue.database, root, most=2)
    assert (len(few), is_whole) == (2, False)


def test_batches_are_listed_newest_first(queue: Queue) -> None:
    register_this_process(queue.database, "t")
    ids = [queue.enqueue_batch([NewJob("t"), NewJob("t")], NewJob("u"), name=f"n{n}")[0] for n in range(3)]
    (job,) = queue.claim(["t"])
    queue.settle([Success(job.id, job.run, None)], [], 0)
    assert [batch.id for batch in batches(queue.database, before=None)] == ids[::-1]
    assert [batch.name for batch in batches(queue.database, before=ids[2], limit=1)] == ["n1"]
    assert states_of_batch(queue.database, ids[0]) == {"queued": 1, "succeeded": 1}
