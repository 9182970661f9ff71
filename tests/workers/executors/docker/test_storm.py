"""Host and containers write into one database at once, in both journal modes: nothing is lost, nothing done twice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.workers.executors.docker.machine import IMAGE, Machine

from clx.db.sqlite.database import SqliteDatabase

_STORM = Path(__file__).with_name("storm.py")
_JOBS = 100


def contained(machine: Machine, journal_mode: str, jobs: int = _JOBS, others: int = 3) -> Any:
    command = ["/storm.py", "/clx/.clx/jobs.db", journal_mode, str(jobs), str(others)]
    return machine.client.containers.create(
        IMAGE, command, entrypoint="python", user="0:0",
        volumes={
            str(machine.database.parent): {"bind": "/clx/data", "mode": "rw"},
            str(_STORM): {"bind": "/storm.py", "mode": "ro"},
        },
        labels={"clx.worker": "storm"}, network="none",
    )  # fmt: skip


def host(machine: Machine, journal_mode: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_STORM), str(machine.database), journal_mode, str(_JOBS), "3"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_two_hosts_and_two_containers(machine: Machine, journal_mode: Any) -> None:
    machine.database.parent.mkdir(parents=True)
    SqliteDatabase.open(machine.database, journal_mode=journal_mode).close()
    containers = [contained(machine, journal_mode) for _ in range(2)]
    try:
        for container in containers:
            container.start()
        processes = [host(machine, journal_mode) for _ in range(2)]
        for process in processes:
            said, _ = process.communicate(timeout=200)
            assert process.returncode == 0, said.decode()
        for container in containers:
            assert container.wait(timeout=200)["StatusCode"] == 0, container.logs().decode()
    finally:
        for container in containers:
            container.remove(force=True)
    with closing(SqliteDatabase(machine.database, journal_mode="keep")) as database:
        _check(database, journal_mode)


def _check(database: SqliteDatabase, journal_mode: str) -> None:
    read = database.read
    assert database.journal_mode() == journal_mode
    assert read("PRAGMA integrity_check") == [("ok",)]
    assert read("PRAGMA foreign_key_check") == []
    assert read("SELECT state, count(*) FROM jobs GROUP BY state") == [("succeeded", 4 * _JOBS)]
    assert read("SELECT outcome, count(*), max(run) FROM runs GROUP BY outcome") == [("succeeded", 4 * _JOBS, 1)]
    assert read("SELECT count(*) FROM workers WHERE jobs_succeeded > 0") == [(4,)]
    assert read("SELECT sum(jobs_succeeded) FROM workers") == [(4 * _JOBS,)]


def test_killed_containers_lose_nothing_that_was_acknowledged(machine: Machine) -> None:
    machine.database.parent.mkdir(parents=True)
    SqliteDatabase.open(machine.database).close()
    containers = [contained(machine, "wal", jobs=100_000, others=2) for _ in range(3)]
    try:
        for container in containers:
            container.start()
        machine.wait_until(lambda: machine.query("SELECT count(*) FROM runs")[0][0] > 20, "nobody works")
        for container in containers:
            container.kill("SIGKILL")
    finally:
        for container in containers:
            container.remove(force=True)
    with closing(SqliteDatabase(machine.database, journal_mode="keep")) as database:
        assert database.read("PRAGMA integrity_check") == [("ok",)]
        [(done,)] = database.read("SELECT count(*) FROM jobs WHERE state = 'succeeded'")
        assert database.read("SELECT count(*) FROM runs WHERE outcome = 'succeeded'") == [(done,)]
        assert database.read("SELECT sum(jobs_succeeded) FROM workers") == [(done,)]
        assert database.read("SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until IS NULL") == [(0,)]
