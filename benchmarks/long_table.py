"""A table of many works of every kind, in a file that is kept or in a PostgreSQL that is thrown away.

Forty pipelines, fifty users, three sites; a few works of a pipeline, a user, a site long ago; 2 of 100 have failed, 1
of 100 was cancelled, the newest 2 of 100 wait; a tenth are works of pipelines, one of which has ten thousand.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.queues import postgres
from clx.db.jobs import Queue

LARGE = 10_000
"""Works of the largest pipeline, which is called ``large``."""
_OF_ONE = 100
"""Works of each other pipeline."""
_SLICE = 50_000
_YEAR = 365 * 24 * 3600 * 1000
_WORDS = (
    "chime", "outrigger", "baseband", "beamformed", "candidate", "triggered", "header", "localised", "pulsar", "burst",
    "spectrum", "waterfall",
)  # fmt: skip
_COLUMNS = {
    "jobs": (
        "id", "type", "state", "payload", "run", "max_runs", "ready", "timeout", "lease", "worker_id", "result",
        "error", "created_at", "started_at", "finished_at",
    ),
    "works": (
        "job_id", "id", "pipeline", "site", "owner", "creation", "start", "stop", "attempt", "retries", "status",
        "in_bucket", "in_results", "document", "step_id",
    ),
    "work_labels": ("job_id", "kind", "value"),
    "runs": ("job_id", "run", "worker_id", "started_at", "ended_at", "outcome", "error"),
    "pipeline_configs": ("id", "name", "version", "owner", "yaml", "definition", "created_at"),
    "pipelines": ("id", "config_id", "matrix", "status", "stage", "created_at", "ended_at"),
    "pipeline_steps": (
        "id", "pipeline_id", "position", "name", "stage", "status", "works", "definition", "started_at", "ended_at",
    ),
}  # fmt: skip
_STATES = {"success": "succeeded", "failure": "failed"}
_ERROR = '{"type":"ValueError","message":"no burst above the threshold"}'


class _Of(NamedTuple):
    """The pipeline that a work is of: its id, that of the step, that of the config."""

    pipeline: str
    step: int


@contextmanager
def filled_file(folder: Path, works: int) -> Iterator[Path]:
    """A file with so many works, made on first use."""
    path = folder / f"page-{works}.db"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as made:
            Queue.open(Path(made) / "jobs.db").close()
            _fill_file(Path(made) / "jobs.db", works)
            (Path(made) / "jobs.db").replace(path)
    yield path


def _fill_file(path: Path, works: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    for table, rows in _tables(works):
        marks = ",".join("?" for _ in _COLUMNS[table])
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {table} ({', '.join(_COLUMNS[table])}) VALUES ({marks})", rows)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@contextmanager
def filled_server(works: int) -> Iterator[str]:
    """The URL of a database with so many works."""
    import psycopg

    with postgres.server() as server:
        if server is None:
            raise SystemExit(f"PostgreSQL is not installed: {postgres.INSTALL}")
        url = server.database()
        Queue.open(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            (schema,) = connection.execute(
                "SELECT schemaname FROM pg_tables WHERE tablename = 'work_labels'"
            ).fetchone() or ("public",)
            connection.execute(f"SET search_path = {schema}")
            connection.execute("SET synchronous_commit = off")
            for table, rows in _tables(works):
                columns = ", ".join(_COLUMNS[table])
                with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            for table, column in (("jobs", "id"), ("pipeline_steps", "id")):
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
                )
            connection.execute("ANALYZE")
        yield url


def _tables(works: int) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """The rows of each table, some at a time, in an order that foreign keys allow."""
    begins = int(time.time() * 1000) - _YEAR
    yield from _pipelines(works, begins)
    numbers = iter(range(1, works + 1))
    while slice_ := list(islice(numbers, _SLICE)):
        found: dict[str, list[Sequence[Any]]] = {name: [] for name in ("jobs", "works", "work_labels", "runs")}
        for number in slice_:
            _work(number, works, begins + number * (_YEAR // works), found)
        yield from found.items()


def _large(works: int) -> int:
    return min(LARGE, works // 20)


def _pipelines(works: int, begins: int) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    count = works // 10 // _OF_ONE
    definition = json.dumps({"name": "found", "stage": 1, "matrix": {"beam": {"range": [1, _OF_ONE]}}, "work": {}})
    large = json.dumps({"name": "found", "stage": 1, "matrix": {"beam": {"range": [1, _large(works)]}}, "work": {}})
    configs = [(_config(n), "survey" if n % 2 else "nightly", "2", "ada", "", "{}", begins) for n in range(count)]
    yield "pipeline_configs", [*configs, ("large", "large", "2", "ada", "", "{}", begins)]
    statuses = [_pipeline_status(n, count) for n in range(count)]
    rows = [
        (
            _config(n).replace("c", "a"),
            _config(n),
            "{}",
            status,
            1,
            begins + n,
            None if status == "running" else begins + n + 9,
        )
        for n, status in enumerate(statuses)
    ]
    yield "pipelines", [*rows, ("large", "large", "{}", "success", 1, begins, begins + 9)]
    steps = [
        (n + 2, _config(n).replace("c", "a"), 0, "found", 1, status, _OF_ONE, definition, begins + n,
         None if status == "running" else begins + n + 9)
        for n, status in enumerate(statuses)
    ]  # fmt: skip
    yield "pipeline_steps", [*steps, (1, "large", 0, "found", 1, "success", _large(works), large, begins, begins + 9)]


def _config(number: int) -> str:
    return f"c{number:023d}"


def _pipeline_status(number: int, count: int) -> str:
    if number == 3:
        return "cancelled"
    return "running" if number >= count - 5 else "failure" if number < 10 else "success"


def _status(number: int, works: int) -> str:
    if number > works * 0.98:
        return "queued"
    return "failure" if number % 50 == 7 else "cancelled" if number % 100 == 3 and number < works // 2 else "success"


def _of(number: int, works: int) -> _Of | None:
    """What a work is of: the first ones of the largest, one of ten of another."""
    if number <= _large(works):
        return _Of("large", 1)
    if number % 10:
        return None
    which = number // 10 // _OF_ONE
    return _Of(_config(which).replace("c", "a"), which + 2) if which < works // 10 // _OF_ONE else None


def _work(number: int, works: int, at: int, found: dict[str, list[Sequence[Any]]]) -> None:
    """One work into the rows of each table."""
    is_old = 100 < number <= 140
    status, of, id_ = _status(number, works), _of(number, works), f"{at // 1000:08x}{number:016x}"
    pipeline, user = ("rare", "eve") if is_old else (f"p{number % 40}", f"u{number % 50}")
    site = "gbo" if is_old else ("local", "kko", "chime")[number % 3]
    labels: dict[str, list[str]] = {
        "tag": [f"t{number % 1000}", *(["night"] if number % 2 else [])], "group": [f"g{number % 5}"],
        "event": [str(number % (works // 10))], "parent": [of.pipeline] if of else [],
    }  # fmt: skip
    has_ended = status != "queued"
    document = {
        "pipeline": pipeline, "parameters": {"dm": number % 700 / 7, "beam": number % 1024, "note": _note(number)},
        "results": {"snr": number % 90 / 3, "best": [number % 9, number % 7]} if status == "success" else None,
        "path": ".", "event": [number % (works // 10)], "tags": labels["tag"], "group": labels["group"][0],
        "timeout": 3600, "retries": 2, "priority": 3, "products": None, "plots": None, "site": site, "user": user,
        "archive": True, "precursors": None, "config": None, "id": id_, "creation": at / 1000,
        "start": at / 1000 + 5 if has_ended else None, "stop": None, "attempt": int(has_ended), "status": status,
        "function": None, "command": None, "notify": None, "parent": of.pipeline if of else None, "artifacts": None,
    }  # fmt: skip
    begun, ended = (at + 5000, at + 9000) if has_ended else (None, None)
    state = _STATES.get(status, status)
    error = _ERROR if status == "failure" else None
    found["jobs"].append((
        number, f"work:{pipeline}", state, json.dumps({"work": id_}), int(has_ended), 2, int(status != "success"),
        3_600_000, 3_600_000, 1 if has_ended else None, "null" if status == "success" else None, error, at, begun,
        ended,
    ))  # fmt: skip
    found["works"].append((
        number, id_, pipeline, site, user, at * 1000, begun and begun * 1000, ended and ended * 1000, int(has_ended), 2,
        status, int(not has_ended), int(has_ended), json.dumps(document, separators=(",", ":")), of and of.step,
    ))  # fmt: skip
    found["work_labels"] += [(number, kind, value) for kind, values in labels.items() for value in values]
    if begun and ended:
        found["runs"].append((number, 1, 1, begun, ended, state, error))


def _note(number: int) -> str:
    words = [_WORDS[number * step % len(_WORDS)] for step in (1, 3, 5, 7, 11)]
    return " ".join([*words, *(["supernova"] if number % 20_000 == 11 else [])])
