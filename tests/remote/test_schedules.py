"""Schedules by a queue and by a client of its server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.schedules.models import Schedule
from clx.errors import QueueError
from clx.remote.client import Client
from clx.remote.schedules import RemoteSchedules


def test_the_verbs_of_schedules(either: Queue | Client, queue: Queue) -> None:
    schedules = either.schedules
    assert isinstance(schedules, RemoteSchedules) == isinstance(either, Client)
    queue.set_limit("reports", concurrency=2)
    made = Schedule("nightly", "0 6 * * *", NewJob("report", {"to": "me"}, limit="reports"), zone="Europe/Berlin")
    added = schedules.add(made)
    assert added == made == queue.schedules.get("nightly") == schedules.get("nightly")
    assert added.next_at == queue.schedules.get("nightly").next_at
    with pytest.raises(QueueError, match="already"):
        schedules.add(made)
    schedules.pause("nightly")
    assert schedules.list()[0].paused
    assert not schedules.resume("nightly").paused
    fire = schedules.run("nightly")
    assert (fire.outcome, fire.job_id) == ("queued", 1)
    assert schedules.fires("nightly") == queue.schedules.fires("nightly") == [replace(fire, state="queued")]
    day = 24 * 3600 * 1000
    filled = schedules.backfill("nightly", fire.fire_at - 3 * day, fire.fire_at - 1, at_most=1)
    assert (len(filled.queued), filled.there, filled.left) == (1, 0, 2)
    schedules.remove("nightly")
    for call in (schedules.get, schedules.remove, schedules.run):
        with pytest.raises(QueueError, match="There is no schedule"):
            call("nightly")
