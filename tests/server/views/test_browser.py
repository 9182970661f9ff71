"""The page in a real browser: it changes by itself, does what it is told by mouse and keys, and shuts nobody out."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.pages import Reader, png, reader
from tests.support.served_models import fill_models

from clx.db.calls.models import Call
from clx.db.jobs import Queue
from clx.db.models import Failure, NewJob, Success
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.schedules.models import Schedule
from clx.db.serving.figures import FiguresTable
from clx.db.serving.table import ServingTable
from clx.db.tokens import TokenTable
from clx.db.workers import register_this_process
from clx.db.works.withdrawing import Asked
from clx.jobtypes import browser as browser_module
from clx.server.views.work_files import artifacts_of

PATIENCE = 60.0


def until(is_so: Callable[[], Any]) -> Any:
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        found = is_so()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


class Site:
    """A served queue and a browser that shows it, logged in with a role."""

    def __init__(self, queue: Queue, url: str, browser: Reader, secrets: dict[str, str]) -> None:
        self.queue = queue
        self.url = url
        self.browser = browser
        self._secrets = secrets

    def enter(self, role: str) -> None:
        self.browser.page.go(f"{self.url}/?token={self._secrets[role]}", time.monotonic() + PATIENCE)
        until(lambda: self.js("document.getElementById('live')?.textContent") == "Live")

    def open(self, path: str) -> None:
        self.browser.page.go(self.url + path, time.monotonic() + PATIENCE)
        until(lambda: self.js("document.getElementById('live')?.textContent") == "Live")

    def js(self, expression: str) -> Any:
        """The value of an expression; None while a page is left for the next."""
        try:
            return self.browser.value(expression)
        except (browser_module.ScriptError, browser_module.BrowserDiedError):
            return None

    def text(self) -> str:
        return str(self.js("document.querySelector('main')?.innerText") or "")

    def look(self, *, mode: str = "light", width: int = 1280, height: int = 800, media: str = "screen") -> None:
        features = [{"name": "prefers-color-scheme", "value": mode}]
        self.browser.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Path, str]]:
    """A running server: its database and its address."""
    file = folder / "jobs.db"
    Queue.open(file).close()
    process = subprocess.Popen(
        [sys.executable, "-m", "clx", "server", "--db-path", str(file), "--port", "0"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, cwd=file.parent,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"http://[\w.]+:\d+", process.stdout.readline())
        assert found is not None
        yield file, found[0]
    finally:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def shown(started: tuple[Path | str, str], folder: Path) -> Iterator[Site]:
    """The site in a browser that reaches this machine, and nothing else; the table holds what :func:`fill` puts in."""
    rule = "--host-resolver-rules=MAP * ~NOTFOUND"
    flags = tuple(f"{each} , EXCLUDE 127.0.0.1" if each == rule else each for each in browser_module._FLAGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(browser_module, "_FLAGS", flags)
        with reader(folder) as browser, Queue.open(started[0]) as queue:
            browser.call("Fetch.disable")
            tokens = TokenTable(queue.database)
            secrets = {role: tokens.add(f"{role} {folder.name}", role) for role in ("read", "admin")}
            yield Site(queue, started[1], browser, secrets)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A server for all tests of this module."""
    with serving(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def site(started: tuple[Path, str], tmp_path: Path) -> Iterator[Site]:
    """A browser that shows it."""
    with shown(started, tmp_path) as found:
        yield found


def fill(queue: Queue) -> dict[str, Any]:
    """Something of everything, as it is on a working day."""
    fill_models(queue)
    register_this_process(queue.database, "render")
    queue.enqueue_many([NewJob("render", {"file": f"scan-{n}.h5", "scale": n}) for n in range(12)])
    jobs = queue.claim(["render"], 9)
    for job in jobs[:6]:
        queue.settle([Success(job.id, job.run, {"pixels": 4096}, stderr="read\ndrawn\n")], [], 0)
    error = {
        "type": "ValueError", "message": "the scan has no header",
        "traceback": 'Traceback (most recent call last):\n  File "render.py", line 7, in render\n'
        "    header = read(file)\nValueError: the scan has no header\n",
    }  # fmt: skip
    for job in jobs[6:8]:
        queue.settle([Failure(job.id, job.run, error, stderr="read\n")], [], 0)
    flow = queue.enqueue(NewJob("workflow:survey", {"night": "2026-11-29"}))
    (run,) = queue.claim(["workflow:survey"])
    calls = [Call(f"detect {n}", 0, NewJob("task:detect:1", {"beam": n}, max_runs=1)) for n in range(3)]
    inner = Call("localise", 0, NewJob("workflow:localise", {"event": 9}))
    queue.calls.enter((run.id, run.run), [*calls, inner])
    for n, job in enumerate(queue.claim(["task:detect:1"], 2)):
        queue.settle([Failure(job.id, job.run, error)] if n else [Success(job.id, job.run, n)], [], 0)
    (job,) = queue.claim(["workflow:localise"])
    queue.calls.enter((job.id, job.run), [Call("fit", 0, NewJob("task:fit:1")), Call("plot", 0, NewJob("task:plot:1"))])
    batch, _ = queue.enqueue_batch([NewJob("notebook", {"deck": "one"}), NewJob("pdf")], NewJob("site"), name="course")
    queue.schedules.add(Schedule("nightly", "0 2 * * *", NewJob("render", {"file": "all"})), replace=True)
    for night, value in (("2026-11-28", {"missing": {"infer": [3]}}), ("2026-11-29", {"missing": {}})):
        queue.enqueue(NewJob("workflow:lab", {"arguments": {"data_date": night}}, key=night))
        (day,) = queue.claim(["workflow:lab"])
        queue.settle([Success(day.id, day.run, {"value": value})], [], 0)
    fill_works(queue)
    return {
        "pipeline": fill_pipelines(queue),
        "flow": flow,
        "failed": jobs[6].id,
        "running": jobs[8].id,
        "batch": batch,
    }


def fill_pipelines(queue: Queue) -> str:
    """The id of a pipeline whose second stage is at work; one of its deployment has failed."""
    matrix = {"beam": {"range": [1, 12]}, "dm": [100, 200, 300, 400]}
    steps = (
        StepDefinition("search", 1, works=_works("search", 48), matrix=matrix, threshold=0.9),
        StepDefinition("localise", 2, works=_works("fit", 6), matrix={"candidate": [f"c{n}" for n in range(1, 7)]}),
        StepDefinition("polarise", 2, works=_works("polarise", 1)),
        StepDefinition("report", None, "always", works=_works("report", 1)),
    )
    nights = tuple(PipelineDefinition({"night": f"2026-11-{n}"}, steps) for n in (27, 28, 29))
    found = queue.pipelines.deploy(ConfigDefinition("survey", "", nights, owner="ada")).pipelines
    for pipeline_id, most in ((found[0], 48), (found[1], 52), (found[2], 20)):
        for n in range(most):
            work = queue.works.withdraw(Asked(("search", "fit"), parent=(pipeline_id,)))
            assert work is not None
            has_failed = pipeline_id == found[0] or n in {7, 31}
            queue.works.update([{**work, "status": "failure" if has_failed else "success"}])
        if most == 52:
            queue.works.withdraw(Asked(("fit",), parent=(pipeline_id,)))
    return found[1]


def _works(bucket: str, count: int) -> tuple[dict[str, Any], ...]:
    said = {"pipeline": bucket, "user": "ada", "tags": ["survey"], "retries": 1}
    return tuple({**said, "event": [9100 + n]} for n in range(count))


def waterfall(x: int, y: int) -> tuple[int, int, int]:
    """A pulse that comes later at lower frequencies, in noise."""
    delay = 40 + 180 * (y / 180) ** 2
    light = min(255, int(40 + 60 * ((x * 7919 + y * 104729) % 97) / 97 + 215 * max(0.0, 1 - abs(x - delay) / 9)))
    return (light, int(light * 0.85), 255 - light)


def fill_works(queue: Queue) -> None:
    """Works of a night at a telescope."""
    if queue.works.get("localised") is not None:
        return
    works = [
        {"pipeline": "detect", "user": "ada", "site": "chime", "event": [9000 + n], "tags": ["night", "frb"],
         "parameters": {"beam": n, "dm": 349.2 + n}}
        for n in range(6)
    ]  # fmt: skip
    queue.works.deposit(works)
    for n in range(3):
        work = queue.works.withdraw(Asked(("detect",)))
        assert work is not None
        error = {"type": "ValueError", "message": "the scan has no header", "traceback": "Traceback …\nValueError\n"}
        ending = {"status": "failure", "retries": 1, "error": error} if n == 2 else {"status": "success"}
        queue.works.update([{**work, **ending, "results": {"snr": 11.5 + n}}])
    digest = artifacts_of(queue).put_bytes(png(320, 180, waterfall))
    plots = [{"name": "waterfall.png", "path": "20261130/localise/waterfall.png", "digest": digest, "bytes": 9000}]
    products = [{"name": "events.h5", "path": "20261130/localise/events.h5", "digest": digest, "bytes": 73400320}]
    files = {"artifacts": {"plots": plots, "products": products}, "plots": ["waterfall.png"]}
    queue.works.deposit([{**works[0], **files, "pipeline": "localise", "id": "localised", "creation": 1.7e9}])
    work = queue.works.withdraw(Asked(("localise",)))
    assert work is not None
    queue.works.update([{**work, "progress": None, "results": {"ra": 128.4, "dec": 7.5, "fit": {"chi2": [1.1, 0.9]}}}])


def test_what_happens_is_shown_by_itself(site: Site) -> None:
    job_id = site.queue.enqueue(NewJob("live", {"n": 1}))
    site.enter("read")
    site.open(f"/jobs/{job_id}")
    assert "queued" in site.text()
    site.js("window.same = true; document.querySelector('main pre').focus(); 0")
    register_this_process(site.queue.database, "live")
    (job,) = site.queue.claim(["live"])
    logs = site.queue.database.state.path / "logs" / "jobs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f"{job.id}-{job.run}.log").write_text("first line\n")
    until(lambda: "running" in site.text() and "first line" in site.text())
    with (logs / f"{job.id}-{job.run}.log").open("a") as stream:
        stream.write("<b>second</b> line\n")
    until(lambda: "<b>second</b> line" in site.text())
    (logs / f"{job.id}-{job.run}.log").unlink()
    site.queue.settle([Success(job.id, job.run, {"answer": 42}, stderr="first line\n")], [], 0)
    until(lambda: '"answer": 42' in site.text())
    assert site.js("window.same"), "it is the same page yet"

    site.open("/jobs?type=live")
    new = site.queue.enqueue(NewJob("live", {"n": 2}))
    until(lambda: f"#{new}" in site.text())
    site.queue.cancel([new])
    until(lambda: "cancelled" in site.text())
    assert site.js("document.querySelectorAll('[data-bulk], [data-post], [data-chosen]').length") == 0


def test_a_hidden_page_hears_nothing_until_it_is_seen(site: Site) -> None:
    site.enter("read")
    site.open("/jobs?type=seen")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    told = " document.dispatchEvent(new Event('visibilitychange')); document.getElementById('live').textContent"
    assert site.js(hide % "true" + told) == "Paused"
    job_id = site.queue.enqueue(NewJob("seen"))
    time.sleep(2.5)  # longer than two beats: what is not to come has no event
    assert f"#{job_id}" not in site.text()
    site.js(hide % "false" + told)
    until(lambda: f"#{job_id}" in site.text())


def test_all_that_fit_are_changed_after_a_question(site: Site) -> None:
    site.queue.enqueue_many([NewJob("bulk", {"n": n}) for n in range(300)])
    other = site.queue.enqueue(NewJob("other", {"n": 1}))
    site.enter("admin")
    site.open("/jobs?type=bulk")
    click = (
        "[...document.querySelectorAll('main button')].find(b => b.textContent === 'Cancel all that fit').click(); 0"
    )
    site.js(click)
    until(lambda: site.js("document.getElementById('ask').open"))
    assert site.js("document.activeElement.id") == "ask-no", "who only presses Enter changes nothing"
    site.browser.press("Enter")
    until(lambda: not site.js("document.getElementById('ask').open"))
    assert len(site.queue.search(type="bulk", state="queued", limit=1000)) == 300
    site.js(click)
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    until(lambda: site.js("document.getElementById('told').textContent") == "300 changed.")
    assert site.queue.search(type="bulk", state="queued") == []
    until(lambda: "queued" not in site.js("document.querySelector('main tbody').innerText"))
    assert site.js("location.search") == "?type=bulk", "the filter stays"
    job = site.queue.get(other)
    assert job is not None
    assert job.state == "queued"


def test_keys_do_what_the_mouse_does(site: Site) -> None:
    ids = [site.queue.enqueue(NewJob("keys", {"n": n})) for n in range(3)]
    site.queue.cancel(ids)
    site.enter("admin")
    for key in ("g", "j"):
        site.browser.press(key)
    until(lambda: site.js("location.pathname") == "/jobs")
    site.open("/jobs?type=keys")
    for key in ("j", "j", "x"):
        site.browser.press(key)
    assert site.js("[...document.querySelectorAll('.choose:checked')].map(box => Number(box.value))") == [ids[1]]
    site.queue.enqueue(NewJob("keys", {"n": 9}))  # a row more above: what is chosen stays chosen
    until(lambda: site.js("document.querySelectorAll('main tbody tr').length") == 4)
    assert site.js("[...document.querySelectorAll('.choose:checked')].map(box => Number(box.value))") == [ids[1]]
    site.browser.press("r")
    until(lambda: [job.id for job in site.queue.search(type="keys", state="queued")][-1] == ids[1])
    site.browser.press("?")
    until(lambda: site.js("document.getElementById('keys').open"))
    site.browser.press("Escape")
    site.browser.press("/")
    assert site.js("document.activeElement.id") == "search"
    for key in f"#{ids[0]}":
        site.browser.press(key)
    site.browser.press("Enter")
    until(lambda: site.js("location.pathname") == f"/jobs/{ids[0]}")


def test_what_is_being_written_stays(site: Site) -> None:
    site.queue.enqueue(NewJob("written"))
    site.enter("admin")
    site.open("/jobs?type=written")
    site.js("document.getElementById('f-key').focus(); document.querySelector('[name=state]').checked = true; 0")
    site.browser.press("k")
    new = site.queue.enqueue(NewJob("written", {"n": 1}))
    time.sleep(2.5)  # longer than two beats: what is not to come has no event
    assert f"#{new}" not in site.text(), "nothing moves while somebody writes"
    site.js("document.activeElement.blur(); 0")
    until(lambda: f"#{new}" in site.text())
    assert site.js("document.getElementById('f-key').value") == "k"
    assert site.js("document.querySelector('[name=state]').checked")


def test_nobody_is_shut_out(site: Site, tmp_path: Path) -> None:
    ids = fill(site.queue)
    site.enter("admin")
    addresses = (
        "/", "/jobs", f"/jobs/{ids['failed']}", f"/jobs/{ids['running']}", "/workflows", f"/workflows/{ids['flow']}",
        "/works", "/works?store=buckets&tag=night", "/works/localised", "/pipelines", f"/pipelines/{ids['pipeline']}",
        "/schedules", "/schedules/one?name=nightly", "/workers", "/builds", f"/builds/{ids['batch']}",
        "/models", "/models/digits", "/days", "/days/one?flow=lab",
    )  # fmt: skip
    for mode in ("light", "dark"):
        site.look(mode=mode)
        for address in addresses:
            site.open(address)
            assert site.browser.barriers() == [], (mode, address)
    site.look(width=390, height=844)
    for number, address in enumerate(addresses):
        site.open(address)
        assert site.js("document.documentElement.scrollWidth") <= 390, address
        site.browser.picture(tmp_path / f"phone-{number}.png", whole=True)
    site.open(f"/jobs/{ids['failed']}")
    site.look(media="print")
    hidden = "['header nav', '.changes', 'footer'].filter(each => document.querySelector(each)?.offsetParent)"
    assert site.js(hidden) == []
    assert "the scan has no header" in site.text()
    site.look()


def test_a_page_breaks_no_rule_of_its_policy(site: Site) -> None:
    ids = fill(site.queue)
    site.enter("admin")
    said: list[str] = []
    for address in ("/", "/jobs", f"/workflows/{ids['flow']}", f"/jobs/{ids['failed']}",
                    f"/pipelines/{ids['pipeline']}", "/models", "/works/localised"):  # fmt: skip
        site.browser.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.broken = []; document.addEventListener('securitypolicyviolation',"
            " e => window.broken.push(e.violatedDirective + ' ' + e.blockedURI));"
            " window.onerror = message => window.broken.push(message);",
        )
        site.open(address)
        site.queue.enqueue(NewJob("render", {"file": address}))
        until(lambda: site.js("document.getElementById('live').textContent") == "Live")
        said += site.js("window.broken")
    assert said == []
    assert until(lambda: site.js("document.querySelector('.plots img').naturalWidth")) == 320


def test_works_are_found_chosen_and_removed_by_keys(site: Site) -> None:
    ids = site.queue.works.deposit([{"pipeline": "by keys", "event": n, "retries": 1} for n in range(3)])
    site.enter("admin")
    for key in ("g", "k"):
        site.browser.press(key)
    until(lambda: site.js("location.pathname") == "/works")
    site.open("/works?pipeline=by+keys")
    for key in ("j", "j", "j", "x"):  # the first row is that of the pipeline
        site.browser.press(key)
    chosen = until(lambda: site.js("[...document.querySelectorAll('.choose:checked')].map(box => Number(box.value))"))
    site.queue.works.deposit([{"pipeline": "by keys", "event": 9}])
    until(lambda: site.js("document.querySelectorAll('main .choose').length") == 4)
    site.browser.press("c")
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    until(lambda: site.js("document.getElementById('told').textContent") == "Done: 1 of 1.")
    until(lambda: "cancelled" in site.js("document.querySelector('table.jobs tbody').innerText"))
    site.js("document.querySelector('table.jobs .choose').click(); 0")
    site.js(
        "[...document.querySelectorAll('main button')].find(b => b.textContent === 'Delete all that fit').click(); 0"
    )
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    until(lambda: site.js("document.getElementById('told').textContent") == "4 changed.")
    until(lambda: "None." in site.js("document.querySelector('table.jobs tbody').innerText"))
    assert len(chosen) == 1
    assert [site.queue.works.get(each) for each in ids] == [None] * 3
    (work_id,) = site.queue.works.deposit([{"pipeline": "by keys"}])
    site.browser.press("/")
    for key in work_id:
        site.browser.press(key)
    site.browser.press("Enter")
    until(lambda: site.js("location.pathname") == f"/works/{work_id}")
    until(lambda: site.js("document.getElementById('live')?.textContent") == "Live")
    site.queue.works.withdraw(Asked(("by keys",)))
    until(lambda: "running" in site.text())
    site.js("[...document.querySelectorAll('main button')].find(b => b.textContent === 'Delete').click(); 0")
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    until(lambda: site.js("location.pathname + location.search") == "/works")


def test_a_model_is_unloaded_by_its_page_which_is_live(site: Site) -> None:
    fill_models(site.queue)
    site.enter("admin")
    for key in ("g", "m"):
        site.browser.press(key)
    until(lambda: site.js("location.pathname") == "/models")
    site.open("/models/ranking")
    site.js("[...document.querySelectorAll('main button')].find(b => b.textContent === 'Unload').click(); 0")
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    until(lambda: site.js("[...document.querySelectorAll('main button')].some(b => b.textContent === 'Load')"))
    (row,) = ServingTable(site.queue.database).versions("ranking")
    assert row.residence == "unloaded"
    told = FiguresTable(site.queue.database).one("ranking")
    assert told is not None
    assert told.figures is not None
    FiguresTable(site.queue.database).tell([told.figures._replace(success=4321)])
    until(lambda: "4\u202f321" in site.text())
