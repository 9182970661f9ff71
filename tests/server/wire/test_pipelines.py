"""Pipelines as workflow-core 1.12 asks for them, request by request; its CLI was run against these answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.conftest import Served
from tests.support.clock import SetClock, during

from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.server.place import Place

V2 = "/workflow/pipelines/v2"
FILE: dict[str, Any] = {
    "version": "2",
    "name": "survey",
    "defaults": {"user": "me", "site": "local"},
    "pipeline": {
        "matrix": {"beam": [1, 2]},
        "steps": [
            {"name": "detect", "stage": 1, "work": {"parameters": {"beam": "${{ matrix.beam }}"}, "retries": 1}},
            {"name": "report", "if": "always", "work": {"retries": 1}},
        ],
    },
}
SCHEDULED = {**FILE, "schedule": {"cronspec": "0 * * * *", "lives": 2}}


def deploy(served: Served) -> dict[str, Any]:
    answer = served.post(f"{V2}/configs", FILE, role="work")
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert found.keys() == {"config", "pipelines"}
    return found


def look(served: Served, path: str = "configs", **query: Any) -> Any:
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
    answer = served.get(f"{V2}/{path}", params=told, role="read")
    assert answer.status_code == 200, answer.text
    return answer.json()


def change(served: Served, method: str, path: str, id_: str) -> Any:
    return served.call(method, f"{V2}/{path}", params={"query": json.dumps({"id": id_}), "name": "survey"}, role="work")


def do_all(queue: Queue) -> None:
    while (work := queue.works.withdraw(Asked(("detect", "report")))) is not None:
        queue.works.update([{**work, "status": "success"}])


def test_a_config_and_its_pipelines_are_found_as_clients_ask(served: Served, queue: Queue) -> None:
    made = deploy(served)
    first, second = made["pipelines"]
    (config,) = look(served, projection={"yaml": 0, "deployments": 0})
    assert config.keys() >= {"id", "name", "version", "pipelines", "user", "creation"}
    assert not config.keys() & {"yaml", "deployments"}
    assert (config["version"], config["user"], config["pipelines"]) == ("2", "me", [first, second])
    assert look(served, projection={"id": 1}) == [{"id": made["config"]}]
    assert look(served, query={"pipelines": second}, projection={"name": 1}) == [{"name": "survey"}]
    assert look(served, name="other") == []
    found = look(served, database="pipelines", name="survey", query={"id": {"$in": [first]}})
    assert [each["id"] for each in found] == [first]
    assert found[0].keys() >= {"status", "current_stage", "steps", "creation", "start", "stop", "history"}
    assert [(step["name"], step["status"]) for step in found[0]["steps"]] == [
        ("detect", "queued"),
        ("report", "created"),
    ]
    ((work,),) = [each["execution"] for each in found[0]["history"].values()]
    assert found[0]["steps"][0]["work_id"] == work
    assert look(served, "configs/count", database="configs") == {"survey": 1}
    assert look(served, "configs/count", database="pipelines") == {"survey": 2}
    assert look(served, "status")["running"] == 2
    do_all(queue)
    assert {each["status"] for each in look(served, database="pipelines", projection={"status": 1})} == {"success"}


def test_a_config_is_stopped_tried_again_and_removed(served: Served) -> None:
    made = deploy(served)
    assert change(served, "DELETE", "configs", made["config"]).status_code == 409
    answer = change(served, "PUT", "configs/cancel", made["config"])
    assert answer.json() == {"stopped_config": made["config"], "stopped_pipelines": made["pipelines"]}
    again = change(served, "PUT", "configs/cancel", made["config"])
    assert (again.status_code, again.content) == (304, b"")
    retried = served.post(f"{V2}/configs/retry", {"id": made["config"], "name": "survey"}, role="work")
    assert retried.json()["message"] == "2 pipeline(s) go on."
    change(served, "PUT", "configs/cancel", made["config"])
    removed = change(served, "DELETE", "configs", made["config"])
    assert (removed.status_code, removed.content) == (204, b"")
    assert look(served) == []
    assert change(served, "PUT", "configs/cancel", made["config"]).status_code == 304


def test_a_schedule_makes_pipelines_and_expires(served: Served, queue: Queue) -> None:
    answer = served.post(f"{V2}/schedule", SCHEDULED, role="work")
    assert answer.status_code == 201
    (it,) = answer.json()
    (shown,) = look(served, "schedule")
    assert (shown["id"], shown["lives"], shown["has_spawned"], shown["status"]) == (it, 2, 0, "active")
    assert (shown["crontab"], shown["config"]["name"], shown["history"]) == ("0 * * * *", "survey", [])
    for hour in (1, 2):
        moment = queue.schedules.get(f"pipelines:{it}").next_at
        assert moment is not None
        during(queue.database, SetClock(moment), queue.schedules.fire_due)
        assert look(served, "schedule", query={"id": it})[0]["has_spawned"] == hour
    (shown,) = look(served, "schedule", query={"config.name": "survey"})
    assert (shown["lives"], shown["status"], shown["next_time"]) == (0, "expired", None)
    assert len(shown["history"]) == 4
    assert look(served, "schedule/count") == look(served, "schedule/count", query={"name": "survey"}) == {"survey": 1}
    assert look(served, "schedule", query={"config.name": None}, projection={"config.name": True}) == [
        {"config": {"name": "survey"}}
    ]
    assert change(served, "DELETE", "schedule", it).status_code == 204
    assert change(served, "DELETE", "schedule", it).status_code == 404
    assert look(served, "schedule") == []


def test_a_certificate_is_never_kept_nor_told(served: Served, queue: Queue) -> None:
    secret = "-----BEGIN PRIVATE KEY-----"
    made = served.post(f"{V2}/configs", {**FILE, "canfar_cert": secret}, role="work").json()
    assert len(made["pipelines"]) == 2
    (config,) = queue.pipelines.configs()
    assert "canfar_cert" not in config["yaml"]
    kept = queue.database.read("SELECT yaml || definition || deployments FROM pipeline_configs")[0][0]
    assert secret not in kept
    bad = served.post(f"{V2}/configs", {"name": "x", "canfar_cert": secret, "pipeline": {}}, role="work")
    assert bad.status_code == 400
    assert secret not in bad.text


def test_a_mistake_is_told_in_sentences(served: Served) -> None:
    step = {"name": "a", "stage": 1, "success_threshold": 2, "work": {"user": "x"}}
    answer = served.post(f"{V2}/configs", {"name": "x", "pipeline": {"steps": [step]}}, role="work")
    assert "success_threshold cannot be 2. It is the share" in answer.json()["message"]


@pytest.mark.parametrize("path", ["configs", "schedule"])
@pytest.mark.parametrize(
    "body", [{"name": "x"}, [], "text", {**SCHEDULED, "pipeline": {"steps": [{"name": "a", "if": "${{ x"}]}}]
)
def test_what_is_wrong_in_a_file_is_told_as_clients_print_it(served: Served, path: str, body: Any) -> None:
    answer = served.post(f"{V2}/{path}", body, role="work")
    assert answer.status_code == 400
    if isinstance(body, dict):
        assert answer.json()["message"]
    assert look(served) == []


@pytest.mark.parametrize(
    "query",
    [
        {"query": "no JSON"}, {"query": "[1]"}, {"query": '{"$where": "x"}'}, {"query": '{"id": {"$gt": 1}}'},
        {"query": '{"id": 5}'}, {"database": "pipelines", "query": '{"name": "x"}'}, {"projection": '{"id": "x"}'},
    ],
)  # fmt: skip
def test_questions_that_mean_nothing_are_refused(served: Served, query: dict[str, str]) -> None:
    assert served.get(f"{V2}/configs", params=query, role="read").status_code == 400


def test_who_may_only_read_changes_nothing(serve: Callable[..., Served]) -> None:
    served = serve(Place())
    assert served.post(f"{V2}/configs", FILE, role="read").status_code == 403
    assert served.get(f"{V2}/configs", headers={"x-access-token": served.secrets["read"]}, role=None).status_code == 200


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ({"name": "a", "stage": "one", "work": {}}, "pipeline.steps[a].stage: stage cannot be"),
        ({"name": "a", "stage": 1, "work": {"paramters": {}}}, "pipeline.steps[a].work: A work has no field"),
        ({"name": "a", "stage": 1}, 'pipeline.steps[a]: a step has no "work"'),
        ({"name": "a", "stage": 1, "work": {"event": "${{ matrix.x }}"}}, "pipeline.steps[a].work.event: "),
        ({"name": "a", "stage": 1, "work": {"priority": 9}}, "pipeline.steps[a].work.priority: The priority"),
    ],
)
def test_what_is_wrong_is_told_by_its_keys_as_nobody_has_seen_the_lines(
    served: Served, step: dict[str, Any], where: str
) -> None:
    answer = served.post(f"{V2}/configs", {**FILE, "pipeline": {"steps": [step]}}, role="work")
    told = answer.json()["message"]
    assert answer.status_code == 400
    assert told.startswith(where), told
    twice = {"name": "a", "stage": 1, "work": {}}
    answer = served.post(f"{V2}/configs", {**FILE, "pipeline": {"steps": [step, twice, {"zzz": 1}]}}, role="work")
    told = answer.json()["message"]
    assert "pipeline.steps[2]" in told
    assert not re.search(r":\d+:\d+|in line \d", told), told
