"""A table that has but a server loses nothing by workers that died, and nobody is told that they work."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from clx import NewJob, Queue
from clx.db.identity import process_identity
from clx.db.workers import WorkerTable
from clx.errors import OddRowError
from clx.server.sweeping import Sweep


@pytest.fixture
def ended() -> str:
    """The identity of a process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    identity = process_identity(process.pid)
    process.communicate()
    return identity


def _register(queue: Queue, identity: str, **kept: Any) -> int:
    return WorkerTable(queue.database).register(
        type="t", pool="", mode="direct", host="h", pid=1, identity=identity, version="1", **kept
    )


@pytest.mark.parametrize("watched", [{}, {"service": "s"}, {"batch_id": 1}])
def test_the_dead_of_this_machine_are_struck_off_once_others_had_time_to_say_how_they_ended(
    queue: Queue, ended: str, watched: dict[str, Any]
) -> None:
    job = queue.enqueue(NewJob("t"))
    worker = _register(queue, ended, **watched)
    queue.claim(["t"], worker=worker)
    sweep = Sweep(queue)
    sweep.look()
    assert [row.state for row in WorkerTable(queue.database).list()] == ["busy"]
    sweep.look()
    assert WorkerTable(queue.database).list() == []
    assert [found.state for found in queue.get_many([job])] == ["queued"]
    assert [run["cause"] for run in queue.runs(job)] == [{"kind": "gone"}]


def test_the_job_of_one_that_is_silent_elsewhere_goes_to_others(queue: Queue) -> None:
    job = queue.enqueue(NewJob("t"))
    queue.claim(["t"], worker=_register(queue, "of another machine"), lease=1)
    sweep = Sweep(queue)
    while [found.state for found in queue.get_many([job])] == ["running"]:
        sweep.look()
    assert [run["cause"] for run in queue.runs(job)] == [{"kind": "silent"}]


def test_a_row_of_another_program_stops_nothing_else_and_is_told_once(
    queue: Queue, ended: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise OddRowError("A row is odd.")

    _register(queue, ended)
    sweep = Sweep(queue)
    monkeypatch.setattr(queue.schedules, "fire_due", refuse)
    monkeypatch.setattr(queue, "rescue", refuse)
    sweep.look()
    sweep.look()
    assert WorkerTable(queue.database).list() == []
    assert caplog.messages.count("A row is odd.") == 1
