"""What judges a job table sees what is wrong; every storm relies on it. And what ``clx doctor --db`` tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at

from clx.db import check as check_module
from clx.db import facts as database_facts
from clx.db.check import check
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.schedules.models import Schedule
from clx.db.sqlite import facts
from clx.db.workers import WorkerTable


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as queue:
        _fill(queue)
        yield queue


def _fill(queue: Queue) -> None:
    """Job 1 has succeeded, 2 runs, 3 waits for 2; job 4 is the only one of a batch with a callback."""
    queue.enqueue_many([NewJob("t"), NewJob("t")])
    first, _second = queue.claim(["t"], 2)
    queue.finish(first.id, first.run)
    queue.enqueue(NewJob("t", needs=[2]))
    queue.enqueue_batch([NewJob("t")], NewJob("after"))


_PIPELINE = (
    "INSERT INTO pipeline_configs (id, name, version, owner, yaml, definition, created_at) "
    "VALUES ('c', 'n', '2', 'o', '', '[]', 1); "
    "INSERT INTO pipelines (id, config_id, matrix, created_at) VALUES ('p', 'c', '{}', 1)"
)
_STEP = (
    "INSERT INTO pipeline_steps (pipeline_id, position, name, status, definition) VALUES ('p', 0, 's', 'running', '{}')"
)
_BROKEN = {
    "a job has not exactly one record per ended run": "DELETE FROM runs WHERE job_id = 1",
    "a succeeded job's last run did not succeed": "UPDATE runs SET outcome = 'failed' WHERE job_id = 1",
    "a job succeeded in a run that is not its last": "UPDATE jobs SET state = 'failed', error = '{}' WHERE id = 1",
    "a job waits for another number of jobs than it needs": "UPDATE jobs SET waits_for = 2 WHERE id = 3",
    "a job waits for one that will never succeed": (
        "UPDATE jobs SET state = 'failed', error = '{}', lease_until = NULL, finished_at = 1 WHERE id = 2"
    ),
    "a batch counts other jobs than those it waits for": "UPDATE batches SET pending = 2",
    "a job waits behind one that is over or of another key": "UPDATE jobs SET after_id = 1, waits_for = 2 WHERE id = 3",
    "a job runs that was never begun": "UPDATE jobs SET started_at = NULL WHERE id = 2",
    'another program wrote what cannot be in jobs.payload: 3 is no JSON object: "[1]"': (
        "UPDATE jobs SET payload = '[1]' WHERE id = 3"
    ),
    'another program wrote what cannot be in jobs.progress: 2 is no JSON: "{"': (
        "UPDATE jobs SET progress = '{' WHERE id = 2"
    ),
    'another program wrote what cannot be in runs.cause: (1, 1) is no JSON: "{"': "UPDATE runs SET cause = '{'",
    'another program wrote what cannot be in results.result: ("k", "t") is no JSON: "NaN"': (
        "INSERT INTO results VALUES ('k', 't', 'NaN', 1, 1)"
    ),
    "another program wrote what cannot be in workers.pid: 1 is no whole number: x'ff'": (
        "UPDATE workers SET pid = x'ff'"
    ),
    "another program wrote what breaks jobs: job_priority (priority BETWEEN 1 AND 5): 3": (
        "UPDATE jobs SET priority = 9 WHERE id = 3"
    ),
    "a job is held back that counts to no limit, or that could be claimed": "UPDATE jobs SET held = 1 WHERE id = 3",
    "a job is held back by a limit that is not there": (
        "UPDATE jobs SET held = 1, ready = 0, limit_name = 'gone' WHERE id = 4"
    ),
    "a key is taken for a time by no job": "INSERT INTO recent_keys VALUES ('k', 't', '', 0, 1)",
    "a job was queued by two times of schedules": (
        "INSERT INTO fires VALUES ('s', 1, 1, 'queued', 1), ('s', 2, 2, 'queued', 1)"
    ),
    "the digest of a token is none": (
        "INSERT INTO tokens (name, role, digest, created_at) VALUES ('n', 'read', 'secret', 1)"
    ),
    "a job is held by a worker that is not in the table": "DELETE FROM workers",
    "a work has another status than its job has": (
        "INSERT INTO works (job_id, id, pipeline, site, owner, creation, retries, document) "
        "VALUES (4, 'w', 'p', 's', 'o', 1, 1, '{}')"
    ),
    "a step of a pipeline runs, and none of its works waits or runs": f"{_PIPELINE}; {_STEP}",
    "a pipeline runs, and none of its steps does": _PIPELINE,
    "row None of batch_jobs names a row of batches that is not there": "DELETE FROM batches",
    "SQLite: CHECK constraint failed in jobs": "UPDATE jobs SET priority = 9 WHERE id = 3",
}


def _break(queue: Queue, statement: str) -> None:
    """As a defect, or somebody with another program, might."""
    connection = queue.database.connection()
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for each in statement.split("; "):
        connection.execute(each)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize("rule", _BROKEN)
def test_a_broken_rule_is_named(queue: Queue, rule: str) -> None:
    assert check(queue.database) == []

    _break(queue, _BROKEN[rule])

    assert any(problem.startswith(rule) for problem in check(queue.database))


@pytest.mark.parametrize("rule", check_module._RULES)
def test_on_a_server_a_broken_rule_is_named_too(postgresql: str, rule: str) -> None:
    with Queue.open(postgresql) as queue:
        _fill(queue)
        queue.schedules.add(Schedule("s", "@daily", NewJob("t")))
        assert check(queue.database) == []

        for each in _BROKEN[rule].split("; "):
            queue.database.connection().execute(each)

        assert any(problem.startswith(rule) for problem in check(queue.database))


@pytest.mark.parametrize("change", ["state = 'sleeping'", "ready = 7", "finished_at = 5"])
def test_a_broken_rule_is_named_by_who_only_looks(tmp_path: Path, change: str) -> None:
    """SQLite's own check says nothing of it there."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.enqueue(NewJob("t"))
        _break(queue, f"UPDATE jobs SET {change}")
    with Database.open(tmp_path / "jobs.db", readonly=True) as looking:
        assert any("what breaks jobs" in problem for problem in check(looking))


def test_every_rule_is_broken_here() -> None:
    assert set(check_module._RULES) <= set(_BROKEN)


def _told(queue: Queue) -> dict[str, database_facts.Fact]:
    return {fact.name: fact for fact in database_facts.examine(queue.database.path, queue.database)}


@pytest.mark.parametrize(
    ("name", "threshold", "value"),
    [
        ("file system", "kind", lambda _path: "nfs4"),
        ("free space", "_LITTLE", 1 << 62),
    ],
)
def test_what_is_not_as_it_should_be_is_told_with_what_to_do(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, name: str, threshold: str, value: Any
) -> None:
    monkeypatch.setattr(facts, threshold, value)

    fact = _told(queue)[name]

    assert not fact.ok
    assert fact.hint


def test_a_clock_that_is_ahead_is_told(queue: Queue) -> None:
    assert _told(queue)["clock"].ok
    (worker,) = WorkerTable(queue.database).list()
    at(WorkerTable(queue.database), now_ms() + 3_600_000).beat(worker.id)

    assert not _told(queue)["clock"].ok
    assert "3600 s ahead" in _told(queue)["clock"].detail or "3599 s ahead" in _told(queue)["clock"].detail


def test_leases_that_are_over_are_told(queue: Queue) -> None:
    assert _told(queue)["leases"].detail == "none over"
    at(queue, 0).heartbeat(2, 1, lease=1)

    assert _told(queue)["leases"].detail.startswith("1 over")
