"""Types are paused, limits set and schedules kept over HTTP; a server fires what is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Served
from tests.support.serving import listening

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.schedules.models import Schedule
from clx.server import application
from clx.server.api.upkeep import UPKEEP

_NIGHTLY: dict[str, Any] = {"name": "nightly", "cron": "0 6 * * *", "zone": "Europe/Berlin", "job": {"type": "t"}}


def test_a_type_is_paused_and_resumed(served: Served, queue: Queue) -> None:
    assert served.post("/api/v1/pause", {"type": "t"}).json() == {"changed": True}
    assert served.get("/api/v1/paused").json()["paused"][0]["type"] == "t"
    queue.enqueue(NewJob("t"))
    assert queue.claim(["t"]) == []
    assert served.post("/api/v1/resume", {"type": "t"}).json() == {"changed": True}
    assert len(queue.claim(["t"])) == 1


def test_a_limit_is_set_and_taken_away(served: Served) -> None:
    assert served.post("/api/v1/limits", {"name": "l", "concurrency": 1}).json() == {"changed": True}
    (limit,) = served.get("/api/v1/limits").json()["limits"]
    assert limit == {"name": "l", "concurrency": 1, "rate": None, "period": None, "running": 0, "held": 0}
    assert served.post("/api/v1/limits", {"name": "l", "rate": 1}).status_code == 422


def test_a_schedule_is_put_in_looked_at_run_and_removed(served: Served, queue: Queue) -> None:
    made = served.post("/api/v1/schedules", _NIGHTLY)
    assert made.status_code == 201
    assert made.json()["next_at"] == queue.schedules.get("nightly").next_at
    assert served.post("/api/v1/schedules", _NIGHTLY).status_code == 422
    assert served.post("/api/v1/schedules", {**_NIGHTLY, "replace": True, "cron": "0 7 * * *"}).status_code == 201
    (listed,) = served.get("/api/v1/schedules").json()["schedules"]
    assert (listed["cron"], listed["job"]) == ("0 7 * * *", {"type": "t", "payload": {}, "priority": 3, "max_runs": 3})
    for change in ("pause", "resume"):
        assert served.post(f"/api/v1/schedules/{change}", {"name": "nightly"}).json() == {"changed": True}
    (fire,) = served.post("/api/v1/schedules/run", {"name": "nightly"}).json()["fires"]
    job = queue.get(fire["job_id"])
    assert job is not None
    assert job.payload["schedule"]["name"] == "nightly"
    assert served.get("/api/v1/schedules/fires", params={"name": "nightly"}).json()["fires"][0]["outcome"] == "queued"
    assert served.post("/api/v1/schedules/remove", {"name": "nightly"}).json() == {"changed": True}
    assert served.post("/api/v1/schedules/remove", {"name": "nightly"}).status_code == 404


def test_times_that_are_over_are_filled_up(served: Served, queue: Queue) -> None:
    served.post("/api/v1/schedules", _NIGHTLY)
    asked = {"name": "nightly", "start": 10**12, "end": 10**12 + 3 * 86_400_000, "at_most": 2}
    done = served.post("/api/v1/schedules/backfill", asked).json()
    assert (len(done["fires"]), done["left"]) == (2, 1)
    assert len(queue.search(type="t")) == 2


@pytest.mark.parametrize("wrong", [{"cron": "x"}, {"zone": "Europe/Berlni"}, {"name": "-x"}, {"job": {"type": ""}}])
def test_what_is_no_schedule_is_refused_with_words(served: Served, wrong: dict[str, Any]) -> None:
    answer = served.post("/api/v1/schedules", {**_NIGHTLY, **wrong})
    assert answer.status_code == 422
    assert answer.json()["next_step"]


@pytest.mark.slow
def test_a_server_fires_what_is_due(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "SWEEP", 0.02)
    queue.schedules.add(Schedule("often", "* * * * *", NewJob("t")))
    queue.database.connection().execute("UPDATE schedules SET next_at = next_at - 120000")
    with listening(queue):
        ends_at = time.monotonic() + 60
        while not queue.search(type="t"):
            assert time.monotonic() < ends_at
            time.sleep(0.01)


def test_each_operation_has_a_name_of_its_own() -> None:
    assert len({each.name for each in UPKEEP}) == len(UPKEEP)
