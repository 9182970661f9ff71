"""Works that others wrote, with whatever in them: commands show all of it as text, and a line stays a line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from clx.cli.main import cli
from clx.cli.work_display import overview, told
from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\x9b31m\x07\r\n\u202e\u2028\x00\x1b]0;title\x07 {{7*7}} \x7f"
STORABLE = HOSTILE.replace("\x00", "")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def work_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A work with such a text wherever one can stand, which has failed once and been given up once."""
    monkeypatch.chdir(tmp_path)
    texts = ("pipeline", "user", "site", "parent", "path", "function", "group", "id")
    lists = ("tags", "products", "plots", "command", "precursors")
    document = {
        **dict.fromkeys(texts, STORABLE), **{name: [STORABLE] for name in lists}, "event": [5], "retries": 5,
        "parameters": {HOSTILE: [HOSTILE, {HOSTILE: None}]}, "config": {HOSTILE: HOSTILE}, "notify": {"slack": HOSTILE},
        HOSTILE: HOSTILE,
    }  # fmt: skip
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        works = queue.works
        assert works.deposit([document]) == [STORABLE]
        held = works.withdraw(Asked((STORABLE,)))
        assert held is not None
        error = {"type": HOSTILE, "message": HOSTILE, "traceback": HOSTILE, HOSTILE: 1}
        works.update([{**held, "status": "failure", "results": {HOSTILE: HOSTILE}, "error": error}])
        works.note_run(STORABLE, 1, stdout=HOSTILE)
        held = works.withdraw(Asked((STORABLE,)))
        assert held is not None
        works.update([{**held, "progress": HOSTILE}])
    return STORABLE


def _said(*words: str) -> str:
    done = CliRunner().invoke(cli, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return str(done.output)


@pytest.mark.parametrize(
    "words",
    [
        "work search", "work search --count", "work search --format json", "work search --format jsonl",
        "work cancel --all --dry-run", "work cancel --all --yes", "work rm --all --yes", "work retry --all --yes",
        "buckets list", "buckets show", "results list", "results show", "buckets list --format json",
        "work show ID", "work show ID --format json", "work logs ID", "work logs ID --format json",
        "work wait ID --timeout 0", "work cancel ID", "results lock ID", "work retry ID",
    ],
)  # fmt: skip
def test_nothing_of_it_commands_a_terminal(work_id: str, words: str) -> None:
    said = _said(*(work_id if word == "ID" else word for word in words.split()))
    assert said
    assert CONTROLS.search(said) is None
    assert "\ud800" not in said


def test_each_is_one_line_of_a_table(work_id: str) -> None:
    for words in (("work", "search"), ("buckets", "list"), ("work", "cancel", "--all", "--dry-run")):
        lines = _said(*words).splitlines()
        assert len(lines) == (1 if "--dry-run" in words else 2), words


def test_only_its_traceback_and_what_it_said_have_several_lines(work_id: str) -> None:
    shown = _said("work", "show", work_id)
    starts = [line for line in shown.splitlines() if line.startswith("<img")]
    assert len(starts) == 2, "the line of the table, and the traceback; all else is named"
    assert json.loads(_said("work", "show", work_id, "--format", "json"))["parameters"] == {
        HOSTILE: [HOSTILE, {HOSTILE: None}]
    }


@pytest.mark.parametrize("odd", [None, 5, "text", [1, [2]], {"a": {"b": []}}, True, 1e308, "x" * 100_000])
def test_a_field_may_be_anything(odd: object) -> None:
    names = ("pipeline", "parameters", "results", "event", "tags", "group", "products", "plots", "user", "site",
             "error", "creation", "start", "stop", "timeout", "retries", "command", "config", "archive",
             "progress")  # fmt: skip
    for name in names:
        work = {"id": "x", "status": "failure", "attempt": 1, name: odd}
        assert len(overview([work]).splitlines()) == 2
        assert max(map(len, overview([work]).splitlines())) < 1000 or name == "pipeline"
        assert list(told(work, [])), name


@pytest.mark.parametrize(
    "words",
    [
        ["deposit", "--pipeline", "a\x1b[2J"],
        ["deposit", "--pipeline", "p", "--param", "\x1b[2J"],
        ["deposit", "--pipeline", "p", "--param-json", '{"a": "\x1b[2J"'],
        ["deposit", "--file", "\x1b[2J"],
        ["deposit", "--pipeline", "p", "--command", '"\x1b[2J'],
        ["search", "--where", "=\x1b[2J"],
        ["search", "--since", "\x1b[2J"],
        ["search", "--after", "\x1b[2J"],
        ["search", "--where", "\x1b[2J=1"],
        ["show", "\x1b[2J"],
        ["workspace", "--url", "\x1b[2J"],
    ],
)
def test_what_is_refused_is_quoted_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with Queue.open(tmp_path / ".clx" / "jobs.db"):
        done = CliRunner().invoke(cli, ["work", *words])
    assert CONTROLS.search(done.output) is None
    assert done.exception is None or CONTROLS.search(str(done.exception)) is None, str(done.exception)
