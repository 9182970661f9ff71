"""What a host says of its routines: they are listed, run after others, and run at times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from clx import NewJob, Queue, define
from clx.artifacts.store import ArtifactStore
from clx.errors import QueueError, UsageError
from clx.routines import registry
from clx.routines.announcing import announce
from clx.routines.performing import WORKFLOW_RUNS, call_of


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})


@pytest.fixture
def say(queue: Queue) -> Callable[[], None]:
    return lambda: announce(queue, registry.known().values(), "")


def test_routines_are_in_the_table(queue: Queue, say: Callable[[], None]) -> None:
    @define.task(name="train", version="0.0.1")
    def train(data: list[int], lr: float = 0.1) -> float:
        """Train a model.

        With these data.
        """
        return lr

    say()
    say()
    (row,) = queue.calls.routines()
    assert (row.id, row.module, row.source) == ("task:train:0.0.1", __name__, train.source)
    assert row.doc.splitlines()[0] == "Train a model."
    assert "lr: 'float' = 0.1" in row.signature


def test_one_runs_after_another(queue: Queue, say: Callable[[], None], tmp_path: Path) -> None:
    @define.task(name="first", version="1.0.0")
    def first() -> tuple[int, ...]:
        return (1, 2)

    @define.trigger(after=first)
    @define.workflow(name="then", timeout=60)
    async def then(found: tuple[int, ...], more: int = 3) -> None: ...

    say()
    job_id = queue.enqueue(NewJob("task:first:1.0.0", {"arguments": {}}))
    (job,) = queue.claim(["task:first:1.0.0"])
    queue.finish(job.id, job.run, {"value": {"$t": [1, 2]}, "source": "x"})
    assert job.id == job_id
    (fired,) = queue.search(type="workflow:then")
    assert (fired.timeout, fired.max_runs) == (60_000, WORKFLOW_RUNS)
    call = call_of(then, fired.payload, ArtifactStore(tmp_path / "artifacts"))
    assert call.bound.arguments == {"found": (1, 2), "more": 3}


def test_triggers_in_a_circle_are_refused(say: Callable[[], None]) -> None:
    @define.trigger(after="task:b:1.0.0")
    @define.task(name="a", version="1.0.0")
    def a(x: Any) -> None: ...

    @define.trigger(after=a)
    @define.task(name="b", version="1.0.0")
    def b(x: Any) -> None: ...

    with pytest.raises(QueueError):
        say()


def test_one_runs_at_times_and_is_told_which(queue: Queue, say: Callable[[], None], tmp_path: Path) -> None:
    @define.schedule("0 6 * * *", tz="Europe/Berlin", catch_up="all", region="north")
    @define.workflow(name="daily")
    async def daily(data_date: date, region: str, fire_at: datetime | None = None) -> None: ...

    say()
    (schedule,) = queue.schedules.list()
    assert (schedule.name, schedule.zone, schedule.catch_up) == ("workflow:daily", "Europe/Berlin", "all")
    queue.schedules.pause("workflow:daily")
    say()
    assert queue.schedules.get("workflow:daily").paused
    due = datetime.fromisoformat("2026-03-29T06:00:00+02:00")
    job = schedule.job_at(int(due.timestamp() * 1000))
    queue.enqueue(job)
    (queued,) = queue.search(type="workflow:daily")
    call = call_of(daily, queued.payload, ArtifactStore(tmp_path / "artifacts"))
    assert call.bound.arguments == {"data_date": date(2026, 3, 29), "region": "north", "fire_at": due}


def test_a_schedule_that_nobody_defines_any_more_is_removed(queue: Queue, say: Callable[[], None]) -> None:
    @define.schedule("@daily")
    @define.schedule("@hourly")
    @define.workflow(name="w")
    async def w() -> None: ...

    say()
    assert {each.name: each.cron for each in queue.schedules.list()} == {
        "workflow:w": "@hourly",
        "workflow:w@2": "@daily",
    }
    w.schedules.pop()
    say()
    assert [each.name for each in queue.schedules.list()] == ["workflow:w"]


@pytest.mark.parametrize(("given", "told"), [({}, "does not say what x is"), ({"x": 1, "y": 2}, "takes no argument y")])
def test_a_schedule_that_gives_the_wrong_arguments_is_refused(
    given: dict[str, Any], told: str, say: Callable[[], None]
) -> None:
    @define.schedule("@daily", **given)
    @define.workflow(name="w")
    async def w(x: int) -> None: ...

    with pytest.raises(UsageError, match=told):
        say()
