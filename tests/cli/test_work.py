"""``clx work``: works deposited, found, waited for, changed one by one and in bulk, and everything about one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.scene import until

from clx.cli.main import cli
from clx.cli.work_bulk import CANCEL
from clx.cli.work_display import overview
from clx.cli.work_filter import condition, moment
from clx.db.jobs import Queue
from clx.db.works.searching import Condition
from clx.errors import ClxError, UsageError
from clx.work.work import Work
from clx.workers.run_logs import live_log


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that commands run in."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORK_TAGS", "WORK_SITE", "WORK_GROUP", "WORK_PATH", "CLX_WORK__URL", "CLX_DATABASE__PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _run(*words: str, given: str | bytes = "") -> Result:
    return CliRunner().invoke(cli, ["work", *words], input=given)


def _clx(*words: str, given: str | bytes = "", code: int = 0) -> str:
    """What a command prints."""
    done = _run(*words, given=given)
    assert done.exit_code == code, f"{done.output}{done.exception}"
    return done.stdout


def _refused(*words: str, given: str | bytes = "") -> str:
    """What a command that is refused says."""
    done = _run(*words, given=given)
    assert isinstance(done.exception, ClxError), done.output
    return str(done.exception)


def _json(*words: str, given: str = "", code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_clx(*words, "--format", "json", given=given, code=code))
    return found


def _deposit(pipeline: str, *words: str) -> str:
    return _clx("deposit", "--pipeline", pipeline, *words).strip()


def _fail(pipeline: str, message: str = "no") -> Work:
    """A withdrawn work of a pipeline, after it has failed."""
    held = Work.withdraw(pipeline, where=Path(".clx/jobs.db"))
    assert held is not None
    held.error = {"type": "ValueError", "message": message, "traceback": "Traceback:\n  in add"}
    held.status = "failure"
    held.update()
    return held


# -- deposit, show ------------------------------------------------------------------------------------


def test_what_is_deposited_is_shown() -> None:
    said = ["--param", "a=1", "--param", "b=two", "--param-json", '{"c": [3]}', "--tag", "x", "--tag", "y"]
    said += ["--event", "5", "--group", "g", "--site", "aro", "--user", "ada", "--priority", "5", "--retries", "1"]
    said += ["--parent", "abc", "--path", "/data", "--command", "plot 'two words'", "--timeout", "60"]
    found = _json("show", _deposit("p", *said))
    assert found["parameters"] == {"a": 1, "b": "two", "c": [3]}
    assert (found["tags"], found["event"], found["group"]) == (["x", "y"], [5], ["g"])
    assert (found["site"], found["user"], found["priority"], found["retries"]) == ("aro", "ada", 5, 1)
    assert (found["parent"], found["path"], found["command"]) == ("abc", "/data", ["plot", "two words"])
    assert (found["status"], found["attempt"], found["runs"], found["timeout"]) == ("queued", 0, [], 60)
    told = _clx("show", found["id"])
    assert "Command: plot, two words" in told
    assert "by ada for site aro; priority 5, 1 min 00 s for each of 1 attempt." in told


@pytest.mark.parametrize(("wait", "code"), [("--wait=0.01", 124), ("--wait=-1", 2), ("--wait=soon", 2)])
def test_who_deposits_waits_no_longer_than_he_says(wait: str, code: int) -> None:
    assert CliRunner().invoke(cli, ["work", "deposit", "--pipeline", "q", wait]).exit_code == code


def test_how_its_attempts_went_is_shown() -> None:
    work_id = _deposit("p", "--retries", "1")
    _fail("p", "no\x1b[2J")
    told = _clx("show", work_id)
    assert "failure  1/1" in told
    assert "Error: ValueError: no\\x1b[2J\nTraceback:\n  in add" in told
    assert [run["outcome"] for run in _json("show", work_id)["runs"]] == ["failed"]


def test_a_work_that_is_not_there_is_told() -> None:
    for name in ("show", "logs", "wait", "cancel", "retry", "rm"):
        assert "There is no database at" in _refused(name, "x")
        assert "Deposit one first (clx work deposit)" in _refused(name, "x")
    _deposit("p")
    for name in ("show", "logs", "wait", "cancel", "retry", "rm"):
        assert "There is no work x.\n`clx work search` names those there are." in _refused(name, "x")


def test_two_places_are_one_too_many() -> None:
    assert "name two places" in _refused("search", "--url", "http://localhost:1", "--db-path", "x.db")


def test_an_address_without_its_scheme_is_no_file() -> None:
    assert "Write http://HOST:PORT." in _refused("search", "--url", "localhost:8004")
    assert not Path("localhost:8004").exists()


def test_works_of_a_file_go_in_with_what_options_say(here: Path) -> None:
    here.joinpath("w.yaml").write_text("- pipeline: a\n  parameters: {x: 1, d: 2026-11-30}\n- {pipeline: b, tag: t}\n")
    ids = _json("deposit", "--file", "w.yaml", "--param", "x=2", "--event", "7")["ids"]
    first, second = (_json("show", each) for each in ids)
    assert first["parameters"] == {"x": 2, "d": "2026-11-30"}
    assert (second["pipeline"], second["tags"], second["event"]) == ("b", ["t"], [7])


def test_what_was_found_goes_in_anew() -> None:
    work_id = _deposit("p", "--param", "a=1", "--retries", "1")
    _fail("p")
    found = _clx("search", "--format", "jsonl")
    assert "It was deposited before: it is failure" in _refused("deposit", "--file", "-", given=found)
    [again] = _json("deposit", "--file", "-", "--anew", given=found)["ids"]
    assert again != work_id
    shown = _json("show", again)
    assert (shown["status"], shown["attempt"], shown["parameters"]) == ("queued", 0, {"a": 1})
    assert shown.get("error") is None


def test_nothing_goes_in_where_one_is_wrong_and_each_is_named_by_its_place() -> None:
    given = '{"pipeline": "a"}\n\n{"pipeline": "b", "prioritty": 2}\n{"pipeline": "c", "priority": 9}\n{}\n'
    said = _refused("deposit", "--file", "-", given=given)
    assert said.startswith("3 problems in works; nothing was deposited\n")
    assert 'standard input:3: A work has no field prioritty. Did you mean "priority"?' in said
    assert "standard input:4: The priority of a work cannot be 9." in said
    assert "standard input:5: A work needs a pipeline." in said
    assert not Path(".clx").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "No pipeline was named."),
        ("--pipeline p --param a", "gives no value"),
        ("--pipeline p --param a=1 --param-json {\"a\":1}", "The parameter a is given twice."),
        ("--pipeline p --param-json [1]", "no JSON object"),
        ("--pipeline p --timeout 0", "The timeout of a work cannot be 0."),
        ("--pipeline p --command 'x", "No closing quotation"),
        ("--pipeline p --command c --function m.f", "either a function or a command"),
    ],
)  # fmt: skip
def test_what_makes_no_work_is_refused(words: str, told: str) -> None:
    assert told in _refused("deposit", *words.split(" ") if words else ())


# -- search -------------------------------------------------------------------------------------------


def test_every_field_has_an_option() -> None:
    ids = [_deposit("p", "--tag", f"t{n}", "--event", str(n), "--site", f"s{n}", "--user", f"u{n}", "--parent", f"q{n}",
                    "--group", f"g{n}", "--priority", str(n + 1)) for n in range(3)]  # fmt: skip
    for words in ("--tag t1", "--event 1", "--site s1", "--user u1", "--parent q1", "--group g1", "--priority 2"):
        assert [each["id"] for each in _json("search", *words.split())["works"]] == [ids[1]], words
    assert _json("search", "--id", ids[2], "--id", ids[0], "--order", "deposit")["works"][0]["id"] == ids[0]
    assert [_clx("search", *words.split(), "--count") for words in ("--tag t1 --tag t2", "--tag t1 --site s2")] == [
        "2\n", "0\n"
    ]  # fmt: skip


def test_products_results_and_errors_are_found() -> None:
    for n in range(2):
        _deposit("p", "--retries", "1")
        held = Work.withdraw("p", where=Path(".clx/jobs.db"))
        assert held is not None
        held.products, held.plots, held.results = [f"a{n}.h5"], [f"b{n}.png"], {"sum": n, "words": ["x"]}
        held.status = "success"
        held.update()
    for words in (["--product", "a1.h5"], ["--plot", "b1.png"], ["--where", "results.sum=1"],
                  ["--where", "results.sum>0"], ["--where", "results.sum in [1, 5]"]):  # fmt: skip
        assert [each["results"]["sum"] for each in _json("search", *words)["works"]] == [1], words
    assert _clx("search", "--where", "results.words=x", "--where", "status!=failure", "--count") == "2\n"


def test_a_search_goes_on_where_it_ended() -> None:
    ids = [_deposit("p", "--event", str(n)) for n in range(5)]
    page = _json("search", "--limit", "3")
    assert [each["id"] for each in page["works"]] == ids[:1:-1]
    rest = _json("search", "--limit", "3", "--after", page["after"])
    assert ([each["id"] for each in rest["works"]], rest["after"]) == (ids[1::-1], None)
    assert f"type the same with --after {page['after']}" in _clx("search", "--limit", "3")
    assert _json("search", "--limit", "5")["after"] is None


def test_a_table_is_one_line_for_each_work() -> None:
    work_id = _deposit("p", "--event", "5", "--tag", "n", "--param", "a=1", "--retries", "1")
    _fail("p", "went\nwrong")
    lines = _clx("search").splitlines()
    assert lines[0].split() == ["ID", "PIPELINE", "STATUS", "ATTEMPT", "TIME", "WHAT"]
    assert lines[1].startswith(f"{work_id}  p         failure  1/1")
    assert lines[1].endswith("5; n; a=1 → went\\nwrong")
    assert len(lines) == 2


def test_times_are_dates_or_ago() -> None:
    _deposit("p")
    counts = [_clx("search", name, "1h", "--count") for name in ("--since", "--until", "--ended-since")]
    assert counts == ["1\n", "0\n", "0\n"]
    assert moment("2026-11-30", is_end=True) - moment("2026-11-30", is_end=False) == 86400
    assert moment("2026-11-30T06:00+01:00", is_end=True) == 1796014800
    for wrong in ("", "soon", "2026-13-01", "1y", "9" * 30 + "d"):
        with pytest.raises(UsageError, match="is no time"):
            moment(wrong, is_end=False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("results.sum=3", ("results.sum", "=", 3)),
        ("results.sum = three", ("results.sum", "=", "three")),
        ("tag=3", ("tags", "=", "3")),
        ("site=5", ("site", "=", "5")),
        ('results.a="3"', ("results.a", "=", "3")),
        ("attempt>=2", ("attempt", ">=", 2)),
        ("a.b not in [1, 2]", ("a.b", "not in", [1, 2])),
        ("a.b in [1]", ("a.b", "in", [1])),
        ("results", ("results", "exists", True)),
        ("results.a!=null", ("results.a", "!=", None)),
        ("results.x=a=b", ("results.x", "=", "a=b")),
        ("results.x==3", ("results.x", "=", 3)),
    ],
)
def test_a_condition_is_read(text: str, found: tuple[str, Any, Any]) -> None:
    assert condition(text) == Condition(*found)


@pytest.mark.parametrize("text", ["", "=3", "a b", "a in 3", "<"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--where"):
        condition(text)


def test_a_field_that_none_has_is_noted() -> None:
    done = _run("search", "--where", "piplin=p")
    assert 'have no field piplin of their own. Did you mean "pipeline"?' in done.stderr


# -- wait, logs ---------------------------------------------------------------------------------------


def test_how_a_wait_ends_is_its_exit_code() -> None:
    ids = [_deposit(name, "--retries", "1") for name in ("good", "bad", "live")]
    good = Work.withdraw("good", where=Path(".clx/jobs.db"))
    assert good is not None
    good.status = "success"
    good.update()
    _fail("bad")
    assert [_run("wait", each, "--timeout", "0").exit_code for each in ids] == [0, 1, 124]
    assert _run("wait", *ids[:2]).exit_code == 1
    _clx("cancel", ids[2])
    assert _run("wait", ids[2]).exit_code == 1


def test_what_a_work_has_said_is_printed() -> None:
    work_id = _deposit("p", "--retries", "1")
    held = _fail("p")
    assert _run("logs", work_id).stderr == f"Work {work_id} has written nothing.\n"
    from clx.work.place import store

    store(Path(".clx/jobs.db")).note_run(work_id, 1, stdout="hello\x1b[2J\n")
    assert held.id == work_id
    assert _clx("logs", work_id) == "hello\\x1b[2J\n"
    assert _json("logs", work_id)["runs"] == [{"run": 1, "outcome": "failed", "output": "hello\x1b[2J\n"}]


def test_what_was_not_archived_is_shown() -> None:
    work_id = _deposit("p")
    held = Work.withdraw("p", where=Path(".clx/jobs.db"))
    assert held is not None
    refused = {"refused": [{"kind": "plots", "path": "no\x1b.png", "reason": "it is not there"}, "odd"]}
    document = {**held.payload, "status": "success", "artifacts": refused}
    with Queue.open(Path(".clx/jobs.db")) as queue:
        assert queue.works.update([document]) == [True]
    assert "Not archived: no\\x1b.png: it is not there\n" in _clx("show", work_id)


@pytest.mark.slow
def test_a_work_is_followed_to_its_end(tmp_path: Path) -> None:
    """What it has said so far, what it says then, nothing twice; the rest is `clx jobs logs -f`."""
    work_id = _deposit("p", "--retries", "1")
    held = Work.withdraw("p", where=Path(".clx/jobs.db"))
    assert held is not None
    with Queue.open(Path(".clx/jobs.db")) as queue:
        (job,) = queue.search(type="work:p")
        live = live_log(queue.database.state.path, job.id, job.run)
        live.parent.mkdir(parents=True, exist_ok=True)
        live.write_text("first\n")
        out = tmp_path / "out"
        with out.open("wb") as stream:
            command = [sys.executable, "-P", "-m", "clx", "work", "logs", work_id, "-f"]
            process = subprocess.Popen(command, stdout=stream, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        until(lambda: out.read_text() == "first\n")
        said = {"output": "first\nsecond\x1b\n"}
        assert queue.works.update([{**held.payload, "status": "success", "_said": said}]) == [True]
    assert process.wait(timeout=60) == 0
    assert out.read_text() == "first\nsecond\\x1b\n"
    assert _clx("logs", work_id, "-f") == "first\nsecond\\x1b\n"


# -- many ---------------------------------------------------------------------------------------------


def test_works_are_cancelled_retried_and_removed_by_what_they_are() -> None:
    ids = [_deposit(name) for name in ("a", "a", "b")]
    assert _json("cancel", "--pipeline", "a", "--yes") == {"cancelled": ids[1::-1], "left": []}
    assert _json("cancel", *ids[1:]) == {
        "cancelled": [ids[2]], "left": [{"id": ids[1], "reason": "was cancelled already"}]
    }  # fmt: skip
    assert _json("retry", "--all", "--limit", "2", "--yes")["queued"] == ids[:0:-1]
    assert _json("retry", *ids)["left"] == [{"id": each, "reason": "waits already"} for each in ids[1:]]
    assert _clx("rm", "--all", "--yes") == f"3 work(s) removed: {', '.join(ids[::-1])}.\n"
    assert _clx("search", "--count") == "0\n"


def test_nobody_is_asked_where_nobody_answers_and_a_dry_run_changes_nothing() -> None:
    work_id = _deposit("p")
    for name in ("cancel", "rm"):
        assert "1 work(s) would be" in _refused(name, "--pipeline", "p")
        assert _json(name, "--pipeline", "p", "--dry-run")["chosen"] == [work_id]
    assert _clx("search", "--status", "queued", "--count") == "1\n"
    assert "No work was named." in _refused("rm")
    assert "Give one of both." in _refused("rm", work_id, "--pipeline", "p")


def test_what_was_left_is_told_with_the_reason() -> None:
    done, live, locked = (_deposit(name, "--retries", "1") for name in ("done", "live", "locked"))
    for name, results in (("done", {}), ("locked", {"locked": True})):
        held = Work.withdraw(name, where=Path(".clx/jobs.db"))
        assert held is not None
        held.results, held.status = results, "success"
        held.update()
    held = Work.withdraw("live", where=Path(".clx/jobs.db"))
    assert f"Work {live} runs; who holds it is told to stop." in _clx("cancel", live)
    assert f"Work {done} succeeded: there is nothing to try again." in _clx("retry", done)
    assert f"Work {locked} is locked; unlock it first: clx results unlock." in _clx("rm", locked)
    assert CANCEL.left({"status": "odd"}) == "is as it was"


def test_what_others_wrote_is_shown_as_it_is() -> None:
    odd = {"id": "x", "status": "success", "attempt": 1, "start": "late", "results": [1, None], "tags": "t"}
    assert overview([odd]).splitlines()[1].split() == ["x", "None", "success", "1/–", "–", "t", "→", "[1,", "null]"]


@pytest.mark.slow
def test_the_whole_command_says_what_is_wrong(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clx", "work", "wait", "x", "--format", "json"],
        cwd=here, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)
