"""Rows that another program wrote, with CHECK switched off: whatever stands in whichever column, nobody stops.

For every column of every table: good work is done beside such rows, every command that looks or changes ends without a
traceback, and ``clx db check`` names the column.
"""

from __future__ import annotations

import json
import sqlite3
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner
from tests.support.clock import at
from tests.support.scene import ONLY_DECKS, Scene

from clx import Schedule
from clx.cli.main import cli
from clx.course.build_state import BuildState, FileStat, Owner, PublishedFile
from clx.db.batches import BatchTable
from clx.db.calls.models import Call, RoutineRow
from clx.db.check import check
from clx.db.clock import now_ms
from clx.db.consumer import Consumer
from clx.db.database import Database
from clx.db.identity import is_gone, process_identity
from clx.db.jobs import Failure, JobState, NewJob, Queue, Success
from clx.db.lake.table import LakeTable, VersionRow
from clx.db.mark_dead import mark_gone_workers_dead
from clx.db.odd_rows import tables
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.results import all_results
from clx.db.serving.models import ActionRow, NewModel, RequestRow
from clx.db.serving.table import ServingTable
from clx.db.workers import WorkerTable
from clx.db.works.withdrawing import Asked
from clx.errors import ClxError

DAY = 24 * 3600 * 1000
VALUES: list[Any] = [None, "abc", b"\xff\xfe", 1.5, -1, 2**62, "", "non-UTF-8"]
_NOT_UTF8 = "CAST(x'61ff62' AS TEXT)"
_COLUMNS = [f"{name}.{column}" for name, facts in tables().items() for column in facts.columns]
_BOUND_TO_WORDS = {
    *("jobs.state", "runs.outcome", "batches.state", "workers.state", "workers.mode", "tokens.role"),
    *("schedules.overlap", "schedules.catch_up", "fires.outcome"),
    *("serving_models.residence", "serving_models.state"),
}
_JSON = {"payload", "progress", "result", "error", "cause", "callback", "detail", "facts"}
_OWNER = Owner("/course.yaml", "/output")


def is_odd(column: str, value: Any) -> bool:
    """Whether `clx db check` must complain, said once more in plain words."""
    table, _, name = column.partition(".")
    facts = tables()[table].columns[name]
    if value is None:
        return facts.required
    if isinstance(value, bytes) or value == "non-UTF-8":
        return True
    if facts.is_number:
        is_moment = name == "at" or name.endswith("_at")
        return {-1: not name.endswith("_ns"), 2**62: is_moment or name == "pid"}.get(value, True)
    if name in _JSON:
        return value in ("abc", "") or name in {"payload", "error", "cause", "callback", "detail"}
    return column in _BOUND_TO_WORDS or (value == "" and name == "type")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with rows of every kind in every table, as many of each as there are odd values."""
    path = tmp_path_factory.mktemp("odd") / "jobs.db"
    with Queue.open(path) as queue:
        for n in range(len(VALUES)):
            _fill(queue, n)
    return path


def _fill(queue: Queue, n: int) -> None:
    table, state, now = WorkerTable(queue.database), BuildState(queue.database), now_ms()

    def worker(at_: int = now, **options: Any) -> int:
        told = {"type": "good", "pool": "", "mode": "direct", "host": "h", "pid": 1, "identity": "b/1/1/1"}
        return at(table, at_).register(**{**told, "version": "1", **options})

    mine, ended = worker(), worker(mode="docker", container_id="c", at_=now - DAY)
    worker(service="s", identity=f"{process_identity().rsplit('/', 2)[0]}/4194303/1")
    table.end(ended, "stopped")
    table.request_stop(worker(), "asked", grace=1)
    batch = BatchTable(queue.database).open("build", host="h", pid=1, identity="b/1/1/1", lease=DAY)
    queue.enqueue_many([NewJob("good", {"n": n}, key=f"key {n}"), NewJob("good", {"n": n})], batch=batch)
    queue.enqueue_batch([NewJob("good", {"n": n}, timeout=1000)], NewJob("after"))
    for job in queue.claim(["good"], 3, worker=mine):
        queue.heartbeat(job.id, job.run, progress={"done": 1})
    first, second, third = queue.search(state="running", worker=mine, limit=3)
    queue.settle([Success(first.id, first.run, {"outputs": []})], worker=mine)
    queue.fail(second.id, second.run, {"message": "no"}, stderr="words")
    queue.enqueue(NewJob("good", {"n": n}, needs=[third.id]))
    queue.enqueue(NewJob("good", {"n": n}, not_before=now + DAY))
    queue.enqueue(NewJob("good", {"n": n}, key=f"queued {n}"))
    queue.enqueue(NewJob("good", {"n": n}))
    state.published(_OWNER, [PublishedFile("/output/de", f"{n}.html", "//", "a.py", "t", "k", "d", 1, 1)])
    state.remember("/", {f"{n}.py": FileStat(1, 1, 1, 1, "d")}, {f"{n}.py": {"a": 1}})
    for statement in (
        "INSERT INTO results VALUES (?, 't', '{}', 1, 1)",
        "INSERT INTO limits (name, concurrency, rate, period) VALUES (?, 1, 1, 1)",
        "INSERT INTO paused VALUES (?, '', 1)",
        "INSERT INTO recent_keys VALUES (?, 't', '', 1, 1)",
        (
            "INSERT INTO tokens (name, role, digest, created_at) "
            "VALUES (?1, 'read', substr(?1 || printf('%064d', 0), 1, 64), 1)"
        ),
    ):
        queue.database.write("fill", partial(_enter, statement, f"r{n}"))
    _fill_routines(queue, n)
    _fill_works(queue, n)
    _fill_serving(queue, n)
    _fill_pipelines(queue, n)
    LakeTable(queue.database).publish(VersionRow(f"l{n}", "gold/a", "2026-11-27", 0, "[]", "[]", 1, flow=f"f{n}"))
    queue.schedules.add(Schedule(f"s{n}", "@daily", NewJob("good"), ends_at=now + 9 * DAY))
    queue.schedules.run(f"s{n}")


def _fill_routines(queue: Queue, n: int) -> None:
    """A workflow that runs, with a call and a value; a program that waits for it; a routine with a trigger."""
    queue.calls.enter(None, [Call(f"{n:064d}", 0, NewJob("workflow:search", {"arguments": {"n": n}}), cache=False)])
    (top,) = queue.claim(["workflow:search"], 1)
    called = NewJob("task:train:1.0.0", {"arguments": {"n": n}}, key=f"call {n}")
    queue.calls.enter((top.id, top.run), [Call("a" * 64, 0, called)])
    queue.calls.remember((top.id, top.run), "b" * 64, 0, "1")
    job = NewJob(f"task:r{n}:1.0.0")
    row = RoutineRow(job.type, "m", "0" * 16, "()", "words", job, "task:train:1.0.0", "success", "value")
    queue.calls.register([row])


def _fill_works(queue: Queue, n: int) -> None:
    """A work that was withdrawn and has ended."""
    queue.works.deposit([{"pipeline": "p", "site": "s", "user": "u", "tags": [f"t{n}"], "parameters": {"n": n}}])
    work = queue.works.withdraw(Asked(("p",)))
    assert work is not None
    queue.works.update([{**work, "status": "success", "results": {"n": n}}])


def _fill_serving(queue: Queue, n: int) -> None:
    """A model, and what a server of it left."""
    table = ServingTable(queue.database)
    table.add(NewModel(f"m{n}", callable="module:name"))
    table.set(f"s{n}", "value")
    served = table.begin("there")
    request = RequestRow(1, "", f"m{n}", "1", "success", 1, 1, 1, 1, 0, 1, 2)
    table.log(served, [request], [ActionRow(2, "infer", 0, f"m{n}", "1", "success", 1, 1, 1, 1, 1, 1, 1)])


def _fill_pipelines(queue: Queue, n: int) -> None:
    """A pipeline of which one step has ended and another waits, and one that was stopped."""
    steps = tuple(StepDefinition(name, stage, works=({"pipeline": "q"},)) for name, stage in (("a", 1), ("b", 2)))
    config = ConfigDefinition(f"c{n}", "name: c", (PipelineDefinition({"n": n}, steps),) * 2)
    _, stopped = queue.pipelines.deploy(config).pipelines
    queue.pipelines.stop([stopped])
    queue.pipelines.deploy(replace(config, cron="@daily", lives=2))
    work = queue.works.withdraw(Asked(("q",)))
    assert work is not None
    queue.works.update([{**work, "status": "success"}])


def _enter(statement: str, name: str, it: Any) -> None:
    it.execute(statement, (name,))


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "jobs.db"
    source, target = sqlite3.connect(template), sqlite3.connect(copied)
    source.backup(target)
    source.close()
    target.close()
    return copied


@pytest.fixture
def other(path: Path) -> Iterator[Any]:
    """The other program's connection."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    yield connection
    connection.close()


def _write(other: Any, column: str, value: Any, row: tuple[Any, ...]) -> bool:
    """Put *value* into one row; false where SQLite refuses it even so."""
    table, _, name = column.partition(".")
    said = _NOT_UTF8 if value == "non-UTF-8" else "?"
    where = " AND ".join(f'"{key}" = ?' for key in tables()[table].key)
    try:
        parameters = (*([] if value == "non-UTF-8" else [value]), *row)
        return bool(other.execute(f'UPDATE {table} SET "{name}" = {said} WHERE {where}', parameters).rowcount)
    except sqlite3.IntegrityError:  # NULL where none may be, an id twice
        return False


def _rows(other: Any, table: str) -> list[tuple[Any, ...]]:
    keys = ", ".join(f'"{key}"' for key in tables()[table].key)
    found: list[tuple[Any, ...]] = other.execute(f"SELECT {keys} FROM {table} ORDER BY {keys}").fetchall()
    return found


def _spoil(other: Any, column: str, values: list[Any]) -> None:
    """One value after the other goes into the rows of a column: each into rows of every kind."""
    rows = _rows(other, column.partition(".")[0])
    kinds = max(1, len(rows) // len(VALUES))
    for index, row in enumerate(rows):
        _write(other, column, values[index // kinds % len(values)], row)


@pytest.mark.parametrize("column", _COLUMNS)
def test_check_names_every_odd_value(path: Path, other: Any, column: str) -> None:
    """One at a time; without any it says ok."""
    table, _, name = column.partition(".")
    row = _rows(other, table)[0]
    before = other.execute(f'SELECT "{name}" FROM {table} ORDER BY {", ".join(tables()[table].key)}').fetchone()[0]
    with Database.open(path) as database:
        assert check(database) == []
        for value in VALUES:
            if not _write(other, column, value, row):
                continue
            problems = [each for each in check(database) if f"{column}:" in each or f"breaks {table}:" in each]
            assert problems or not is_odd(column, value), (value, check(database))
            changed = tuple(value if key == name else part for key, part in zip(tables()[table].key, row, strict=True))
            if name in tables()[table].key and value == "non-UTF-8":
                other.execute(f'UPDATE {table} SET "{name}" = ? WHERE "{name}" = {_NOT_UTF8}', (before,))
            else:
                assert _write(other, column, before, changed if value != "non-UTF-8" else row)
        assert check(database) == []


@pytest.mark.parametrize("column", _COLUMNS)
def test_good_work_is_done_beside_odd_rows(path: Path, other: Any, column: str) -> None:
    nobody_stops(path, other, column, VALUES)


def nobody_stops(path: Path, other: Any, column: str, values: list[Any]) -> None:
    """A consumer does what is good, sweeps go on, and every command ends as it should."""
    _spoil(other, column, values)
    with Queue.open(path) as queue:
        good = [queue.enqueue(NewJob(type_, priority=1)) for type_ in ("good", "of another type")]
        for handlers in ({"good": len_of}, {"good": len_of, "of another type": len_of}):
            Consumer(queue, handlers).run(until_idle=True)
        assert [job.state for job in queue.get_many(good)] == ["succeeded"] * 2
        _ask_everything(queue, good)
        mark_gone_workers_dead(queue.database)
        at(queue, now_ms() + DAY).rescue()
        queue.rescue()
        at(BatchTable(queue.database), now_ms() + 2 * DAY).sweep(is_gone)
        other.execute("UPDATE workers SET identity = 'b/1/1/2' WHERE identity = ?", (process_identity(),))
    _type_everything(path, other)


def len_of(job: Any) -> int:
    return len(str(job.payload))


def _ask_everything(queue: Queue, good: list[int]) -> None:
    queue.stats()
    queue.wait(good, timeout=5)
    for job in queue.search(limit=1000):
        assert queue.get(job.id) is not None
        for run in queue.runs(job.id):
            assert isinstance(run["ended_at"] - run["started_at"], int)
        queue.needs(job.id)
    queue.results(["key 0", "key 3", "r1"], type="t")
    for state in get_args(JobState):
        queue.search(state=state)
    state = BuildState(queue.database)
    for look in (lambda: state.outputs(_OWNER), lambda: state.files("/"), lambda: state.sources("/")):
        assert all(isinstance(name, str) for name in look())
    all_results(queue.database)
    again = queue.enqueue(NewJob("good"))
    claimed = queue.claim(["good"], 5)
    assert again in [job.id for job in claimed]
    queue.settle([Failure(job.id, job.run, {"message": "no"}) for job in claimed], worker=claimed[0].worker_id)


def _type_everything(path: Path, other: Any) -> None:
    ids = [row[0] for row in other.execute("SELECT id FROM jobs WHERE id > 0 ORDER BY id")]
    workers = [row[0] for row in other.execute("SELECT id FROM workers WHERE id > 0 ORDER BY id")]
    runs = [row[0] for row in other.execute("SELECT id FROM jobs WHERE type = 'workflow:search' ORDER BY id")]
    for words in (
        *(f"{look}{how}" for look in ("status", "jobs list", "workers list --all") for how in ("", " --format json")),
        *(f"jobs show {id_}{how}" for id_ in ids[:: max(1, len(ids) // 20)] for how in ("", " --format json")),
        *(f"workers logs {id_}" for id_ in workers[::5]),
        "doctor --db",
        "db check",
        *(f"schedules {look}{how}" for look in ("list", "show s0", "show s3") for how in ("", " --format json")),
        *(f"limits list{how}" for how in ("", " --format json")),
        *(f"routines {look}{how}" for look in ("list", "show search", "show train") for how in ("", " --format json")),
        *(f"routines {look} {id_}" for look in ("show", "graph") for id_ in runs[:3]),
        *(f"models {look}{how}" for look in ("list", "show m0", "show m3") for how in ("", " --format json")),
        "workers cleanup --dry-run",
        "workers cleanup",
        "db prune",
        "jobs retry --failed",
        "jobs cancel --queued",
        "db prune --days 0",
        "stop-services --timeout 0",
        "status",
    ):
        done = CliRunner().invoke(cli, [*words.split(), "--db-path", str(path)], color=False)
        error = done.exception
        if error is not None and not isinstance(error, ClxError | SystemExit | click.ClickException):
            pytest.fail(f"clx {words}\n{''.join(traceback.format_exception(error))}")


@pytest.mark.parametrize("column", [each for each in _COLUMNS if each.startswith(("jobs.", "workers."))])
def test_a_queue_closes_with_odd_rows_of_its_own(path: Path, other: Any, column: str) -> None:
    """What it holds, and the worker that it is."""
    for value in VALUES:
        queue = Queue.open(path)
        queue.enqueue(NewJob("mine"))
        (job,) = queue.claim(["mine"])
        _write(other, column, value, (job.id if column.startswith("jobs.") else job.worker_id,))
        queue.close()


def test_odd_rows_are_shown_as_they_stand(path: Path, other: Any) -> None:
    """In tables and documents; where a number is wanted, NULL or the default stands in its place."""
    with Queue.open(path) as queue:
        job_id = queue.enqueue(NewJob("t", max_runs=5))
        other.execute("UPDATE jobs SET created_at = 'noon', max_runs = x'00ff', timeout = 1.5 WHERE id = ?", (job_id,))
        other.execute("UPDATE workers SET started_at = 'dawn', host = x'41' WHERE id = 1")
        job = queue.get(job_id)
        assert job is not None
        assert (job.created_at, job.max_runs, job.timeout) == (0, 3, None)
        assert job.odd == (
            "max_runs is no whole number: x'00ff'",
            "timeout is no whole number: 1.5",
            'created_at is no whole number: "noon"',
        )
        worker = WorkerTable(queue.database).get(1)
        assert worker is not None
        assert (worker.started_at, worker.host) == (0, "x'41'")
    told = CliRunner().invoke(cli, ["jobs", "show", str(job_id), "--db-path", str(path)]).output
    assert "Another program wrote its row: max_runs is no whole number: x'00ff'." in told
    document = CliRunner().invoke(cli, ["jobs", "list", "--format", "json", "--db-path", str(path)]).output
    assert json.loads(document)["jobs"][0]["odd"] == list(job.odd)
    assert (
        "started_at is no whole number" in CliRunner().invoke(cli, ["workers", "list", "--db-path", str(path)]).output
    )


def test_services_start_and_stop_beside_odd_rows(scene: Scene) -> None:
    scene.state.mkdir()
    with scene.open() as database:
        queue = Queue(database)
        for n in range(len(VALUES)):
            _fill(queue, n)
    connection = sqlite3.connect(scene.database, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for column in _COLUMNS:
        table, _, name = column.partition(".")
        if table in {"workers", "batches", "worker_events", "jobs"} and name != "id":
            _spoil(connection, column, ["abc", b"\xff", -1, 1.5])
    connection.close()
    scene.clx("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    assert '"notebook"' in scene.clx("workers", "list", "--format", "json").stdout
    assert "1 worker(s) stopped" in scene.clx("stop-services").stdout
