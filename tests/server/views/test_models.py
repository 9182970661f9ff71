"""Models on the page and in the interface: what a server said of them, and changes by those who may."""

from __future__ import annotations

import json
import re

import pytest
from tests.server.conftest import Served
from tests.support.served_models import fill_models

from clx.db.jobs import Queue
from clx.db.serving.figures import BIN, Figures, FiguresTable
from clx.db.serving.models import NewModel
from clx.db.serving.table import ServingTable
from clx.server.views.models import BARS, PAGE, pace_of

BROWSER = {"accept": "text/html"}


@pytest.fixture
def table(queue: Queue) -> ServingTable:
    fill_models(queue)
    return ServingTable(queue.database)


def rows(text: str) -> dict[str, str]:
    """What the list says of each model, without marks."""
    found = re.findall(r'<tr id="model-([^"]+)">(.*?)</tr>', text, re.DOTALL)
    return {name: " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", said).split()) for name, said in found}


def test_models_are_listed_with_what_their_server_said(served: Served, table: ServingTable) -> None:
    text = served.get("/models", role="read").text
    found = rows(text)
    assert list(found) == ["broken", "digits", "old", "ranking", "spikes", "trial"]
    assert re.match(
        r"digits 2 ready warm 0 9.0 MiB , 10.0.0.8:9000 10.0 MiB [\d.]+ 0.61 ms 2.24 ms 1 204 3", found["digits"]
    )
    assert found["broken"].startswith("broken 1 failed it is none")
    assert found["spikes"].startswith("spikes 1 cold")
    assert found["old"].startswith("old 1 unloaded")
    assert "http://127.0.0.1:8000" in text
    assert "data-post" not in text
    assert '<tr id="holder-1"><th scope="row">1</th><td class="name">10.0.0.8:9000' in text


def test_a_model_with_its_versions_requests_and_actions(served: Served, table: ServingTable) -> None:
    text = served.get("/models/digits").text
    assert re.findall(r'<tr id="version-(\d)"', text) == ["2", "1"]
    assert '<code>refused_late</code></th><td class="number">1\u202f198' in text
    assert text.count(">camera-") == 8
    assert text.count("<td>infer</td>") == 7
    assert "99.999 %" in text  # three of 412,910 were late
    assert served.get("/models/nobody", headers=BROWSER).status_code == 404
    trial = served.get("/models/trial").text
    assert "clx models add trial FILE" in trial
    assert "data-post" not in trial.partition("<main")[2]


def test_those_who_may_say_how_a_model_is_to_stand(served: Served, table: ServingTable) -> None:
    bodies = [json.loads(each) for each in re.findall(r"data-body='([^']*)'", served.get("/models/digits").text)]
    assert bodies == [
        {"name": "digits", "residence": "unloaded"},
        {"name": "digits", "residence": "loaded"},
        {"name": "digits", "version": "1", "residence": "warm"},
    ]
    before = table.changes()
    for body in bodies:
        assert served.post("/api/v1/models/place", body, role="read").status_code == 403
        assert served.post("/api/v1/models/place", body).json() == {"changed": True}
    (row,) = [each for each in table.chosen() if each.name == "digits"]
    assert (row.version, row.residence, table.changes() > before) == ("1", "warm", True)
    for body in ({"name": "nobody", "residence": "warm"}, {"name": "old", "version": "9", "residence": "warm"}):
        assert served.post("/api/v1/models/place", body).status_code == 404
    assert served.post("/api/v1/models/place", {"name": "old", "residence": "odd"}).status_code == 422
    assert '"residence": "loaded"' in served.get("/models/old").text.replace("&#34;", '"')


def test_programs_read_the_same(served: Served, table: ServingTable) -> None:
    first = served.get("/api/v1/models?limit=2", role="read").json()
    assert ([each["name"] for each in first["models"]], first["after"]) == (["broken", "digits"], "digits")
    assert first["server"] == "127.0.0.1:8000"
    digits = first["models"][1]
    assert (digits["state"], digits["residence"], digits["success"], digits["p99_ns"]) == (
        "ready",
        "warm",
        412_907,
        2_240_000,
    )
    rest = served.get("/api/v1/models?after=digits").json()
    assert [each["name"] for each in rest["models"]] == ["old", "ranking", "spikes", "trial"]
    assert rest["after"] is None
    assert rest["models"][3]["residence"] == ""


def test_nothing_is_served(served: Served, queue: Queue) -> None:
    assert "clx models add NAME model.onnx" in served.get("/models").text
    table = ServingTable(queue.database)
    for n in range(PAGE + 1):
        table.add(NewModel(f"m{n:02d}", callable="m:f"))
    table.begin(json.dumps({"address": "a", "host": "h", "pid": 1, "identity": "other/1/1/1"}))
    text = served.get("/models").text
    assert rows(text)["m00"].startswith("m00 1 kept")
    assert "Nothing is served at the moment" in text
    (link,) = re.findall(r'href="(/models\?after=m29)" rel="next"', text)
    assert list(rows(served.get(link).text)) == ["m30"]


def test_odd_details_are_left_out(served: Served, queue: Queue, table: ServingTable) -> None:
    detail = {
        "bins": [[1], "x", [1, 2, "3"], None],
        "held": {"a": 1},
        "batches": [[1.5, 2]],
        "causes": ["x"],
        "reason": 7,
    }
    FiguresTable(queue.database).tell([Figures("odd", "1", 1, 1, "odd", 0, 0, 0, 0, 0, 0, 0, 0, 0, detail)])
    assert served.get("/models").status_code == 200
    assert served.get("/models/odd").status_code == 200


def test_bars_and_rates_are_of_what_is_over() -> None:
    now = 100 * BIN + 1
    pace = pace_of([[98, 50, 5], [99, 50, 5], [100, 7, 0]], now)
    assert (pace.results, pace.others) == (10.0, 1.0)
    assert len(pace.bars) == BARS
    assert [tuple(each) for each in pace.bars[-2:]] == [(100, 10), (7, 0)]
    assert pace.most == 110
    assert pace_of([[100, 7, 0]], now).results == 0.0
    assert pace_of([], now).bars[0] == (0, 0)
    assert pace_of([[99, 12 * 5 * 3, 0]], now + 11 * BIN).results == 3.0
    assert pace_of([[99, 500, 0]], now + 13 * BIN).results == 0.0
