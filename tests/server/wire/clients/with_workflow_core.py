# mypy: ignore-errors
"""``workflow-core`` as its users use it; run by its own interpreter (tests/server/wire/test_peers.py)."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from workflow.definitions.work import Work
from workflow.http.context import HTTPContext


@pytest.fixture
def http():
    return HTTPContext(backends=["buckets", "results"])


def run(*words, code=0):
    program = Path(sys.executable).with_name("workflow")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def made(pipeline, **fields):
    return Work(pipeline=pipeline, site="local", user="tester", **fields)


def test_a_work_goes_its_way(http):
    work = made("way", parameters={"a": 1}, tags=["night"], event=[5], config={"parent": "p1"})
    (work_id,) = work.deposit(return_ids=True)
    assert Work.withdraw("way", tags=["day"]) is None
    assert Work.withdraw("way", parent=["p2"]) is None
    found = Work.withdraw(["other", "way"], event=[5, 6], site="local", priority=3, user="tester", tags=["night"])
    assert (found.id, found.attempt, found.status, found.parameters) == (work_id, 1, "running", {"a": 1})
    found.status, found.results = "success", {"sum": 3}
    assert found.update() is True
    assert http.buckets.status("way") == {"total": 1, "queued": 0, "running": 0, "success": 1, "failure": 0}
    (there,) = http.buckets.view({"pipeline": "way"}, {"results": True})
    assert there == {"results": {"sum": 3}}
    (whole,) = http.buckets.view({"id": work_id}, {})
    assert http.results.deposit([whole]) == {"way": True}
    with pytest.raises(requests.HTTPError):
        http.results.deposit([whole])
    assert found.delete() is True
    assert http.buckets.pipelines() == []
    assert http.results.status() == {"way": 1}
    assert http.results.count("way", {"id": work_id}) == 1
    assert http.results.lock("way", [work_id])
    assert http.results.get_locked_count("way") == 1
    assert http.results.delete_ids("way", [work_id]) == {"way": False}
    assert http.results.unlock("way", [work_id], force=True)
    assert http.results.delete_ids("way", [work_id]) == {"way": True}


def test_deposits_are_many_and_all_are_removed(http):
    works = [made("many", tags=[str(number)]).payload for number in range(1500)]
    assert http.buckets.deposit(works) is True
    assert http.buckets.status("many")["total"] == 1500
    # as `workflow buckets rm` does it, without a limit: the ids go into one address
    assert http.buckets.delete_many("many", force=True, limit=None) is True
    assert http.buckets.status("many")["total"] == 500
    assert "many" in run("buckets", "ls")
    run("buckets", "rm", "many", "--force")
    assert http.buckets.status("many")["total"] == 0
    assert http.buckets.delete_ids(["no such"]) is False


def test_what_has_failed_is_tried_again_after_an_audit(http):
    made("audited", retries=2).deposit()
    for again in (1, 0):
        work = Work.withdraw("audited")
        work.status = "failure"
        assert work.update() is True
        assert http.buckets.audit() == {"failed": again, "expired": 0, "stale": 0}
    late = work.model_copy(update={"attempt": 1, "status": "success"})
    assert late.update() is False
    http.buckets.delete_many("audited", force=True)


def test_commands(http):
    made("shell", command=["echo", "hello"]).deposit()
    assert "shell" in run("buckets", "ls", "--details")
    run("run", "shell", "--site", "local", "--lives", "1", "--sleep", "1")
    (found,) = http.buckets.view({"pipeline": "shell"}, {})
    assert found["status"] == "success"
    assert "success" in run("buckets", "ps", "shell")
    http.buckets.delete_many("shell", force=True)


def test_one_object_that_is_deposited_twice_is_two_only_at_once(http):
    work = made("twice")
    first = http.buckets.deposit([work.payload], return_ids=True)
    time.sleep(0.2)  # by then it may be that no answer was heard
    assert http.buckets.deposit([work.payload], return_ids=True) == first
    http.buckets.delete_many("twice", force=True)


def test_who_answers_is_told(http):
    assert http.buckets.info()["server"]["version"]
    assert http.results.info()["server"]["version"]


SURVEY = """
version: "2"
name: survey
defaults: {user: tester, site: local}
pipeline:
  matrix: {beam: [1, 2]}
  steps:
    - {name: shell, stage: 1, work: {command: ["echo", "${{ matrix.beam }}"], retries: 1}}
    - {name: report, if: always, work: {command: ["echo", "end"], retries: 1}}
"""


def ids_in(told):
    """The ids that a table shows, in their order."""
    return list(dict.fromkeys(re.findall(r"\b[0-9a-f]{24}\b", told)))


def test_configs_and_pipelines_by_the_commands(tmp_path):
    file = tmp_path / "survey.yaml"
    file.write_text(SURVEY, encoding="utf-8")
    config, *pipelines = ids_in(run("configs", "deploy", str(file)))
    assert len(pipelines) == 2
    assert config in run("configs", "ls")
    assert "survey" in run("configs", "count")
    assert "survey" in run("configs", "ps", "survey", config)
    assert set(pipelines) <= set(ids_in(run("pipelines", "ls")))
    assert "survey" in run("pipelines", "count")
    assert "running" in run("pipelines", "ps", pipelines[0]).lower()
    run("configs", "stop", "survey", config)
    assert Work.withdraw("shell") is None
    run("configs", "retry", "survey", config)
    run("run", "shell", "--site", "local", "--lives", "2", "--sleep", "1")
    run("run", "report", "--site", "local", "--lives", "2", "--sleep", "1")
    assert "success" in run("pipelines", "ps", pipelines[0]).lower()
    run("configs", "rm", "survey", config)
    assert config not in run("configs", "ls")


def test_schedules_by_the_commands(tmp_path):
    file = tmp_path / "survey.yaml"
    file.write_text(SURVEY + 'schedule: {cronspec: "0 6 * * *", lives: 2}\n', encoding="utf-8")
    schedule = ids_in(run("schedules", "deploy", str(file)))[0]
    assert schedule[:16] in run("schedules", "ls")  # the table is too narrow for all of it
    assert "survey" in run("schedules", "count")
    assert "0 6 * * *" in run("schedules", "ps", schedule)
    run("schedules", "rm", schedule)
    assert schedule[:16] not in run("schedules", "ls")
