"""Workers of other machines in the table of a server: seen and used, but judged by their leases only."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.clock import at

from clx.cli.main import cli
from clx.db.database import Database
from clx.db.identity import this_machine
from clx.db.jobs import NewJob, Queue
from clx.db.mark_dead import mark_gone_workers_dead
from clx.db.workers import WorkerRow, WorkerTable, register_this_process
from clx.errors import WorkerStartupError
from clx.settings.schema import JobsSettings, Settings
from clx.workers.executors.docker.containers import container_states
from clx.workers.executors.spec import WorkerSpec
from clx.workers.liveness import by_engine, is_within_reach, judge, mark_lost
from clx.workers.supervision import services
from clx.workers.supervision.cleanup import cleanup
from clx.workers.supervision.service_state import ServiceState, service_workers, unkept_workers

JOBS = JobsSettings(lease=30.0, heartbeat=5.0)
ELSEWHERE = f"another-boot/4026531836/{2**22 + 1}/99"
"""A process that is gone, if it is asked for here."""


@pytest.fixture
def database(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A table of a server."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Queue.open(postgresql) as queue:
        yield queue.database


def enter(database: Database, host: str = "far", mode: str = "direct", container_id: str | None = None) -> WorkerRow:
    """A worker of another machine."""
    table = WorkerTable(database)
    id_ = table.register(
        type="t", pool="p", mode=mode, host=host, pid=os.getpid(), identity=ELSEWHERE, version="1",
        service="services", container_id=container_id,
    )  # fmt: skip
    found = table.get(id_)
    assert found is not None
    return found


def test_a_process_of_another_machine_that_is_not_to_be_found_is_left_alone_until_its_lease_ends(
    database: Database,
) -> None:
    row, queue = enter(database), Queue(database)
    id_ = queue.enqueue(NewJob("t", pool="p"))
    assert queue.claim(["t"], worker=row.id, pool="p")[0].id == id_
    now = database.clock.now()
    assert mark_lost(database, JOBS) == []
    assert mark_gone_workers_dead(database) == []
    assert cleanup(database, Settings(), dry_run=False) == []
    found = queue.get(id_)
    assert found is not None
    assert found.state == "running"
    verdict = judge(row, now + 31_000, JOBS)
    assert verdict[:3] == ("dead", "silent for 31 s and on far", "silent")


def test_one_of_the_same_name_that_runs_longer_than_this_machine_is_another_machine(
    database: Database, tmp_path: Path
) -> None:
    """Its name and its clock tell nothing; on a file, which one machine has, it would be of an earlier boot."""
    row = enter(database, host=platform.node())
    assert not row.is_gone()
    assert not at(WorkerTable(database), 1).list()[0].is_gone()
    with Queue.open(tmp_path / "jobs.db") as queue:
        at(WorkerTable(queue.database), 1).register(
            type="t", pool="p", mode="direct", host=platform.node(), pid=1, identity=ELSEWHERE, version="1"
        )
        assert WorkerTable(queue.database).list()[0].is_gone()


def test_the_services_of_a_machine_are_those_it_can_end(database: Database) -> None:
    mine = register_this_process(database, "t", "p", service="services")
    far = enter(database)
    assert [row.id for row in service_workers(database)] == [mine]
    assert [row.id for row in unkept_workers(database)] == [mine]
    assert not is_within_reach(far)


@pytest.mark.parametrize(("host", "within"), [("far", False), (platform.node(), True)])
def test_a_container_is_within_reach_of_the_machine_that_started_it(
    host: str, within: bool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of another one does not know it, and would take it for removed."""
    row = enter(database, host, mode="docker", container_id="c" * 64)
    assert is_within_reach(row) is within
    asked = by_engine(row, row.heartbeat_at + 20_000, JOBS, {})
    assert (asked is not None) is within
    monkeypatch.setattr("clx.workers.executors.docker.containers.engine_states", lambda: ("engine", {}))
    assert (container_states(database, [row]) is not None) is within


def test_a_clock_that_is_ten_minutes_wrong_takes_no_job_from_a_living_worker(
    database: Database, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, queue = enter(database), Queue(database)
    id_ = queue.enqueue(NewJob("t", pool="p"))
    queue.claim(["t"], worker=row.id, pool="p", lease=30_000)
    seconds, nanoseconds = time.time, time.time_ns
    for wrong in (600, -600):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: seconds() + wrong)
        monkeypatch.setattr(time, "time_ns", lambda wrong=wrong: nanoseconds() + wrong * 10**9)
        with Queue.open(postgresql) as other:  # it never knew better
            assert other.rescue() == []
            assert mark_lost(other.database, JOBS) == []
            assert judge(row, other.database.clock.now(), JOBS).status == "idle"
            assert abs(other.database.clock.now() - nanoseconds() // 10**6) < 5000
    found = queue.get(id_)
    assert found is not None
    assert found.state == "running"


def _clx(*words: str) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def test_workers_are_listed_with_their_machines(database: Database, postgresql: str) -> None:
    mine, far = register_this_process(database, "t", "p"), enter(database).id
    shown = _clx("workers", "list", "--db-path", postgresql).output
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert "MACHINE" in lines["ID"]
    assert f"{platform.node()} (here)" in lines[str(mine)]
    assert " far  " in lines[str(far)]


def test_a_file_is_of_one_machine_which_needs_no_name(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        register_this_process(queue.database, "t", "p")
    assert "MACHINE" not in _clx("workers", "list", "--db-path", str(tmp_path / "jobs.db")).output


def test_services_that_do_not_start_elsewhere_do_not_keep_those_here_from_starting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"type": "t", "fact": "No.", "next_step": ""}
    looked: list[bool] = []
    monkeypatch.setattr(services, "await_registration", lambda *given, **_: looked.append(given[2](0.0)))
    monkeypatch.setattr(services, "supervisor_lives", lambda _state: True)
    state = ServiceState("", wanted=[WorkerSpec("t", 1, "p", "default", "direct", None, Settings())], started_at=0)
    WorkerTable(database).note(0, "startup_failed", told | {"machine": "another"})
    services._start(database, state, None)
    assert looked == [False]
    WorkerTable(database).note(0, "startup_failed", told | {"machine": this_machine()})
    with pytest.raises(WorkerStartupError, match=r"No\."):
        services._start(database, state, None)
