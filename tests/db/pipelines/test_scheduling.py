"""Pipelines are made at times, once for each, as often as their lives say, on every backend."""

from __future__ import annotations

import pytest
from tests.db.pipelines.conftest import config, do_all, step, waiting
from tests.support.clock import SetClock, at, during

from clx.db.check import check
from clx.db.jobs import Queue
from clx.errors import QueueError

HOUR = 3_600_000


def deploy(queue: Queue, lives: int, now: int = 1) -> str:
    return at(queue.pipelines, now).deploy(config(step("a", 1), cron="@hourly", lives=lives)).config


def fire(queue: Queue, now: int) -> list[str]:
    return [fire.outcome for fire in during(queue.database, SetClock(now), queue.schedules.fire_due)]


def schedule(queue: Queue, config_id: str) -> dict[str, object]:
    (found,) = queue.pipelines.configs(ids=[config_id])
    told: dict[str, object] = found["schedule"]
    return told


def test_each_time_makes_pipelines_until_its_lives_are_used_up(queue: Queue) -> None:
    it = deploy(queue, 2)
    assert waiting(queue) == []
    assert schedule(queue, it) == {"cronspec": "@hourly", "lives": 2, "spawned": 0, "status": "active", "next": 3600.0}
    assert fire(queue, HOUR) == ["queued"]
    assert waiting(queue) == ["a"]
    assert fire(queue, HOUR + 1) == []
    assert schedule(queue, it)["spawned"] == 1
    assert fire(queue, 2 * HOUR) == ["queued"]

    assert schedule(queue, it) == {"cronspec": "@hourly", "lives": 2, "spawned": 2, "status": "expired", "next": None}
    assert fire(queue, 9 * HOUR) == []
    assert waiting(queue) == ["a", "a"]
    assert do_all(queue) == ["a", "a"]
    assert len(queue.pipelines.find(config=it, status=["success"])) == 2
    assert check(queue.database) == []


def test_without_a_bound_it_goes_on_and_catches_up_the_last_time_only(queue: Queue) -> None:
    it = deploy(queue, -1)
    assert fire(queue, HOUR) == ["queued"]
    assert fire(queue, 5 * HOUR + 1) == ["missed", "missed", "missed", "queued"]
    assert (schedule(queue, it)["spawned"], schedule(queue, it)["status"]) == (2, "active")


def test_it_is_paused_resumed_forgotten_and_removed(queue: Queue) -> None:
    it = deploy(queue, -1)
    assert queue.pipelines.pause([it]) == [it]
    assert fire(queue, HOUR) == []
    assert schedule(queue, it)["status"] == "paused"
    assert during(queue.database, SetClock(HOUR), lambda: queue.pipelines.resume([it])) == [it]
    assert fire(queue, 2 * HOUR) == ["queued"]
    assert queue.pipelines.stop([it])[0] == it
    assert fire(queue, 3 * HOUR) == []
    assert queue.pipelines.forget_schedule(it)
    assert not queue.pipelines.forget_schedule(it)
    assert queue.schedules.list() == []
    assert queue.pipelines.configs(ids=[it])[0]["schedule"] is None
    other = deploy(queue, 1, 3 * HOUR)
    assert queue.pipelines.remove([other]) == [other]
    assert queue.schedules.list() == []


@pytest.mark.parametrize("cron", ["nonsense", "0 0 31 2 *"])
def test_times_that_never_come_are_refused(queue: Queue, cron: str) -> None:
    with pytest.raises(QueueError):
        queue.pipelines.deploy(config(step("a", 1), cron=cron))
    assert queue.pipelines.configs() == []
