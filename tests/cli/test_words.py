"""Tables, times, documents, units and option values, as commands print and read them."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from clx.cli.completing import _items
from clx.cli.main import _command_of, cli, wants_events, wants_json
from clx.cli.options import IDENTIFIER, SECONDS, _VisibleFormatter
from clx.cli.output import duration, job_words, member_document, table, worker_document
from clx.cli.status import _text
from clx.cli.systemd import systemd_unit
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerRow, WorkerTable, register_this_process
from clx.errors import UsageError
from clx.workers.supervision.status import WorkerStatus

# -- rows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10.9, "10 s"),
        (59.9, "59 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
    ],
)
def test_a_time_is_as_exact_as_a_person_wants_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_columns_are_aligned_and_cells_are_one_line() -> None:
    rows = [("1", "long name", "a"), ("200", "x\n\x1b[2J", "a long last one")]
    assert table(("ID", "NAME", "WHAT"), rows).splitlines() == [
        "ID   NAME        WHAT",
        "1    long name   a",
        "200  x\\n\\x1b[2J  a long last one",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(("ID", "NAME"), []) == "ID  NAME"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"source": "a.py", "task": "execute", "lang": "de"}, "a.py execute de"),
        ({"source": "a.pu", "format": "png"}, "a.pu"),
        ({"deck": "a.py"}, "a.py"),
        ({"source": None, "task": "", "lang": 3}, "3"),
        ({}, ""),
        ("x" * 70, "x" * 60 + "…"),
        ([1, 2], "[1, 2]"),
        (None, "None"),
    ],
)
def test_a_job_is_told_in_few_words_whoever_put_it_in(payload: object, words: str) -> None:
    assert job_words(payload) == words


@pytest.fixture
def row() -> WorkerRow:
    with Queue.open("memory:") as queue:
        found = WorkerTable(queue.database).get(register_this_process(queue.database, "t", "p"))
    assert found is not None
    return found


def test_the_document_of_a_worker_has_times_in_seconds(row: WorkerRow) -> None:
    document = worker_document(row)
    assert (document["type"], document["pool"], document["mode"], document["batch"]) == ("t", "p", "direct", None)
    assert document["started_at"] == row.started_at / 1000
    assert document["heartbeat_at"] == row.heartbeat_at / 1000


def test_the_document_of_a_worker_as_it_is_now_names_its_job(row: WorkerRow) -> None:
    with Queue.open("memory:") as queue:
        queue.enqueue(NewJob("t", {"source": "a.py", "task": "execute"}))
        [job] = queue.claim(["t"])
    busy = member_document(WorkerStatus(row, "busy", "", job, 1.23456, 1 << 20))
    assert (busy["status"], busy["uptime"], busy["memory"]) == ("busy", 1.235, 1 << 20)
    assert busy["current_job"] == {"id": job.id, "type": "t", "what": "a.py execute"}
    assert member_document(WorkerStatus(row, "idle", "", None, 1.0, None))["current_job"] is None


# -- status -----------------------------------------------------------------------------------------

QUEUE: dict[str, Any] = {
    "queued": 1, "delayed": 2, "running": 4, "succeeded": 8, "failed": 16, "mean_seconds": 1.256, "seconds_left": 61.0,
}  # fmt: skip
STATUS: dict[str, Any] = {
    "state": "busy",
    "database": "/x/jobs.db",
    "queue": {"notebook": QUEUE, "drawio": {**QUEUE, "mean_seconds": None, "seconds_left": None}},
    "workers": {"notebook": {"idle": 3, "busy": 5, "hung": 6, "dead": 7}},
    "services": {"supervisor": None, "wanted": {}},
    "services_elsewhere": [],
    "batches": [],
    "paused": [],
    "limits": [],
    "warnings": [],
}


def test_status_is_a_row_for_each_type_and_where_it_comes_from() -> None:
    head, notebook, drawio, blank, where = _text(STATUS).splitlines()
    assert " ".join(head.split()) == "TYPE IDLE BUSY HUNG DEAD QUEUED RUNNING DONE FAILED MEAN LEFT"
    assert " ".join(notebook.split()) == "notebook 3 5 6 7 3 4 8 16 1.26 s 1 min 01 s"
    assert " ".join(drawio.split()) == "drawio 0 0 0 0 3 4 8 16 – –"
    assert (blank, where) == ("", "Busy. Database: /x/jobs.db")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"services": {"supervisor": 7, "wanted": {"notebook": 2, "drawio": 1}}},
            "Services: supervisor 7; wanted: 2 notebook, 1 drawio",
        ),
        (
            {"batches": [{"id": 3, "name": "b", "pid": 9, "state": "live", "jobs": {"queued": 2, "failed": 1}}]},
            "Batch 3 (b, pid 9): 1 failed, 2 queued",
        ),
        ({"batches": [{"id": 3, "name": "", "pid": 0, "state": "live", "jobs": {}}]}, "Batch 3: no jobs yet"),
        (
            {"batches": [{"id": 3, "name": "b", "pid": 9, "state": "abandoned", "reason": "gone", "jobs": {}}]},
            "Batch 3 (b, pid 9): abandoned, gone; no jobs yet",
        ),
        (
            {"paused": [{"type": "mail", "pool": "eu", "seconds": 90}]},
            "Paused for 1 min 30 s: mail (pool eu). Type: clx jobs resume mail --pool eu --db-path /x/jobs.db",
        ),
        ({"limits": [{"name": "api", "running": 1, "held": 2}]}, "Limit api: 1 run, 2 are held back"),
        ({"warnings": ["look\x1b[2J"]}, "Warning: look\\x1b[2J"),
        (
            {"services_elsewhere": ["/a b/jobs.db"]},
            "Services also run on another database: clx status --db-path '/a b/jobs.db'",
        ),
    ],
)
def test_status_says_more_where_there_is_more(changes: dict[str, Any], line: str) -> None:
    assert _text(STATUS | changes).splitlines()[-1] == line


# -- units ------------------------------------------------------------------------------------------


def test_a_unit_runs_the_supervisor_of_the_database_with_the_options() -> None:
    unit = systemd_unit(Path("/srv/jobs.db"), ["--notebook-workers", "2"], Path("/srv/course"))
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith("start-services --foreground --db-path /srv/jobs.db --notebook-workers 2")
    assert "\nWorkingDirectory=-/srv/course\n" in unit
    assert "stop-services --db-path /srv/jobs.db --timeout 30\n" in unit


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/a b/jobs.db", '"/a b/jobs.db"'),
        ("/100%/jobs.db", "/100%%/jobs.db"),
        ("/$HOME/jobs.db", "/$$HOME/jobs.db"),
        ('/say "x"/jobs.db', '"/say \\"x\\"/jobs.db"'),
        ("/back\\slash/x.db", '"/back\\\\slash/x.db"'),
        ("/ü/jobs.db", '"/ü/jobs.db"'),
    ],
)
def test_words_of_a_unit_mean_themselves(path: str, word: str) -> None:
    unit = systemd_unit(Path(path), [], Path("/srv"))
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(f" --db-path {word}")


@pytest.mark.parametrize("path", ["/a\nb", "/a\\", "/a\x1b"])
def test_a_path_that_no_unit_can_hold_is_refused(path: str) -> None:
    for database, directory in ((path, "/srv"), ("/srv/jobs.db", path)):
        with pytest.raises(UsageError, match="cannot be written in a systemd unit"):
            systemd_unit(Path(database), [], Path(directory))


def test_without_a_program_beside_it_the_interpreter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert "ExecStart=/nowhere/python3 -P -m clx start-services" in systemd_unit(Path("/x.db"), [], Path("/srv"))


# -- values and words -------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "found"), [("0", 0.0), ("1.5", 1.5), ("86400", 86400.0)])
def test_seconds_are_up_to_a_day(value: str, found: float) -> None:
    assert SECONDS.convert(value, None, None) == found


@pytest.mark.parametrize("value", ["nan", "-1", "86401", "inf", "soon", ""])
def test_what_is_no_such_time_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter):
        SECONDS.convert(value, None, None)


@pytest.mark.parametrize(("value", "is_one"), [("1", True), (str(2**63 - 1), True), ("0", False), ("-1", False)])
def test_rows_are_numbered_from_one(value: str, is_one: bool) -> None:
    if is_one:
        assert IDENTIFIER.convert(value, None, None) == int(value)
        return
    with pytest.raises(click.BadParameter, match="is not the number of anything"):
        IDENTIFIER.convert(value, None, None)


def test_a_number_too_large_for_a_row_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        IDENTIFIER.convert(str(2**63), None, None)


def test_log_lines_on_a_terminal_are_harmless() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\x1b[2J", None, None)
    assert _VisibleFormatter("%(levelname)s %(message)s").format(record) == "INFO a\\x1b[2J"


@pytest.mark.parametrize(
    ("line", "command", "json", "events"),
    [
        ("status --format json", "status", True, False),
        ("-v jobs list --format=json", "jobs", True, False),
        ("status --format table", "status", False, False),
        ("status -- --format json", "status", False, False),
        ("status json --format", "status", False, False),
        ("build c.yaml --format json", "build", False, False),
        ("build c.yaml --progress json", "build", False, True),
        ("build c.yaml --progress=json -q", "build", False, False),
        ("build c.yaml --quiet --progress=json", "build", False, False),
        ("status --progress json", "status", False, False),
        ("", "", False, False),
    ],
)
def test_a_program_that_asked_for_json_is_known_from_any_command_line(
    line: str, command: str, json: bool, events: bool
) -> None:
    words = line.split()
    assert (_command_of(words), wants_json(words), wants_events(words)) == (command, json, events)


@pytest.mark.parametrize("word", ["a b", "$(x)", "`x`", "a;b", "a\nb", "'a'", "", "ü|"])
def test_only_words_without_a_meaning_to_a_shell_are_offered(word: str) -> None:
    assert _items([(word, "")], "") == []


def test_what_begins_alike_is_offered_with_a_short_help() -> None:
    found = [(12, "one\n  two\x1b"), ("120", "x" * 99), (3, ""), ("1.a:b/c@d%+-", "")]
    items = _items(found, "1", without=[120])
    assert [(item.value, item.help) for item in items] == [("12", "one two"), ("1.a:b/c@d%+-", None)]
    assert len(str(_items(found, "120")[0].help)) == 60


def test_commands_that_may_stay_look_for_garbage_again() -> None:
    """While the command line is loaded nobody does."""
    gc.disable()
    try:
        assert cli.get_command(click.Context(cli), "build") is not None
        assert not gc.isenabled()
        assert cli.get_command(click.Context(cli), "help") is not None
        assert gc.isenabled()
    finally:
        gc.enable()
