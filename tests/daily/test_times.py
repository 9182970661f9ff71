"""Days and clocks: over midnight, before its time, after days of silence. The day is what was asked for."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.db.schedules.conftest import Hands, told
from tests.support.laboratory import laboratory

from clx.daily import Flow, Step
from clx.daily.days import days_of
from clx.daily.registering import workflow_of
from clx.db.jobs import Queue
from clx.routines.announcing import announce
from clx.routines.performing import arguments_of, job_of
from clx.routines.registry import known


def start(data_date: Any) -> str:
    return str(data_date)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A table that knows a flow which is due at six in Berlin, and its clock at five on the 24th."""
    Flow("due", [Step("start", start)], zone="Europe/Berlin", at="06:00")
    with Queue.open(tmp_path / "jobs.db") as found:
        found.database.clock = hands = Hands()
        hands.set("2026-11-24T05:00")
        announce(found, [known()["workflow:due"]], "")
        yield found


def at(queue: Queue, text: str) -> list[str]:
    """What is fired at a time of Berlin's."""
    hands = queue.database.clock
    assert isinstance(hands, Hands)
    hands.set(text)
    return told(queue.schedules.fire_due())


def do_one(queue: Queue) -> str:
    """Do the workflow that waits; its day."""
    (job,) = queue.claim(["workflow:due"])
    queue.finish(job.id, job.run, {"value": {"missing": {}, "errors": {}}})
    assert job.key is not None
    return job.key


def test_after_three_days_of_silence_each_is_made_up_for_once_and_in_order(queue: Queue) -> None:
    assert at(queue, "2026-11-24T05:59") == []
    assert at(queue, "2026-11-24T06:00") == ["11-24 06:00 queued"]
    assert do_one(queue) == "2026-11-24"
    done = []
    while at(queue, "2026-11-28T07:30"):
        done.append(do_one(queue))
    assert done == ["2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28"]
    assert [(each.day, each.state) for each in days_of(queue.database, "due")] == [
        (f"2026-11-{day}", "done") for day in (28, 27, 26, 25, 24)
    ]


def test_a_day_that_somebody_has_begun_before_six_is_that_day(queue: Queue) -> None:
    call = workflow_of("due")(datetime(2026, 11, 25, tzinfo=UTC).date())
    call.close()
    at(queue, "2026-11-25T05:50")
    while queue.search(state="queued"):
        do_one(queue)  # the 24th, which was due meanwhile
    job = queue.enqueue(job_of(call.routine, arguments_of(call, None), ""))  # type: ignore[arg-type]
    assert at(queue, "2026-11-25T06:00") == ["11-25 06:00 skipped"]
    assert do_one(queue) == "2026-11-25"
    assert [(each.day, each.job) for each in days_of(queue.database, "due")][:1] == [("2026-11-25", job)]


def _zone(folder: Path, offset: int) -> None:
    """A time zone so many seconds east, called ``Lab/Night``."""
    body = struct.pack(">lbb", offset, 0, 0) + b"LAB\0"
    part = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + body
    hours, rest = divmod(abs(offset), 3600)
    sign = "-" if offset >= 0 else ""
    (folder / "Lab").mkdir(parents=True)
    footer = f"\n<LAB>{sign}{hours}:{rest // 60:02}:{rest % 60:02}\n"
    (folder / "Lab" / "Night").write_bytes(part + part + footer.encode())


@pytest.mark.slow
def test_a_day_that_goes_over_midnight_is_the_day_it_began_as(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    midnight = now + timedelta(seconds=30)
    offset = -(midnight.hour * 3600 + midnight.minute * 60 + midnight.second)
    _zone(tmp_path / "zones", offset)
    day = (now + timedelta(seconds=offset)).date()
    with laboratory(tmp_path / "lab", environment={"PYTHONTZPATH": str(tmp_path / "zones")}) as lab:
        lab.replace('zone="Europe/Berlin"', 'zone="Lab/Night"')
        lab.stage(day.isoformat())
        lab.hold("infer")
        asked = lab.start("daily", "run", "flow.py", "--format", "json", "--workers", "1")
        lab.until_begun("infer")
        time.sleep(max(0.0, (midnight - datetime.now(UTC)).total_seconds() + 1))
        assert (datetime.now(UTC) + timedelta(seconds=offset)).date() == day + timedelta(days=1)
        lab.free("infer")
        assert json.loads(lab.said(asked))["day"] == day.isoformat()
        assert lab.counts(day.isoformat()) == {7}
        laid = {
            each.parent.relative_to(lab.folder).as_posix()[-10:]
            for each in lab.folder.rglob("output/lake/**/*.parquet")
        }
        assert laid == {day.isoformat().replace("-", "/")}
