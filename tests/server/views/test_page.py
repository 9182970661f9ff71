"""The page works without the network and without inline scripts; metrics are what Prometheus reads."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import register_this_process
from clx.exposition import family
from clx.server.mounts import Mount
from clx.server.views.page import policy


def test_a_page_loads_only_what_its_policy_lets_it(served: Served) -> None:
    answer = served.get("/", headers={"accept": "text/html"})
    told = answer.headers["content-security-policy"]
    assert "default-src 'none'" in told
    assert "unsafe" not in told
    assert re.findall(r"<script[^>]*>", answer.text) == [
        '<script src="/idiomorph.js" defer>',
        '<script src="/page.js" defer>',
    ]
    assert re.search(r"\son\w+=|style=|javascript:", answer.text) is None
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in told
    assert policy(style) == told
    assert re.search(r"https?://", answer.text) is None
    script = served.get("/page.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|document\.write", script.text) is None
    assert served.get("/idiomorph.js").status_code == 200


def test_every_answer_says_that_it_is_what_it_is(served: Served) -> None:
    for path in ("/", "/healthz", "/api/v1/jobs", "/nothing", "/metrics"):
        answer = served.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_browser_without_a_token_is_asked_for_one(served: Served) -> None:
    answer = served.get("/", role=None, headers={"accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert 'action="/login"' in answer.text
    wrong = served.call("POST", "/login", role=None, data={"token": "clx_x"})
    assert wrong.status_code == 401
    assert "none that is taken" in wrong.text
    right = served.call("POST", "/login", role=None, data={"token": served.secrets["read"]})
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert served.get("/", role=None).status_code == 200, "by the cookie"
    assert served.call("POST", "/login", role=None, data={"token": "x" * 9000}).status_code in {403, 413}


def test_a_cookie_is_given_back(served: Served) -> None:
    answer = served.post("/logout")
    assert answer.status_code == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert served.post("/").status_code == 405
    assert served.post("/nothing").status_code == 404
    assert served.get("/nothing.html").status_code == 404


def test_what_is_mounted_is_linked(serve: Callable[..., Served]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    page = serve(mounts=[Mount("/work", app, title="Work & more"), Mount("/cas", app)]).get("/").text
    assert '<a href="/work/">Work &amp; more</a>' in page
    assert "/cas" not in page


def test_metrics_tell_what_the_table_holds(served: Served, queue: Queue) -> None:
    queue.enqueue_many([NewJob("t"), NewJob('o"dd\n', pool="p", not_before=4 * 10**12), NewJob("t")])
    register_this_process(queue.database, "t")
    (job,) = queue.claim(["t"])
    queue.finish(job.id, job.run)
    text = served.get("/metrics", role="read").text
    lines = text.splitlines()
    assert 'clx_jobs{type="t",state="succeeded"} 1' in lines
    assert 'clx_jobs{type="t",state="queued"} 1' in lines
    assert 'clx_jobs_delayed{type="o\\"dd\\n",pool="p"} 1' in lines
    assert 'clx_jobs_claimable{type="t",pool=""} 1' in lines
    assert any(line.startswith('clx_run_seconds_mean{type="t"}') for line in lines)
    assert any(line.startswith('clx_oldest_queued_seconds{type="t"') for line in lines)
    assert 'clx_workers{type="t",state="idle"} 2' in lines
    for line in lines:
        assert re.fullmatch(r'# (HELP|TYPE) .+|\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? [-+.\de]+|', line), line
    again = served.get("/metrics").text
    assert 'clx_http_requests_total{method="GET",status="200"} 1' in again.splitlines()
    assert 'clx_http_request_duration_seconds_bucket{le="+Inf"} 1' in again.splitlines()


@pytest.mark.parametrize("value", [0, 1.5, 1e9])
def test_a_metric_without_labels(value: float) -> None:
    assert list(family("x", "gauge", "y", [({}, value)]))[-1] == f"x {value:g}"
