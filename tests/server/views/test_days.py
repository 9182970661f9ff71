"""Days on the page: a grid of flows and days, and one flow with what was published for its days."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from tests.server.conftest import Served

from clx.db.calls.models import RoutineRow
from clx.db.jobs import Queue
from clx.db.lake.table import LakeTable, VersionRow
from clx.db.models import Failure, NewJob, Success
from clx.db.schedules.models import Schedule
from clx.db.transaction import Transaction
from clx.db.workers import WorkerTable
from clx.server.views.days import WIDTH

BROWSER = {"accept": "text/html"}
TODAY = datetime.now(UTC).date()
DAYS = [(TODAY - timedelta(days=number)).isoformat() for number in range(4)]


def ran(queue: Queue, flow: str, day: str, value: object = None) -> int:
    """A run of a day that has given *value*, or has failed without one."""
    job = queue.enqueue(NewJob(f"workflow:{flow}", {"arguments": {"data_date": {"$date": day}}}, key=day, max_runs=1))
    (claimed,) = queue.claim([f"workflow:{flow}"], 1)
    error = {"type": "ValueError", "message": "nothing came in"}
    end = Failure(job, claimed.run, error) if value is None else Success(job, claimed.run, {"value": value})
    queue.settle([end], [], 0)
    return job


@pytest.fixture
def jobs(queue: Queue) -> list[int]:
    whole: dict[str, object] = {"missing": {}, "errors": {}}
    found = [
        ran(queue, "lab", DAYS[2], whole),
        ran(queue, "lab", DAYS[1], {"missing": {"infer": [3]}, "errors": {}}),
        ran(queue, "lab", DAYS[0]),
        ran(queue, "other", DAYS[3], whole),
        queue.enqueue(NewJob("workflow:lab", {"arguments": {"data_date": DAYS[3]}}, key=DAYS[3])),
    ]
    queue.enqueue(NewJob("workflow:no-flow", {"arguments": {"night": DAYS[0]}}, key=DAYS[0]))
    return found


def cells(text: str, flow: str) -> dict[str, str]:
    """The states that a flow's row of the grid shows, by the addresses they lead to."""
    (row,) = re.findall(rf'<tr id="flow-{flow}">(.*?)</tr>', text)
    return {where: state for state, where in re.findall(r'class="cell (\w+)" href="([^"]+)"', row)}


def test_flows_by_days_with_where_each_leads(served: Served, jobs: list[int]) -> None:
    text = served.get("/days", role="read").text
    assert re.findall(r'<tr id="flow-([^"]+)"', text) == ["lab", "other"]
    states = ("done", "partial", "failed", None, "queued")
    assert cells(text, "lab") == {f"/workflows/{job}": state for job, state in zip(jobs, states, strict=True) if state}
    assert cells(text, "other") == {f"/workflows/{jobs[3]}": "done"}
    assert re.findall(r'<time datetime="([^"]+)" title', text) == _window(served, "/days"), (
        "the newest that there is ends"
    )
    assert served.get(f"/workflows/{jobs[0]}").status_code == 200
    assert f"<td>{DAYS[1]}</td>" in text, "how far it is done"
    assert f'title="{DAYS[2]} done"' in text


def _window(served: Served, address: str) -> list[str]:
    found = re.findall(r'<time datetime="(\d{4}-\d\d-\d\d)"', served.get(address).text)
    assert found[-1] == DAYS[0]
    assert found == sorted(found)
    assert len(found) == WIDTH
    return found


def test_older_days_are_a_page_further_and_old_ones_are_found(served: Served, queue: Queue) -> None:
    old = ran(queue, "lab", "2020-02-29", {"missing": {}, "errors": {}})
    assert cells(served.get("/days").text, "lab") == {f"/workflows/{old}": "done"}, "the newest that there is"
    new = ran(queue, "lab", DAYS[0], {"missing": {}, "errors": {}})
    text = served.get("/days").text
    assert cells(text, "lab") == {f"/workflows/{new}": "done"}
    following = re.search(r'href="([^"]+)" rel="next"', text)
    assert following is not None
    assert 'id="flow-lab"' not in served.get(following[1]).text
    assert cells(served.get("/days?until=2020-03-01").text, "lab") == {f"/workflows/{old}": "done"}
    for odd in ("yesterday", "0001-01-02", "2026-02-30"):
        assert served.get(f"/days?until={odd}", headers=BROWSER).status_code == 422


def test_one_flow_tells_why_and_what_was_published(served: Served, queue: Queue, jobs: list[int]) -> None:
    table = LakeTable(queue.database)
    row = VersionRow("l", "gold/means", DAYS[1], 0, "[]", "[]", 20, missing='["3"]', flow="lab", step="gold", host="m1")
    table.publish(row)
    table.publish(row._replace(files='[{"name": "x"}]', rows=21))
    table.publish(row._replace(day="2019-01-01"))
    text = served.get("/days/one?flow=lab", role="read").text
    assert re.findall(r'<tr id="day-([^"]+)"', text) == DAYS
    assert "ValueError: nothing came in" in text
    assert "infer: 3" in text
    assert re.findall(
        r'<td class="name">gold/means</td><td class="number">(\d)</td><td class="number">(\d+)', text
    ) == [("2", "21")]
    assert served.get("/days/one?flow=none", headers=BROWSER).status_code == 404
    assert "gold/means" not in served.get("/days/one?flow=other").text
    assert len(jobs) == 5


def test_a_flow_that_has_not_run_is_there_and_so_is_when_it_is_due(served: Served, queue: Queue) -> None:
    assert "makes a flow" in served.get("/days").text
    queue.calls.register([
        RoutineRow("workflow:fresh", "flow", "d", signature="(data_date: date) -> dict"),
        RoutineRow("workflow:no-flow", "flow", "d", signature="(data_date: date, more: int) -> dict"),
    ])  # fmt: skip
    queue.schedules.add(Schedule("workflow:fresh", "0 6 * * *", NewJob("workflow:fresh")))
    text = served.get("/days").text
    assert re.findall(r'<tr id="flow-([^"]+)"', text) == ["fresh"]
    assert re.search(r"<time [^>]*data-at", text), "when it is due"
    assert "It has not run." in served.get("/days/one?flow=fresh").text


def test_a_day_that_ends_is_drawn_anew(served: Served, queue: Queue) -> None:
    day = NewJob("workflow:lab", {"arguments": {"data_date": DAYS[0]}}, key=DAYS[0])
    queue.enqueue(day)
    assert 'class="cell queued"' in served.get("/days").text
    (claimed,) = queue.claim(["workflow:lab"], 1)
    queue.settle([Success(claimed.id, claimed.run, {"value": {"missing": {}}})], [], 0)
    assert 'class="cell done"' in served.get("/days").text


def test_machines_with_free_disk_and_last_heartbeat(served: Served, queue: Queue) -> None:
    table = WorkerTable(queue.database)
    facts: dict[str, Any] = {
        "type": "t",
        "pool": "",
        "mode": "direct",
        "pid": 1,
        "identity": "elsewhere",
        "version": "1",
    }
    for host, free in (("north", 50 << 30), ("north", 5 << 20), ("south", None)):
        told = (free, table.register(host=host, **facts))
        queue.database.write("fill", partial(_tell, told=told))

    text = served.get("/days", role="read").text
    rows = re.findall(r'<tr><th scope="row" class="name">(\w+)</th>(.*?)</tr>', text)
    assert [name for name, _ in rows] == ["north", "south"]
    assert ">2</a>" in rows[0][1]
    assert 'class="number bad">5.0 MiB<' in rows[0][1]
    assert 'class="number">–<' in rows[1][1]


def _tell(tx: Transaction, told: tuple[int | None, int]) -> None:
    tx.execute("UPDATE workers SET free_disk = ? WHERE id = ?", told)
