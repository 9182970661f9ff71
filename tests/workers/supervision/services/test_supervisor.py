"""What a supervisor makes of its state file; without workers and without a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clx import NewJob, Queue, Schedule
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.errors import CommitInDoubtError, DatabaseBusyError
from clx.settings.schema import Settings
from clx.workers.executors.spec import WorkerSpec
from clx.workers.supervision.service_state import ServiceState, read_state, update_state
from clx.workers.supervision.supervisor import Supervisor


def wanted(pool: str, count: int = 0) -> list[WorkerSpec]:
    return [WorkerSpec("notebook", count, pool, "default", "direct", None, Settings())]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / ".clx" / "jobs.db") as database:
        yield database


def state_of(database: Database) -> ServiceState:
    found = read_state(database.state.path)
    assert found is not None
    return found


def test_what_is_asked_for_while_workers_are_started_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ServiceState(str(database.path), wanted=wanted("a"), workers=["one that has ended"], started_at=1)
    update_state(database.state.path, lambda _: first)
    supervisor = Supervisor(database, first)
    second = ServiceState(str(database.path), wanted=wanted("b"), workers=["one that has ended"], started_at=2)
    with monkeypatch.context() as patched:  # a command writes what it wants while this one is at it
        patched.setattr(supervisor._group, "reconcile", lambda: update_state(database.state.path, lambda _: second))
        supervisor.run_once()
    assert (state_of(database).answered, state_of(database).workers) == (0, [])
    supervisor.run_once()
    assert state_of(database).answered == 2
    assert list(supervisor._group.wanted) == [("notebook", "b")]


def test_a_server_that_is_away_ends_no_supervisor(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ServiceState(str(database.path), wanted=wanted("a"), started_at=1)
    update_state(database.state.path, lambda _: asked)
    supervisor, away = Supervisor(database, asked), [DatabaseBusyError("away", ""), CommitInDoubtError("lost", "")]

    def look() -> None:
        if away:
            raise away.pop()
        supervisor._asked_to_end = "SIGTERM"

    monkeypatch.setattr(supervisor, "run_once", look)
    monkeypatch.setattr(supervisor, "_wait", lambda *_: None)
    supervisor.run()
    assert away == []


def test_less_is_wanted_once_somebody_has_stopped_a_worker_and_nobody_takes_that_for_a_new_request(
    database: Database,
) -> None:
    asked = ServiceState(str(database.path), wanted=wanted("a", 1), started_at=1)
    update_state(database.state.path, lambda _: asked)
    supervisor = Supervisor(database, asked)
    supervisor._group._lower(("notebook", "a"))
    supervisor.run_once()
    assert [each.count for each in state_of(database).wanted] == [0]
    supervisor._group.given_up[("notebook", "a")] = ("it was told", "and stays so")
    supervisor.run_once()
    assert supervisor._group.given_up


def test_it_fires_schedules_that_are_due(database: Database) -> None:
    asked = ServiceState(str(database.path), wanted=wanted("a"), started_at=1)
    update_state(database.state.path, lambda _: asked)
    schedules = Queue(database).schedules
    schedules.add(Schedule("n", "@hourly", NewJob("t")))
    database.write("late", lambda tx: tx.execute("UPDATE schedules SET next_at = ?", (now_ms(),)))
    Supervisor(database, asked).run_once()
    assert [fire.outcome for fire in schedules.fires("n")] == ["queued"]


def test_a_state_file_that_was_removed_is_written_again(database: Database) -> None:
    asked = ServiceState(str(database.path), wanted=wanted("a"), started_at=1)
    update_state(database.state.path, lambda _: asked)
    supervisor = Supervisor(database, asked)
    (database.state.path / "worker-state.json").unlink()
    supervisor.run_once()
    assert state_of(database) == asked


def test_it_prunes_now_and_then(database: Database) -> None:
    asked = ServiceState(str(database.path), wanted=wanted("a"), started_at=1)
    update_state(database.state.path, lambda _: asked)
    supervisor = Supervisor(database, asked)
    supervisor._pruning._look_at = 0.0

    supervisor.run_once()
    supervisor._pruning.end(60)

    assert (database.state.path / "pruned").exists()
