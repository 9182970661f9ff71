"""Which steps made the artifacts that go into one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx import NewJob, Queue
from clx.daily import Flow, Step, lineage
from clx.daily.lineage import made_of


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


def file(letter: str) -> dict[str, Any]:
    return {"$file": [letter * 64, 1, "x"]}


def test_back_through_what_steps_have_made(queue: Queue) -> None:
    Flow("traced", [Step("a", lambda: 1), Step("b", lambda x: 1, {"x": "@a"})])
    for step, arguments, value in (
        ("a", {"code": "c1", "n": 7}, file("a")), ("b", {"code": "c2", "x": file("a")}, file("b")),
    ):  # fmt: skip
        queue.enqueue(NewJob(f"task:traced.{step}:1.0.0", {"arguments": arguments}))
        (job,) = queue.claim([f"task:traced.{step}:1.0.0"], 1)
        queue.finish(job.id, job.run, {"value": value})
    found = made_of(queue.database, "traced", f'{{"in":{{"$file":["{"b" * 64}",1,"x"]}}}}')
    assert {digest[0]: (each["step"], each["code"], each["job"]) for digest, each in found.items()} == {
        "a": ("a", "c1", 1), "b": ("b", "c2", 2),
    }  # fmt: skip
    assert found["a" * 64]["inputs"] == {"n": 7}
    assert made_of(queue.database, "traced", '{"n":1}') == {}
    assert made_of(queue.database, "traced", f'{{"in":{{"$file":["{"f" * 64}",1,"x"]}}}}') == {}


def test_no_more_is_read_than_what_is_asked_for_takes(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the history: what was made just now is among the newest jobs."""
    Flow("long", [Step("a", lambda: 1)])
    monkeypatch.setattr(lineage, "_PAGE", 2)
    for letter in "abcdef":
        queue.enqueue(NewJob("task:long.a:1.0.0", {"arguments": {"n": letter}}))
        (job,) = queue.claim(["task:long.a:1.0.0"], 1)
        queue.finish(job.id, job.run, {"value": file(letter)})
    asked: list[Any] = []
    search = Queue.search

    def noted(self: Queue, **which: Any) -> Any:
        asked.append(which["before"])
        return search(self, **which)

    monkeypatch.setattr(Queue, "search", noted)
    for letter, pages in (("f", [None]), ("c", [None, 5]), ("9", [None, 5, 3, 1])):
        asked.clear()
        found = made_of(queue.database, "long", f'{{"in":{{"$file":["{letter * 64}",1,"x"]}}}}')
        assert [each["inputs"]["n"] for each in found.values()] == ([letter] if letter != "9" else [])
        assert asked == pages
    monkeypatch.setattr(lineage, "_MOST", 4)
    asked.clear()
    assert made_of(queue.database, "long", f'{{"in":{{"$file":["{"a" * 64}",1,"x"]}}}}') == {}
    assert asked == [None, 5]
