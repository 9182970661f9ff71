"""Pipelines on the page: a graph of their stages, the cells of their matrices, and changes by those who may."""

from __future__ import annotations

import re

import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.pipelines.browsing import Step
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.works.withdrawing import Asked
from clx.server.views.stages import Stage, staged

BROWSER = {"accept": "text/html"}


def deploy(queue: Queue, *, name: str = "survey") -> list[str]:
    """Two pipelines of a matrix of their own, each with a matrix of works in its first step."""
    works = tuple({"pipeline": "detect", "event": [n], "retries": 1} for n in range(6))
    matrix = {"beam": {"range": [1, 3]}, "dm": [100, "<b>200</b>"]}
    steps = (
        StepDefinition("detect", 1, works=works, matrix=matrix, threshold=0.5),
        StepDefinition("localise", 2, works=({"pipeline": "localise"},)),
        StepDefinition("image", 2, works=({"pipeline": "image"},)),
        StepDefinition("report", None, "always", works=({"pipeline": "report"},)),
    )
    pipelines = tuple(PipelineDefinition({"night": night}, steps) for night in ("mon", "tue"))
    return queue.pipelines.deploy(ConfigDefinition(name, "", pipelines, owner="ada")).pipelines


@pytest.fixture
def ids(queue: Queue) -> list[str]:
    found = deploy(queue)
    for n in range(6):
        work = queue.works.withdraw(Asked(("detect",), parent=(found[0],)))
        assert work is not None
        queue.works.update([{**work, "status": "failure" if n == 4 else "success"}])
    return found


def test_pipelines_are_listed_with_their_steps(served: Served, queue: Queue, ids: list[str]) -> None:
    text = served.get("/pipelines", role="read").text
    assert re.findall(r'<tr id="pipeline-(\w+)"', text) == ids[::-1]
    assert 'detect <span class="state success">success</span> 5/6' in text
    assert "night <code>tue</code>" in text
    queue.pipelines.pause(ids[1:])
    assert re.findall(r'<tr id="pipeline-(\w+)"', served.get("/pipelines?status=paused&name=survey").text) == ids[1:]
    assert served.get("/pipelines?status=odd", headers=BROWSER).status_code == 422
    many = [each for _ in range(16) for each in deploy(queue, name="many")]
    first = served.get("/pipelines?name=many").text
    following = re.search(r'href="([^"]+)" rel="next"', first)
    assert following is not None
    second = served.get(following[1].replace("&amp;", "&")).text
    assert re.findall(r'<tr id="pipeline-(\w+)"', first + second) == many[::-1]


def test_one_is_a_graph_with_the_grids_of_its_matrices(served: Served, ids: list[str]) -> None:
    text = served.get(f"/pipelines/{ids[0]}", role="read").text
    assert re.findall(r'<g class="box (\w+)"><title>([^<]+)</title>', text) == [
        ("success", "detect: success 6/6"), ("running", "localise: running 0/1"), ("running", "image: running 0/1"),
        ("created", "report: created"),
    ]  # fmt: skip
    assert len(re.findall('<path class="line', text)) == 4
    cells = re.findall(r'<a class="cell (\w+)" href="(/[^"]+)"', text)
    assert [state for state, _ in cells] == ["running"] * 2 + ["success"] * 4 + ["failure", "success"]
    assert "&lt;b&gt;200&lt;/b&gt;" in text
    assert "<b>" not in text
    assert f'href="/pipelines/{ids[0]}" aria-current="true"' in text, "among those of its deployment"
    assert served.get(cells[-2][1]).text.count("failure") > 0
    assert served.get("/pipelines/none", headers=BROWSER).status_code == 404


def test_a_pipeline_is_changed_by_those_who_may(served: Served, queue: Queue, ids: list[str]) -> None:
    def offered(role: str) -> list[str]:
        text = served.get(f"/pipelines/{ids[0]}", role=role).text
        return re.findall(r'data-post="/api/v1/pipelines/(\w+)"', text)

    assert offered("read") == offered("work") == []
    assert offered("admin") == ["pause", "stop"]
    assert served.post("/api/v1/pipelines/pause", {"ids": ids[:1]}).json() == {"ids": ids[:1]}
    assert offered("admin") == ["resume", "stop"]
    served.post("/api/v1/pipelines/stop", {"ids": ids[:1]})
    assert offered("admin") == ["retry"]
    served.post("/api/v1/pipelines/retry", {"ids": ids[:1]})
    assert offered("admin") == ["pause", "stop"]


def test_a_work_leads_to_its_pipeline(served: Served, queue: Queue, ids: list[str]) -> None:
    work = queue.works.withdraw(Asked(("localise",)))
    assert work is not None
    assert f'<a href="/pipelines/{ids[0]}">{ids[0]}</a>' in served.get(f"/works/{work['id']}").text


def test_a_stage_of_many_steps_is_drawn_with_one_line(queue: Queue) -> None:
    assert staged([]).boxes == []
    many = [Step(n, f"a name that is too long {n}", 1, "created", None, 0, {}, None, None, {}) for n in range(20)]
    graph = staged([Stage(1, many), Stage(None, many)])
    assert (len(graph.boxes), len(graph.lines), [head.text for head in graph.heads]) == (40, 1, ["stage 1", "then"])
    assert all(box.y + 46 <= graph.height and box.x + 190 <= graph.width for box in graph.boxes)
    assert graph.boxes[0].label.endswith("…")
