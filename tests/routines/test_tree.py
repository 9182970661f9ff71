"""The tree of a run, as it stands in the table."""

from __future__ import annotations

import json

import pytest

from clx.db.calls.models import Call
from clx.db.jobs import Job, NewJob, Queue
from clx.routines.tree import Node, dot, lines, mermaid, tree_of


def new(type_: str, key: str | None = None) -> NewJob:
    return NewJob(type_, {"arguments": {}}, key=key)


def call(name: str, type_: str, occurrence: int = 0, key: str | None = None) -> Call:
    return Call(name * 64, occurrence, new(type_, key), cache=key is not None)


def begin(queue: Queue, type_: str) -> Job:
    (job,) = queue.claim([type_], 1)
    return job


def job_of(queue: Queue, job_id: int) -> Job:
    found = queue.get(job_id)
    assert found is not None
    return found


@pytest.fixture
def run(queue: Queue) -> Job:
    """A workflow that asked for a kept result, and called a task that is done, one that works, a workflow."""
    kept = queue.enqueue(new("task:load:1.0.0", "k"))
    queue.finish(kept, begin(queue, "task:load:1.0.0").run, {"value": 1})
    queue.enqueue(new("workflow:search"))
    top = begin(queue, "workflow:search")
    calls = [
        call("a", "task:load:1.0.0", key="k"), call("b", "task:train:1.0.0"), call("c", "task:train:1.0.0"),
        call("d", "workflow:inner"),
    ]  # fmt: skip
    queue.calls.enter((top.id, top.run), calls)
    done = begin(queue, "task:train:1.0.0")
    queue.finish(done.id, done.run, {"value": 2})
    working = begin(queue, "task:train:1.0.0")
    queue.heartbeat(working.id, working.run, progress={"done": 3, "total": 10, "text": "epoch"})
    inner = begin(queue, "workflow:inner")
    queue.calls.enter((inner.id, inner.run), [call("e", "task:train:2.0.0")])
    return job_of(queue, top.id)


def states(node: Node) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in node.walk():
        found.setdefault(each.routine, []).append(each.state)
    return found


def test_who_waits_hangs_and_on_whom(queue: Queue, run: Job) -> None:
    tree = tree_of(queue, run)
    assert states(tree) == {
        "workflow:search": ["HANGING"],
        "task:load:1.0.0": ["cached"],
        "task:train:1.0.0": ["done", "WORKING"],
        "workflow:inner": ["HANGING"],
        "task:train:2.0.0": ["queued"],
    }
    by_type = {each.routine: each for each in tree.walk()}
    assert tree.waits_for == sorted([by_type["task:train:1.0.0"].job or 0, by_type["workflow:inner"].job or 0])
    assert by_type["workflow:inner"].waits_for == [by_type["task:train:2.0.0"].job]
    told = [text for text, _ in lines(tree)]
    assert told[0].startswith(f"search (job {run.id}) HANGING")
    assert any("[3/10] epoch" in text for text in told)
    assert told[-1].startswith("    └── train 2.0.0 ")


def test_a_workflow_that_computes_works(queue: Queue) -> None:
    queue.enqueue(new("workflow:search"))
    top = begin(queue, "workflow:search")
    assert tree_of(queue, top).state == "WORKING"


def test_what_failed_says_why(queue: Queue, run: Job) -> None:
    queue.fail(run.id, run.run, {"type": "ValueError", "message": "no such data"}, retry=False)
    tree = tree_of(queue, job_of(queue, run.id))
    assert (tree.state, tree.message) == ("failed", "no such data")
    asked = [node.routine for node in tree.walk() if node.message == "is asked to end"]
    assert asked == ["task:train:1.0.0", "workflow:inner"]


def test_many_calls_of_one_routine_are_one_line(queue: Queue) -> None:
    queue.enqueue(new("workflow:search"))
    top = begin(queue, "workflow:search")
    queue.calls.enter((top.id, top.run), [call("a", "task:train:1.0.0", at) for at in range(1000)])
    tree = tree_of(queue, top)
    assert [text for text, _ in lines(tree)][1:] == ["└── train 1.0.0 × 1000: 1000 queued"]
    assert len(list(lines(tree, whole=True))) == 1001
    assert f"and {1000 - 8} more" in next(iter(lines(tree)))[0]


def test_a_job_that_two_have_called_is_drawn_once(queue: Queue) -> None:
    queue.enqueue(new("workflow:search"))
    top = begin(queue, "workflow:search")
    calls = [call("a", "task:train:1.0.0", key="k"), call("b", "workflow:inner")]
    queue.calls.enter((top.id, top.run), calls)
    inner = begin(queue, "workflow:inner")
    queue.calls.enter((inner.id, inner.run), [call("a", "task:train:1.0.0", key="k")])
    tree = tree_of(queue, top)
    (shared,) = {each.job for each in tree.walk() if each.routine == "task:train:1.0.0"}
    assert [each.is_again for each in tree.walk() if each.job == shared] == [False, True]
    drawn = dot(tree)
    assert drawn.count(f'"j{shared}" [') == 1
    assert f'"j{inner.id}" -> "j{shared}";' in drawn
    assert f"  j{inner.id} --> j{shared}" in mermaid(tree)


def test_the_document_is_json_however_deep(queue: Queue) -> None:
    queue.enqueue(new("workflow:search"))
    top = begin(queue, "workflow:search")
    job = top
    for _ in range(300):
        queue.calls.enter((job.id, job.run), [call("a", "workflow:search")])
        job = begin(queue, "workflow:search")
    tree = tree_of(queue, top)
    assert len(list(tree.walk())) == 301
    assert len(list(lines(tree))) == 301
    assert json.loads(json.dumps(tree.document()))["state"] == "hanging"
