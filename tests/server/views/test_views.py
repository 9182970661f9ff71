"""Every view: what it shows, that what others wrote is text in it, and who may do what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.server.conftest import BASE, Served

from clx.db.calls.models import Call, RoutineRow
from clx.db.jobs import Queue
from clx.db.models import Failure, NewJob, Success
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.schedules.models import Schedule
from clx.db.workers import WorkerTable, register_this_process
from clx.db.works.withdrawing import Asked as Withdrawal
from clx.errors import DatabaseBusyError
from clx.server.place import Place
from clx.server.views import events
from clx.server.views.bulk import Change, change_some
from clx.server.views.rendering import Shown
from clx.server.views.sections import Asked, Section, View
from clx.server.views.standard import SECTIONS
from clx.server.views.work_files import artifacts_of

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{ 7*7 }}\u2028&amp;"""
BROWSER = {"accept": "text/html"}


class Elements(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(answer: httpx.Response) -> Elements:
    assert answer.status_code == 200, answer.text
    parser = Elements()
    parser.feed(answer.text)
    return parser


@pytest.fixture
def full(queue: Queue) -> dict[str, Any]:
    """What :func:`filled` makes."""
    return filled(queue)


def filled(queue: Queue) -> dict[str, Any]:
    """A table with something of everything, whose names, arguments and errors are hostile; ids by what they are."""
    register_this_process(queue.database, HOSTILE)
    failed = queue.enqueue(NewJob(HOSTILE, {HOSTILE: HOSTILE}, pool=HOSTILE, key=HOSTILE, max_runs=1))
    (job,) = queue.claim([HOSTILE], pool=HOSTILE)
    error = {"type": HOSTILE, "message": HOSTILE, "traceback": f"Traceback\n{HOSTILE}"}
    queue.settle([Failure(job.id, job.run, error, stderr=f"said {HOSTILE}")], [], 0)
    done = queue.enqueue(NewJob("t", {"a": [1, HOSTILE]}))
    waiting = queue.enqueue(NewJob("later", needs=(done,)))
    (job,) = queue.claim(["t"])
    queue.settle([Success(job.id, job.run, {"answer": HOSTILE}, stderr="written\n")], [], 0)
    flow = queue.enqueue(NewJob("workflow:w<b>"))
    (job,) = queue.claim(["workflow:w<b>"])
    called = queue.calls.enter((job.id, job.run), [Call("a", 0, NewJob(f"task:{HOSTILE}:1"))])[0].job_id
    assert called is not None
    queue.enqueue(NewJob("workflow:day<b>", {"arguments": {"data_date": "2026-11-27"}}, key="2026-11-27"))
    (day,) = queue.claim(["workflow:day<b>"])
    queue.settle([Failure(day.id, day.run, error)], [], 0)
    queue.calls.remember((job.id, job.run), "n", 0, json.dumps(HOSTILE))
    queue.calls.register([RoutineRow(f"task:{HOSTILE}:1", "mod", "digest", signature=HOSTILE)])
    batch, _ = queue.enqueue_batch([NewJob("t", {"n": 1}), NewJob("t", {"n": 2})], NewJob("u"), name=HOSTILE)
    queue.schedules.add(Schedule("nightly", "0 2 * * *", NewJob(HOSTILE, {"x": HOSTILE})))
    queue.schedules.run("nightly")
    queue.pause(HOSTILE)
    work = hostile_works(queue)
    assert job.worker_id is not None
    return {
        "failed": failed, "done": done, "waiting": waiting, "flow": flow, "called": called, "batch": batch,
        "worker": job.worker_id, "work": work, "pipeline": hostile_pipeline(queue),
    }  # fmt: skip


def hostile_works(queue: Queue) -> int:
    """Works of a hostile client; the number of the job of one."""
    said: dict[str, Any] = dict.fromkeys(("user", "site", "path", "function"), HOSTILE)
    said |= {name: [HOSTILE, 7] for name in ("tags", "group", "event", "parent", "products", "plots", "command")}
    said |= {"parameters": {HOSTILE: HOSTILE, "deep": {HOSTILE: [HOSTILE]}}, "config": {HOSTILE: HOSTILE}}
    file = {"name": HOSTILE, "path": HOSTILE, "bytes": 1, "digest": artifacts_of(queue).put_bytes(b"GIF89a")}
    other = {**file, "digest": artifacts_of(queue).put_bytes(HOSTILE.encode())}
    said["artifacts"] = {"plots": [file, other, HOSTILE], "products": [other], "logs": [{**other, "bytes": HOSTILE}]}
    odd: dict[str, Any] = {"artifacts": {"plots": {HOSTILE: 1}}, "plots": {HOSTILE: 1}, "parameters": [HOSTILE]}
    odd |= {"results": HOSTILE, "creation": 10.0**11, "tags": [], "products": HOSTILE}
    queue.works.deposit([{"pipeline": HOSTILE, "id": "failed", **said}, {"pipeline": "p", "id": "odd", **odd}])
    queue.works.deposit([{"pipeline": "p", "id": HOSTILE}])
    work = queue.works.withdraw(Withdrawal((HOSTILE,)))
    assert work is not None
    error = {"type": HOSTILE, "message": HOSTILE, "traceback": HOSTILE}
    queue.works.update([{**work, "status": "failure", "retries": 1, "error": error, "results": {HOSTILE: HOSTILE}}])
    found = queue.works.get("failed")
    assert found is not None
    return found.job_id


def hostile_pipeline(queue: Queue) -> str:
    """The id of one of two pipelines of a hostile client, whose first step has failed."""
    works = tuple({"pipeline": f"{HOSTILE}{n}", "id": f"x{n}"} for n in range(2))
    steps = (
        StepDefinition(HOSTILE, 1, works=works, matrix={HOSTILE: [HOSTILE, {HOSTILE: 1}]}),
        StepDefinition(f"{HOSTILE}2", None, works=({"pipeline": HOSTILE},) * 2, matrix={"a": f"${{{{ {HOSTILE} }}}}"}),
    )
    pipelines = tuple(PipelineDefinition({HOSTILE: f"{HOSTILE}{n}"}, steps) for n in range(2))
    config = ConfigDefinition(HOSTILE, HOSTILE, pipelines, owner=HOSTILE)
    found = queue.pipelines.deploy(config).pipelines
    queue.pipelines.stop(found[1:])
    return found[0]


def addresses(ids: dict[str, Any]) -> Iterator[str]:
    yield from ("/", "/jobs", "/workflows", "/schedules", "/schedules/one?name=nightly", "/workers", "/builds")
    yield from ("/jobs?text=script&state=failed&key=%3Cscript%3E", f"/jobs?batch={ids['batch']}&worker=1")
    yield from (f"/jobs/{ids[name]}" for name in ("failed", "done", "waiting", "flow", "called"))
    yield from ("/days", "/days?until=2026-11-30", "/days/one?flow=day%3Cb%3E", "/days/one?flow=x&until=2026-11-30")
    yield from ("/pipelines", "/pipelines?name=%3Cscript%3E&status=running", f"/pipelines/{ids['pipeline']}")
    yield from ("/works", "/works?store=buckets&status=queued", "/works?store=results&columns=group&columns=site")
    yield from ("/works?tag=%3Cscript%3E&text=script&order=creation", "/works?from=2026-11-30T00:00&until=2099-01-01")
    yield from (f"/jobs/{ids['work']}", "/works/failed", "/works/odd", f"/works/one?id={quote(HOSTILE)}")
    yield from (f"/workflows/{ids['flow']}", f"/builds/{ids['batch']}", f"/workers/{ids['worker']}")


def test_what_others_wrote_is_text_in_every_view(served: Served, full: dict[str, Any]) -> None:
    seen = 0
    for address in addresses(full):
        answer = served.get(address, headers=BROWSER)
        found = elements(answer)
        assert [attrs.get("src") for tag, attrs in found.found if tag == "script"] == ["/idiomorph.js", "/page.js"]
        assert not [tag for tag, _ in found.found if tag in {"iframe", "object", "b"}], address
        pictures = [attrs.get("src") or "" for tag, attrs in found.found if tag == "img"]
        assert all(each.startswith("/works/file?id=failed&digest=") for each in pictures), address
        names = {name for _, attrs in found.found for name in attrs}
        assert not [name for name in names if name.startswith("on") or name == "style"], address
        assert "49" not in re.sub(r"\d{3,}|[:\-]\d\d", "", found.text), address
        seen += "<script>alert(1)</script>" in found.text
        for _, attrs in found.found:
            for name in ("data-body", "data-bulk"):
                json.loads(attrs.get(name) or "{}")
    assert seen >= 20


def test_every_view_is_one_page_with_one_place_of_each_kind(served: Served, full: dict[str, Any]) -> None:
    for address in addresses(full):
        found = elements(served.get(address, headers=BROWSER)).found
        boxes = len([1 for name, _ in found if name == "g"])
        assert len([1 for name, _ in found if name == "title"]) == 1 + boxes, "a graph names its boxes by titles"
        for tag in ("main", "h1"):
            assert len([1 for name, _ in found if name == tag]) == 1, (address, tag)
        ids = [attrs["id"] for _, attrs in found if attrs.get("id")]
        assert len(ids) == len(set(ids)), address


def test_every_view_of_a_table_on_a_server(postgresql: str) -> None:
    with Queue.open(postgresql) as queue:
        ids = filled(queue)
        served = Served(queue, Place())
        try:
            for address in addresses(ids):
                elements(served.get(address, headers=BROWSER))
            assert served.post("/jobs/bulk", {"action": "cancel", "text": "SCRIPT"}).json()["changed"] >= 1
        finally:
            served.close()


def test_a_job_tells_all_of_itself(served: Served, full: dict[str, Any]) -> None:
    failed = elements(served.get(f"/jobs/{full['failed']}")).text
    assert "Traceback" in failed
    assert "said <script>" in failed
    done = elements(served.get(f"/jobs/{full['done']}")).text
    assert '"answer"' in done
    assert f"#{full['waiting']}" in done, "who waits for it"
    assert f"#{full['done']}" in elements(served.get(f"/jobs/{full['waiting']}")).text
    called = elements(served.get(f"/jobs/{full['called']}"))
    assert ("a", {"href": f"/workflows/{full['flow']}"}) in called.found


def test_a_workflow_is_a_graph(served: Served, full: dict[str, Any]) -> None:
    found = elements(served.get(f"/workflows/{full['flow']}")).found
    graph = [attrs for tag, attrs in found if tag == "g"]
    assert [attrs["class"] for attrs in graph] == ["box running", "box queued"]
    assert len([1 for tag, _ in found if tag == "path"]) == 1


def test_every_template_can_be_read(served: Served) -> None:
    served.application.renderer.prepare()


def test_a_section_of_ones_own_is_one_of_the_page(serve: Callable[..., Served], queue: Queue, tmp_path: Path) -> None:
    queue.enqueue(NewJob("mine", {"n": 1}))
    (tmp_path / "mine.html").write_text(
        "{% block title %}Mine & yours{% endblock %}{% block main %}"
        '<main id="main" tabindex="-1"><h1>Mine</h1>{{ m.state("queued") }} {{ jobs[0].type }}</main>{% endblock %}'
    )

    def look(asked: Asked) -> dict[str, Any]:
        return {"jobs": asked.queue.search(type=asked.path["type"])}

    mine = Section("Mine", "/mine/mine", "m", [View("/mine/{type}", "mine.html", look)], templates=tmp_path)
    served = serve(sections=[*SECTIONS, mine])
    answer = served.get("/mine/mine", role="read")
    assert '<span class="state queued">queued</span> mine' in answer.text
    assert 'href="/mine/mine" data-key="m" aria-current="page"' in answer.text
    assert served.get("/mine/mine", role=None).status_code == 401
    (told,) = served.run(_watch(served, "/mine/mine", 1))
    assert told["main"].startswith("<main")


def test_what_is_not_there_is_said_in_the_frame(served: Served) -> None:
    for address in ("/jobs/77", "/workers/77", "/builds/77", "/workflows/77", "/schedules/one?name=x"):
        answer = served.get(address, headers=BROWSER)
        assert answer.status_code == 404, address
        assert "<main" in answer.text
        assert served.get(address).json()["error"]
    for address in ("/jobs?state=odd", "/jobs?worker=x", "/jobs?before=0", f"/jobs?text={'x' * 600}", "/jobs?batch=-1"):
        assert served.get(address, headers=BROWSER).status_code == 422, address
    assert served.get(f"/jobs?text={'x' * 9000}").status_code == 414
    assert served.get("/jobs/99999999999999999999").status_code == 404


def test_changes_are_offered_to_those_who_may(served: Served, full: dict[str, Any]) -> None:
    for address in addresses(full):
        for role in ("read", "work"):
            found = elements(served.get(address, role=role, headers=BROWSER)).found
            offered = [1 for _, attrs in found if {"data-post", "data-chosen", "data-bulk", "data-backfill"} & {*attrs}]
            assert not offered, (address, role)
    for address in ("/", "/jobs", "/schedules", f"/jobs/{full['failed']}"):
        assert re.search(r"data-(post|bulk)=", served.get(address).text), address
    for role in ("read", "work"):
        assert served.post("/jobs/bulk", {"action": "cancel"}, role=role).status_code == 403


def test_a_change_from_the_page_says_that_it_was_meant(served: Served, queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"))
    served.call("POST", "/login", role=None, data={"token": served.secrets["admin"]})
    page = served.get("/jobs", role=None, headers=BROWSER)
    found = re.search(r'name="csrf-token" content="(\w+)"', page.text)
    assert found is not None
    for headers in ({}, {"x-csrf-token": "x"}):
        assert served.post("/jobs/bulk", {"action": "cancel"}, role=None, headers=headers).status_code == 403
    assert queue.search(state="queued")[0].id == job_id
    answer = served.post("/jobs/bulk", {"action": "cancel"}, role=None, headers={"x-csrf-token": found[1]})
    assert answer.json() == {"changed": 1, "left": 0, "before": None}
    assert queue.search(state="cancelled")[0].id == job_id


def test_all_that_fit_a_filter_are_changed_and_no_others(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("a", {"n": n}) for n in range(450)])
    queue.enqueue_many([NewJob("b", {"word": "needle"}), NewJob("b")])
    body: dict[str, Any] = {"action": "cancel", "type": "a", "before": None}
    changed = 0
    while True:
        told = served.post("/jobs/bulk", body).json()
        changed += told["changed"]
        if told["before"] is None:
            break
        body["before"] = told["before"]
    assert changed == 450
    assert queue.stats() == {"a": {"cancelled": 450}, "b": {"queued": 2}}
    assert served.post("/jobs/bulk", {"action": "cancel", "text": "NEEDLE"}).json()["changed"] == 1
    assert queue.stats()["b"] == {"queued": 1, "cancelled": 1}
    assert served.post("/jobs/bulk", {"action": "retry", "state": ["succeeded"]}).json()["changed"] == 0
    assert served.post("/jobs/bulk", {"action": "retry"}).json()["changed"] == 451
    for odd in ({"action": "drop"}, {"action": "cancel", "else": 1}, {"action": "cancel", "batch": 0}):
        assert served.post("/jobs/bulk", odd).status_code == 422


def test_one_whose_key_is_taken_stops_no_other(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t", key="k"))
    other = queue.enqueue(NewJob("t"))
    queue.cancel([first, other])
    queue.enqueue(NewJob("t", key="k"))
    told = change_some(queue, Change("retry"))
    assert (told.changed, told.left) == (1, 1)


def test_lists_go_on_by_key(served: Served, queue: Queue) -> None:
    ids = queue.enqueue_many([NewJob("t", {"n": n}) for n in range(120)])
    seen, address = [], "/jobs?type=t"
    while address:
        found = elements(served.get(address)).found
        seen += [int(attrs["data-job"] or 0) for tag, attrs in found if tag == "tr" and "data-job" in attrs]
        address = next((attrs["href"] or "" for _, attrs in found if attrs.get("rel") == "next"), "")
        assert not address or "type=t" in address
    assert seen == ids[::-1]


def test_logs_are_followed_and_downloaded(served: Served, queue: Queue) -> None:
    register_this_process(queue.database, "t")
    job_id = queue.enqueue(NewJob("t"))
    (job,) = queue.claim(["t"])
    logs = queue.database.state.path / "logs" / "jobs"
    logs.mkdir(parents=True)
    file = logs / f"{job_id}-{job.run}.log"
    file.write_text("one\n")
    first = served.get(f"/jobs/{job_id}/log?run=1", role="read")
    assert (first.text, first.headers["x-log-at"], first.headers["x-log-over"]) == ("one\n", "4", "0")
    assert first.headers["content-type"].startswith("text/plain")
    file.write_text("one\n<b>two</b>\n")
    assert served.get(f"/jobs/{job_id}/log?run=1&at=4").text == "<b>two</b>\n"
    file.unlink()
    queue.settle([Success(job.id, job.run, None, stderr="one\n<b>two</b>\nthree\n")], [], 0)
    rest = served.get(f"/jobs/{job_id}/log?run=1&at=15&download=1")
    assert (rest.text, rest.headers["x-log-over"]) == ("three\n", "1")
    assert rest.headers["content-disposition"] == f'attachment; filename="job-{job_id}-run-1.log"'
    for odd in ("?run=x", "?at=-1"):
        assert served.get(f"/jobs/{job_id}/log{odd}").status_code == 422
    assert served.get(f"/jobs/{job_id}/log?run=7").status_code == 404
    assert served.get("/jobs/99/log").status_code == 404


# -- live -------------------------------------------------------------------------------------------


async def _watch(served: Served, view: str, count: int, *, role: str = "admin", seen: str = "") -> list[dict[str, Any]]:
    """The first events that somebody hears who watches a view."""
    found: list[dict[str, Any]] = []
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        for part in bytes(message.get("body", b"")).decode().split("\n\n"):
            if "event: view" in part:
                found.append(json.loads(part.partition("data: ")[2]))
        if len(found) >= count:
            done.set()

    token = served.secrets[role].encode()
    query = httpx.QueryParams({"view": view, "seen": seen})
    scope = {
        "type": "http", "method": "GET", "path": "/live", "raw_path": b"/live", "query_string": str(query).encode(),
        "headers": [(b"host", BASE.partition("//")[2].encode()), (b"authorization", b"Bearer " + token)],
        "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8004),
    }  # fmt: skip
    await asyncio.wait_for(served.application(scope, receive, send), 20)
    return found


def test_who_watches_a_view_is_told_what_becomes_of_it(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEAT", 0.05)
    job_id = queue.enqueue(NewJob("t"))
    version = re.search(r'data-version="(\w+)"', served.get(f"/jobs/{job_id}").text)
    assert version is not None

    async def both() -> list[dict[str, Any]]:
        watching = asyncio.create_task(_watch(served, f"/jobs/{job_id}", 1, seen=version[1]))
        await asyncio.sleep(0.3)
        assert not watching.done(), "nothing is other than what is shown"
        queue.cancel([job_id])
        return await watching

    (told,) = served.run(both())
    assert told["main"].startswith("<main")
    assert "cancelled" in told["main"]
    assert told["version"] != version[1]


def test_a_hundred_who_watch_cost_what_one_costs(served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT", 0.05)
    queue.enqueue(NewJob("t"))
    looks: list[tuple[str, str]] = []
    show = served.application.renderer.show

    def counted(url: str, role: str) -> Shown:
        looks.append((url, role))
        return show(url, role)

    monkeypatch.setattr(served.application.renderer, "show", counted)

    async def crowd() -> list[list[dict[str, Any]]]:
        watching = [asyncio.create_task(_watch(served, "/jobs", 2, role="read")) for _ in range(100)]
        while not looks:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        queue.enqueue(NewJob("t"))
        return await asyncio.gather(*watching)

    told = served.run(crowd())
    assert len(told) == 100
    assert {len(each) for each in told} == {2}
    assert len(looks) < 40
    assert set(looks) == {("/jobs", "read")}


def test_a_view_of_a_locked_table_comes_when_it_can(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(url: str, role: str) -> Shown:
        raise DatabaseBusyError("The table <b> is locked.", "Wait.")

    served.get("/jobs")
    with monkeypatch.context() as patch:
        patch.setattr(served.application.renderer, "show", locked)
        answer = served.get("/jobs", headers=BROWSER)
        assert served.get("/jobs").json()["error"] == "The table <b> is locked."
    assert answer.status_code == 503
    assert "The table &lt;b&gt; is locked." in answer.text
    assert 'data-version=""' in answer.text
    (told,) = served.run(_watch(served, "/jobs", 1))
    assert "<h1>Jobs</h1>" in told["main"]


def test_nobody_watches_what_has_no_address(served: Served) -> None:
    assert served.get("/live").status_code == 422
    assert served.get("/live?view=jobs").status_code == 422
    assert served.get("/live?view=/jobs", role=None).status_code == 401


def test_workers_that_ended_are_shown(served: Served, queue: Queue) -> None:
    worker = register_this_process(queue.database, "t")
    WorkerTable(queue.database).end(worker, "was <b>told</b> to")
    assert "was <b>told</b> to" in elements(served.get("/workers")).text
    assert "was <b>told</b> to" in elements(served.get(f"/workers/{worker}")).text
