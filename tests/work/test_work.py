"""``clx.Work``: fields that are checked, its life on a file and on PostgreSQL, and what who comes late is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.serving import listening

import clx
from clx import Work
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.db.works.fields import FIELDS
from clx.errors import LostRunError, QueueError, ServerError, UsageError
from clx.work.place import at, store

PAYLOAD = [
    "pipeline", "parameters", "results", "path", "event", "tags", "group", "timeout", "retries", "priority", "products",
    "plots", "site", "user", "archive", "precursors", "config", "id", "creation", "start", "stop", "attempt", "status",
]  # fmt: skip
"""The fields of the system whose Works these are, in its order."""


@pytest.fixture(params=["wal", "postgresql", "server", "server of postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """A queue in which this test's works lie; used as it is, or by its server."""
    where: Any = tmp_path / "works.db"
    if request.param.endswith("postgresql"):
        where = request.getfixturevalue("postgresql")
    with Queue.open(where) as queue, ExitStack() as stack:
        if request.param.startswith("server"):
            served = stack.enter_context(listening(queue))
            stack.enter_context(at(served.url, token=served.secrets["admin"]))
        else:
            stack.enter_context(at(queue))
        yield queue


def hand_back(queue: Queue) -> None:
    """What was withdrawn waits again, as if whoever holds it had ended."""
    for worker in WorkerTable(queue.database).list():
        queue.release_worker(worker.id)


def failed(work: Work) -> Work:
    """A deposited work of one attempt, after that has failed."""
    work.deposit()
    held = Work.withdraw(work.pipeline)
    assert held is not None
    held.status = "failure"
    held.update()
    return held


# -- fields -------------------------------------------------------------------------------------------


def test_only_a_pipeline_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    for name in ("WORK_PATH", "WORK_GROUP", "WORK_TAGS", "WORK_SITE"):
        monkeypatch.delenv(name, raising=False)
    payload = Work("sample-pipeline").payload
    assert list(payload)[: len(PAYLOAD)] == PAYLOAD
    assert isinstance(payload.pop("creation"), float)
    assert {name: value for name, value in payload.items() if value is not None} == {
        "pipeline": "sample-pipeline", "path": ".", "timeout": 3600, "retries": 2, "priority": 3, "site": "local",
        "user": "ada", "archive": True, "attempt": 0, "status": "created",
    }  # fmt: skip


def test_the_environment_says_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK_TAGS", "a, b,")
    monkeypatch.setenv("WORK_SITE", "aro")
    monkeypatch.setenv("WORK_GROUP", "g")
    work = Work("p")
    assert (work.tags, work.site, work.group) == (["a", "b"], "aro", "g")
    assert Work("p", tags="c").tags == ["c"]


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("tag", "x", ["x"]),
        ("tags", ["x", "x", "y"], ["x", "y"]),
        ("group", "g", "g"),
        ("group", ["g", "h"], ["g", "h"]),
        ("event", 5, [5]),
        ("event", (5, 6), [5, 6]),
        ("results", 3, {"result": 3}),
        ("results", [1, 2], {"result": [1, 2]}),
        ("results", {"sum": 3}, {"sum": 3}),
        ("results", None, None),
        ("plots", Path("a.png"), ["a.png"]),
        ("products", ("a.h5", "b.h5"), ["a.h5", "b.h5"]),
        ("path", Path("data"), "data"),
        ("command", ["python", "-c", ""], ["python", "-c", ""]),
        ("archive", {"plots": "copy"}, {"plots": "copy"}),
        ("config", "old", "old"),
        ("start", 5, 5.0),
        ("status", "success", "success"),
        ("parameters", {"a": (1, 2)}, {"a": [1, 2]}),
    ],
)
def test_what_is_set_is_kept_in_one_form(field: str, given: Any, kept: Any) -> None:
    work = Work("p")
    setattr(work, field, given)
    assert getattr(work, field) == kept
    assert {**Work("p", **{field: given}).payload, "creation": work.creation} == work.payload
    assert Work.from_dict(work.payload) == work


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pipeline", ""),
        ("pipeline", "x" * 129),
        ("pipeline", None),
        ("pipeline", " a"),
        ("priority", 0),
        ("priority", 6),
        ("priority", True),
        ("priority", "3"),
        ("timeout", 0),
        ("timeout", 259_201),
        ("retries", 6),
        ("retries", -1),
        ("status", "done"),
        ("tags", 5),
        ("tags", [""]),
        ("event", "5"),
        ("event", [True]),
        ("parameters", [1]),
        ("parameters", {1: 2}),
        ("parameters", {"a": object()}),
        ("parameters", {"a": float("nan")}),
        ("results", float("inf")),
        ("command", "rm -rf"),
        ("command", []),
        ("site", ""),
        ("user", "a\0"),
        ("creation", "today"),
        ("attempt", -1),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_the_field(field: str, value: Any) -> None:
    work = Work("p")
    before = work.payload
    with pytest.raises(UsageError, match=f"The {field} of a work"):
        setattr(work, field, value)
    assert work.payload == before
    with pytest.raises(UsageError, match=f"The {field} of a work"):
        Work(**{"pipeline": "p", field: value})


def test_a_field_that_is_none_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="no field piority") as caught:
        Work("p", piority=5)
    assert "priority" in caught.value.next_step
    work = Work("p")
    with pytest.raises(UsageError, match="no field result"):
        work.result = 5
    with pytest.raises(AttributeError, match='Did you mean "status"'):
        _ = work.statu
    with pytest.raises(UsageError, match="given twice"):
        Work("p", tag="x", tags=["y"])
    with pytest.raises(UsageError, match="not set by hand"):
        work.run = 5
    with pytest.raises(UsageError, match="either a function or a command"):
        Work("p", function="a.b", command=["c"])


def test_a_work_is_made_of_mappings_texts_and_files(tmp_path: Path) -> None:
    work = Work("p", parameters={"a": 1}, tags=["x"])
    text = json.dumps(work.payload)
    assert Work.from_json(text) == Work.from_dict(work.payload) == work
    (tmp_path / "w.json").write_text(text, encoding="utf-8")
    (tmp_path / "w.yaml").write_text("pipeline: p\nparameters: {a: 1}\ntag: x\nunknown: [1]\n", encoding="utf-8")
    assert Work.from_file(tmp_path / "w.json") == work
    told = Work.from_file(str(tmp_path / "w.yaml")).payload
    assert {**told, "creation": work.creation} == work.payload
    (tmp_path / "w.yaml").write_text("pipeline: [", encoding="utf-8")
    for wrong in (tmp_path / "w.yaml", tmp_path / "absent.json", tmp_path):
        with pytest.raises(UsageError, match=str(wrong)):
            Work.from_file(wrong)
    for wrong_text in ("", "[1]", '{"tags": ["x"]}', '{"pipeline": null}'):
        with pytest.raises(UsageError):
            Work.from_json(wrong_text)


def test_a_payload_is_a_copy() -> None:
    work = Work("p", parameters={"a": [1]})
    work.payload["parameters"]["a"].append(2)
    assert work.parameters == {"a": [1]}


# -- its life -----------------------------------------------------------------------------------------


def test_the_document_s_sample_runs_as_printed(here: Queue) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    work: Any = Work(pipeline="sample-pipeline", parameters={"a": 1, "b": 2})
    assert work.deposit() is True

    work = Work.withdraw(pipeline="sample-pipeline")
    result = add(**work.parameters)
    work.results = result
    work.status = "success"
    assert work.update() is True

    (found,) = Work.search(pipeline="sample-pipeline")
    assert (found.results, found.status, found.attempt) == ({"result": 3}, "success", 1)
    assert found.payload == {**work.payload, "run": None}


def test_a_deposit_gives_an_id_and_is_made_once(here: Queue) -> None:
    work = Work("p")
    ids = work.deposit(return_ids=True)
    assert ids == [work.id]
    assert (work.status, work.is_live) == ("queued", True)
    with pytest.raises(UsageError, match="deposited before"):
        work.deposit()
    with pytest.raises(UsageError, match="The pipeline of a work that was deposited stays"):
        work.pipeline = "q"
    assert Work.get(work.id) is not None
    assert Work.get("unknown") is None


def test_a_deposit_that_may_have_come_in_is_made_once_by_its_id(here: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    work, twin = Work("p", creation=5), Work("p", creation=5)
    keeps = store()
    deposit = keeps.deposit

    def loses_its_answer(documents: Any) -> list[str]:
        deposit(documents)
        raise ServerError("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(keeps, "deposit", loses_its_answer)
        with pytest.raises(ServerError):
            work.deposit()
    assert work.deposit()
    assert twin.deposit()  # alike, but another one
    assert Work.count() == 2
    with pytest.raises(QueueError, match="already"):
        Work("q", id=work.id).deposit()
    refused = Work("p", id=None)

    def refuses(_: Any) -> list[str]:
        raise QueueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(keeps, "deposit", refuses)
        with pytest.raises(QueueError):
            refused.deposit()
    refused.pipeline = "other"  # it was not deposited


def test_withdrawing_by_what_is_asked_for(here: Queue) -> None:
    for fields in ({"tags": ["x"]}, {"event": [7]}, {"site": "aro"}, {"user": "me"}, {"priority": 1}, {"parent": "up"}):
        Work("p", **fields).deposit()
    assert Work.withdraw("p", tags="x", site="nowhere") is None
    for asked in ({"tags": "x"}, {"event": 7}, {"site": "aro"}, {"user": "me"}, {"priority": 1}, {"parent": ["up"]}):
        found = Work.withdraw(["q", "p"], **asked)
        assert found is not None
        assert found.run == 1
        name, value = next(iter(asked.items()))
        assert getattr(found, name) in (value, [value], *(value if isinstance(value, list) else ()))
    with pytest.raises(UsageError):
        Work.withdraw("")


def test_a_late_update_is_a_lost_run(here: Queue) -> None:
    Work("p").deposit()
    late = Work.withdraw("p")
    assert late is not None
    hand_back(here)
    again = Work.withdraw("p")
    assert again is not None
    late.results, late.status = {"a": 1}, "success"
    with pytest.raises(LostRunError, match="not this program's any more: it is running"):
        late.update()
    again.status = "success"
    again.update()
    with pytest.raises(LostRunError, match="it is success"):
        late.update()
    assert again.delete()
    with pytest.raises(LostRunError, match="no work"):
        again.update()
    with pytest.raises(LostRunError, match="no work"):
        again.refresh()
    assert not again.delete()


def test_who_edits_what_he_has_read_long_ago_is_told(here: Queue) -> None:
    work = Work("p")
    work.deposit()
    work.tags = ["edited"]
    assert work.update()
    assert Work.withdraw("p", tags=["edited"]) is not None
    work.tags = ["late"]
    with pytest.raises(LostRunError, match="has begun anew"):
        work.update()


def test_locked_results_are_told(here: Queue) -> None:
    Work("p").deposit()
    work = Work.withdraw("p")
    assert work is not None
    work.results, work.status = {"locked": True}, "success"
    work.update()
    work.tags = ["x"]
    with pytest.raises(LostRunError, match="are locked"):
        work.update()


def test_failure_retry_cancel_wait_and_logs(here: Queue) -> None:
    work = failed(Work("p", retries=1))
    assert work.status == "failure"
    assert work.error is not None
    assert work.retry()
    assert work.status == "queued"
    assert not work.retry()
    assert work.cancel()
    assert not work.cancel()
    assert work.status == "cancelled"
    assert work.wait(5).status == "cancelled"
    waiting = Work("p")
    waiting.deposit()
    assert waiting.wait(0.01).status == "queued"
    assert work.logs() == ""


def test_a_failure_with_attempts_left_waits_again(here: Queue) -> None:
    work = failed(Work("p", retries=3))
    assert (work.status, work.attempt) == ("queued", 1)
    with pytest.raises(LostRunError):
        work.update()
    again = Work.withdraw("p")
    assert again is not None
    assert again.attempt == 2


@pytest.mark.parametrize("method", ["update", "delete", "wait", "cancel", "retry", "refresh", "logs"])
def test_what_was_not_deposited_has_no_further_life(method: str) -> None:
    with pytest.raises(UsageError, match="not deposited"):
        getattr(Work("p"), method)()


def test_searching_page_by_page(here: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.work.work._PAGE", 4)
    for n in range(11):
        Work("p", tags=["even" if n % 2 == 0 else "odd"], parameters={"n": n}, priority=1 + n % 5).deposit()
    assert [work.parameters["n"] for work in Work.search(tag="even")] == [10, 8, 6, 4, 2, 0]
    assert [work.parameters["n"] for work in Work.search(pipeline="p", order="deposit", limit=5)] == [0, 1, 2, 3, 4]
    assert [work.parameters["n"] for work in Work.search(parameters={"n": 3})] == [3]
    assert [work.parameters["n"] for work in Work.search(priority=5, text="odd")] == [9]
    assert Work.count(tags=["odd", "even"]) == 11
    assert list(Work.search(limit=0)) == []
    with pytest.raises(QueueError):
        list(Work.search(order="colour"))


# -- where they lie -----------------------------------------------------------------------------------


def test_works_lie_where_it_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with at(tmp_path / "one.db"):
        Work("p").deposit()
        assert Work.count() == 1
        with at("sqlite:///two.db"):
            assert Work.count() == 0
    Work("p", where=tmp_path / "two.db").deposit()
    assert Work.count(where=tmp_path / "one.db") == 1
    assert Work.count(where=tmp_path / "two.db") == 1
    assert not (tmp_path / ".clx" / "jobs.db").exists()


def test_without_a_word_they_lie_in_the_project_s_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Work("p").deposit()
    assert (tmp_path / ".clx" / "jobs.db").exists()
    monkeypatch.setenv("CLX_WORK__URL", "sqlite:///other.db")
    assert Work.count() == 0
    assert (tmp_path / "other.db").exists()
    monkeypatch.setenv("CLX_WORK__URL", "no-url")
    with pytest.raises(UsageError, match="no URL"):
        Work.count()


def test_what_keeps_no_works_is_told() -> None:
    with pytest.raises(UsageError, match="keeps no works"):
        store(5)
    assert clx.Work is Work
    assert set(PAYLOAD) < set(FIELDS)


def test_a_withdrawal_may_wait(tmp_path: Path) -> None:
    with at(tmp_path / "jobs.db"):
        assert Work.withdraw("p", wait=0.01) is None
        Work("p").deposit()
        assert Work.withdraw("p", wait=60) is not None


def test_what_a_program_holds_when_it_ends_waits_again_at_once(tmp_path: Path) -> None:
    code = "from clx import Work\nWork('p').deposit(); Work.withdraw('p')\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with at(tmp_path / ".clx" / "jobs.db"):
        found = Work.withdraw("p")
        assert found is not None
        assert found.attempt == 1


def test_what_a_program_that_was_killed_held_goes_to_another_at_once(tmp_path: Path) -> None:
    code = (
        "import os\nfrom clx import Work\nWork('p', retries={}).deposit(); Work.withdraw('p')\nos.kill(os.getpid(), 9)"
    )
    for retries in (2, 1):
        command = [sys.executable, "-c", code.format(retries)]
        assert subprocess.run(command, cwd=tmp_path, env=os.environ, check=False).returncode == -signal.SIGKILL
        with at(tmp_path / ".clx" / "jobs.db") as works:
            found = Work.withdraw("p")
            assert (found and found.attempt) == (2 if retries == 2 else None)
            if found is not None:
                found.status = "success"
                found.update()
            assert works.status()["running"] == 0
    with at(tmp_path / ".clx" / "jobs.db"):
        (failed,) = Work.search(status="failure")
        assert failed.error["type"] == "WorkerKilled"


def test_how_far_it_is_and_why_it_failed_can_be_asked(here: Queue) -> None:
    work = Work("far", retries=1)
    work.deposit()
    held = Work.withdraw("far")
    assert held is not None
    held.progress = {"done": 0.5}
    held.update()
    assert work.refresh().progress == {"done": 0.5}
    assert [each.id for each in Work.search(progress__done=0.5)] == [work.id]
    held.error = {"type": "ValueError", "message": "no"}
    held.status = "failure"
    held.update()
    assert [each.id for each in Work.search(error__type="ValueError")] == [work.id]


@pytest.mark.parametrize("name", ["artefacts", "runs"])
def test_nobody_is_led_to_a_field_that_only_clx_sets(name: str) -> None:
    for body in (lambda: Work("p", **{name: 1}), lambda: setattr(Work("p"), name, 1)):
        with pytest.raises(UsageError) as told:
            body()
        assert told.value.next_step == "Leave it out: what it is near to is not said by hand."
