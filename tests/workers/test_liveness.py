"""Does a worker, or its owner, still live: every kind of row, owner and clock, and what is made of it."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.clock import at

from clx.db import schema, statements, workers
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.identity import process_identity
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerRow, WorkerTable
from clx.settings.schema import JobsSettings, Settings
from clx.workers.liveness import is_serving, judge, mark_dead
from clx.workers.process.directories import work_directory
from clx.workers.processes import lives

JOBS = JobsSettings(lease=30.0, heartbeat=5.0, timeout=50.0)
MINE = process_identity()
ENDED = f"{MINE.rsplit('/', 1)[0]}/1"
"""One of this machine that had this process's pid before."""
ELSEWHERE = "another-boot/4026531836/7/99"
NOW = now_ms()


def row_of(whose: str, silent: float, **changes: Any) -> WorkerRow:
    """A worker that was last heard of *silent* seconds ago."""
    identity = {"mine": MINE, "ended": ENDED}.get(whose, ELSEWHERE)
    contained = whose == "container"
    row = WorkerRow(
        id=1, type="notebook", pool="p", mode="docker" if contained else "direct", state="idle",
        host=platform.node() if whose != "elsewhere" and not contained else "another", pid=os.getpid(),
        identity=identity, container_id="c" * 64 if contained else None, image=None, version="1", started_at=0,
        heartbeat_at=NOW - int(silent * 1000), ended_at=None, reason=None, jobs_succeeded=0, jobs_failed=0, job_id=None,
        batch_id=None, service=None, config_source=None,
    )  # fmt: skip
    return replace(row, **changes)


def shown(row: WorkerRow, job: Any = None, containers: dict[str, str] | None = None) -> tuple[str, str]:
    """What ``clx workers list`` says of it."""
    return judge(row, NOW, JOBS, containers=containers, job=job)[:2]


def lost(row: WorkerRow, *, by_lease: bool) -> str:
    """The cause for which a sweep takes it for dead; empty when it does not."""
    return judge(row, NOW, JOBS if by_lease else None).cause


GONE = f"process {os.getpid()} is gone"
BOOT = "it was of an earlier boot of this machine"
LONG_AGO = NOW / 1000 - 1.0


@pytest.mark.parametrize(
    ("whose", "silent", "verdict", "at_once", "by_lease", "serving"),
    [
        ("mine", 0, ("idle", ""), "", "", True),
        ("mine", 15, ("idle", ""), "", "", True),
        ("mine", 15.1, ("hung", "alive, but silent for 15 s"), "", "", True),
        ("mine", 30, ("hung", "alive, but silent for 30 s"), "", "", True),
        ("mine", 31, ("hung", "alive, but silent for 31 s"), "", "", False),
        ("mine", -60, ("idle", ""), "", "", True),  # the clock was set back
        ("ended", 0, ("dead", GONE), "gone", "gone", False),
        ("ended", 31, ("dead", GONE), "gone", "gone", False),
        ("elsewhere", 0, ("idle", ""), "", "", True),
        ("elsewhere", 15.1, ("hung", "silent for 15 s"), "", "", True),
        ("elsewhere", 30, ("hung", "silent for 30 s"), "", "", True),
        ("elsewhere", 30.1, ("dead", "silent for 30 s and not of this machine's present boot"), "", "silent", False),
        ("earlier boot", LONG_AGO, ("dead", BOOT), "silent", "silent", False),
        ("container", 0, ("idle", ""), "", "", True),
        ("container", 16, ("hung", "silent for 16 s"), "", "", True),
        ("container", 31, ("dead", "silent for 31 s and in a container"), "", "silent", False),
    ],
)
def test_whose_it_is_and_how_long_it_is_silent(
    whose: str, silent: float, verdict: tuple[str, str], at_once: str, by_lease: str, serving: bool
) -> None:
    row = row_of(whose, silent)
    assert shown(row) == verdict
    assert lost(row, by_lease=False) == at_once, "while the silent are not judged"
    assert lost(row, by_lease=True) == by_lease
    assert is_serving(row, NOW, JOBS) is serving, "a build counts on it"


@pytest.mark.parametrize(
    ("state", "silent", "verdict"),
    [
        ("running", 0, ("idle", "")),
        ("running", 16, ("hung", "silent for 16 s")),
        ("running", 31, ("dead", "silent for 31 s and in a container")),
        ("exited", 0, ("dead", "its container cccccccccccc has ended")),
        ("dead", 0, ("dead", "its container cccccccccccc has ended")),
        ("removing", 0, ("dead", "its container cccccccccccc has ended")),
        ("removed", 0, ("dead", "its container cccccccccccc was removed")),
        ("paused", 0, ("hung", "its container is paused; type: docker unpause cccccccccccc")),
        ("paused", 31, ("hung", "its container is paused; type: docker unpause cccccccccccc")),
        (None, 0, ("idle", "")),  # it may be another engine's
        (None, 15, ("idle", "")),
        (None, 15.1, ("dead", "its container cccccccccccc is gone")),
    ],
)
def test_what_its_engine_says(state: str | None, silent: float, verdict: tuple[str, str]) -> None:
    containers = {} if state is None else {"c" * 64: state}
    assert shown(row_of("container", silent), containers=containers) == verdict


@pytest.mark.parametrize("whose", ["mine", "ended", "elsewhere", "earlier boot", "container"])
def test_one_that_has_ended_is_what_its_row_says(whose: str) -> None:
    row = row_of(whose, 31, state="stopped", ended_at=NOW, reason="no longer needed")
    assert shown(row, containers={}) == ("stopped", "no longer needed")


@pytest.mark.parametrize(
    ("state", "worker", "timeout", "runs", "verdict"),
    [
        ("running", 1, 10_000, 11, ("hung", "job 7 has run for 11 s; 10 s are allowed")),
        ("running", 1, 10_000, 10, ("busy", "")),
        ("running", 1, None, 51, ("hung", "job 7 has run for 51 s; 50 s are allowed")),
        ("running", 2, 10_000, 11, ("busy", "")),
        ("succeeded", 1, 10_000, 11, ("busy", "")),
    ],
)  # fmt: skip
def test_job_over_its_time(state: str, worker: int, timeout: int | None, runs: float, verdict: tuple[str, str]) -> None:
    """REQ-5.3: whatever its heartbeat says."""
    started = NOW - int(runs * 1000)
    job = SimpleNamespace(id=7, state=state, worker_id=worker, timeout=timeout, started_at=started)
    assert shown(row_of("mine", 0, state="busy"), job) == verdict


@pytest.mark.parametrize(
    ("identity", "verdict"), [(MINE, True), (ENDED, False), (ELSEWHERE, False), ("", False), ("nonsense", False)]
)
def test_owner_that_is_a_process_of_this_machine(identity: str, verdict: bool) -> None:
    """A supervisor: one that cannot be judged from here does not count."""
    assert lives(identity) is verdict


def test_defaults_are_those_of_the_table() -> None:
    assert (Settings().jobs.lease, Settings().jobs.heartbeat) == (JOBS.lease, JOBS.heartbeat)


def test_live_states_are_the_same_wherever_they_are_written() -> None:
    """In the table's index, in the statement that claims, and in those of the workers' table."""
    assert workers._LIVE == schema.LIVE_WORKER
    live = set(re.findall(r"'(\w+)'", schema.LIVE_WORKER))
    assert set(re.findall(r"state = '(\w+)'", statements.MAY_CLAIM)) == live | {"queued"}  # of the jobs beside it


@pytest.mark.parametrize("spoken_up", [False, True])
def test_dead_are_marked_their_jobs_given_to_others_and_their_directories_removed(
    tmp_path: Path, spoken_up: bool
) -> None:
    """One that was only silent, and has spoken up since it was judged, is left alone."""
    with Database.open(tmp_path / "jobs.db") as database:
        table, queue = WorkerTable(database), Queue(database)
        worker = at(table, NOW - 60_000).register(
            type="notebook", pool="p", mode="direct", host="another", pid=7, version="1", identity=ELSEWHERE,
        )  # fmt: skip
        job = queue.enqueue(NewJob("notebook", {}, pool="p"))
        assert queue.claim(["notebook"], worker=worker, pool="p")
        work_directory(database, worker).mkdir(parents=True)
        judged = [(row, judge(row, NOW, JOBS)) for row in table.list()]
        if spoken_up:
            table.beat(worker)
        assert mark_dead(database, judged) == ([] if spoken_up else [worker])
        row, found = table.get(worker), queue.get(job)
        assert row is not None
        assert found is not None
        assert (row.state, row.reason) == (("busy", None) if spoken_up else ("dead", "it was silent for 60 s"))
        assert found.state == ("running" if spoken_up else "queued")
        assert work_directory(database, worker).exists() is spoken_up
