"""``clx pipelines deploy|list|ps|show|wait|pause|resume|stop|retry|rm``, on a database and on a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.serving import listening

import clx.pipelines
from clx import Work
from clx.cli.main import cli
from clx.db.jobs import Queue
from clx.errors import ClxError, UsageError
from clx.pipelines.document import read
from clx.work.place import at

FILE = """
version: "2"
name: survey
pipeline:
  matrix: {beam: [1, 2]}
  steps:
    - name: detect
      stage: 1
      matrix: {event: {range: [1, 2]}}
      work: {parameters: {beam: "${{ matrix.beam }}"}, event: "${{ matrix.event }}", retries: 1}
    - name: localise
      stage: 2
      evaluate_on_runtime: true
      if: ${{ pipeline.detect.status == 'success' }}
      matrix: {snr: "${{ pipeline.detect.work.results.snr }}"}
      work: {parameters: {snr: "${{ matrix.snr }}"}, tags: "beam-${{ matrix.beam }}", retries: 1}
    - name: report
      if: always
      work: {retries: 1}
"""
BUCKETS = ["detect", "localise", "report"]


@pytest.fixture(params=["database", "server"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How commands name the place; Work and clx.pipelines are at the same one."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORK_TAGS", "WORK_SITE", "WORK_GROUP", "WORK_PATH", "CLX_WORK__URL", "CLX_DATABASE__PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "survey.yaml").write_text(FILE, encoding="utf-8")
    if request.param == "database":
        path = str(tmp_path / "jobs.db")
        Queue.open(path).close()
        with at(path):
            yield ["--db-path", path]
        return
    with Queue.open(tmp_path / "far.db") as queue, listening(queue) as served:
        monkeypatch.setenv("CLX_TOKEN", served.secrets["admin"])
        with at(served.url):
            yield ["--url", served.url]


def _run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["pipelines", *words])


def _json(where: list[str], *words: str, code: int = 0) -> Any:
    done = _run(*words, "--format", "json", *where)
    assert done.exit_code == code, f"{done.output}{done.exception}"
    return json.loads(done.stdout)


def _words(where: list[str], *words: str, code: int = 0) -> str:
    done = _run(*words, *where)
    assert done.exit_code == code, f"{done.output}{done.exception}"
    return done.stdout


def _do(fails: Callable[[Work], bool] = lambda _: False) -> list[str]:
    """Do all works there are and that follow; returns what was done, in order."""
    done = []
    while (work := Work.withdraw(BUCKETS)) is not None:
        done.append(f"{work.pipeline} {json.dumps(work.parameters)}")
        work.results = {"snr": 10 * (work.event or [0])[0]}
        work.status = "failure" if fails(work) else "success"
        work.update()
    return done


def test_a_pipeline_from_its_deployment_to_its_end(where: list[str]) -> None:
    made = _json(where, "deploy", "survey.yaml", "--user", "ada")
    assert len(made["pipelines"]) == 2
    assert "survey" in _words(where, "ps")
    found = _json(where, "show", made["pipelines"][1])
    assert (found["matrix"], found["status"], found["user"]) == ({"beam": 2}, "running", "ada")
    assert "detect" in _words(where, "show", made["pipelines"][0])
    assert _json(where, "wait", made["config"], "--timeout", "0", code=124)["ended"][0]["status"] == "running"

    done = _do()

    assert sorted(done[:4]) == ['detect {"beam": 1}'] * 2 + ['detect {"beam": 2}'] * 2
    assert sorted(done[4:8]) == ['localise {"snr": 10}'] * 2 + ['localise {"snr": 20}'] * 2
    assert done[8:] == ["report null"] * 2
    ended = _json(where, "wait", made["config"])["ended"]
    assert [each["status"] for each in ended] == ["success"] * 2
    assert {work.user for work in Work.search(pipeline="localise")} == {"ada"}
    assert {tuple(work.tags) for work in Work.search(parent=made["pipelines"][0], pipeline="localise")} == {("beam-1",)}
    assert [each["id"] for each in _json(where, "list")["configs"]] == [made["config"]]
    assert _json(where, "ps")["pipelines"] == []
    assert len(_json(where, "ps", "--all", "--name", "survey")["pipelines"]) == 2
    assert "2 success" in _words(where, "show", made["pipelines"][0])


def test_it_is_said_when_nobody_does_the_works(where: list[str]) -> None:
    made = _json(where, "deploy", "survey.yaml")
    for words in (["ps"], ["show", made["config"]], ["show", made["pipelines"][0]]):
        told = _words(where, *words)
        assert "Nobody does works of detect.\nType: clx work run detect --function-of-work\n" in told, told
    assert _json(where, "ps")["unattended"] == ["detect"]
    Work("other").deposit()  # waits for nobody, too, and is none of theirs
    held = Work.withdraw(BUCKETS)
    assert held is not None
    assert _json(where, "ps")["unattended"] == []
    assert "Nobody" not in _words(where, "show", made["config"])


def test_it_is_paused_resumed_stopped_tried_again_and_removed(where: list[str]) -> None:
    made = _json(where, "deploy", "survey.yaml")
    first, second = made["pipelines"]
    assert _json(where, "pause", first)["changed"] == [first]
    assert "paused" in _words(where, "ps")
    assert len(_do()) == 5  # those of the second alone
    assert _json(where, "resume", made["config"])["changed"] == [first]
    assert _json(where, "stop", first)["changed"] == [first]
    assert "Nothing was changed" in _words(where, "stop", first)
    assert _json(where, "wait", first, second, code=1)["ended"][1]["status"] == "cancelled"
    assert _json(where, "retry", first)["changed"] == [first]
    assert "Nothing was changed" in _words(where, "rm", made["config"])
    assert len(_do()) == 5
    assert _json(where, "rm", made["config"])["changed"] == [made["config"]]
    assert _json(where, "list")["configs"] == []
    assert Work.count(pipeline="report") == 2


def test_a_program_deploys_and_waits(where: list[str]) -> None:
    made = clx.pipelines.deploy("survey.yaml", user="grace")
    _do(lambda work: work.pipeline == "detect" and work.event == [2])
    found = clx.pipelines.wait(made.config)
    assert [each["status"] for each in found] == ["failure"] * 2
    shown = clx.pipelines.show(made.pipelines[0])
    assert {each["name"]: each["status"] for each in shown["steps"]} == {
        "detect": "failure", "localise": "cancelled", "report": "success",
    }  # fmt: skip
    assert clx.pipelines.retry(made.config) == made.pipelines
    assert clx.pipelines.stop(made.pipelines[0]) == made.pipelines[:1]
    _do()
    assert [each["id"] for each in clx.pipelines.search(status=["success"])] == made.pipelines[1:]
    assert [each["user"] for each in clx.pipelines.configs(name="survey")] == ["grace"]
    assert clx.pipelines.pause(made.config) == clx.pipelines.resume(made.config) == []
    assert clx.pipelines.remove(made.config) == [made.config]
    with pytest.raises(UsageError, match=made.pipelines[0]):
        clx.pipelines.show(made.pipelines[0])
    again = clx.pipelines.deploy(read(FILE))
    assert len(again.pipelines) == 2


@pytest.mark.parametrize(("lives", "told"), [(1, "once"), (3, "3 times"), (-1, "for ever")])
def test_a_schedule_is_told_in_words_and_is_not_waited_for(
    where: list[str], tmp_path: Path, lives: int, told: str
) -> None:
    nightly = f'schedule: {{cronspec: "0 6 * * *", lives: {lives}}}\n'
    (tmp_path / "nightly.yaml").write_text(nightly + FILE, encoding="utf-8")
    assert f"Its pipelines begin by its schedule: 0 6 * * * (UTC), {told}.\n" in _words(where, "deploy", "nightly.yaml")
    done = _run("deploy", "nightly.yaml", "--wait", *where)
    assert isinstance(done.exception, UsageError)
    assert done.exception.fact == "nightly.yaml has a schedule: no pipeline begins now."
    assert len(_json(where, "list")["configs"]) == 1


def test_what_cannot_be_is_refused(where: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "version: '2'\nname: x\npipeline: {steps: [{name: a, stage: no}]}", encoding="utf-8"
    )
    for words in (
        ["deploy", "bad.yaml"],
        ["deploy", "none.yaml"],
        ["show", "none"],
        ["stop", "none"],
        ["wait", "none"],
        ["rm", "none"],
    ):
        done = _run(*words, *where)
        assert isinstance(done.exception, ClxError), (words, done.output)
    assert _json(where, "list")["configs"] == []
