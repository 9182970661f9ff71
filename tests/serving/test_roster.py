"""The workers of a server of models as rows of the table."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_servers import Serve
from tests.support.scene import until

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.serving.table import ServingTable
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import DatabaseBusyError
from clx.serving.roster import TYPE, Roster
from clx.serving.shelf import TableShelf


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[TableShelf]:
    with Queue.open(tmp_path / "jobs.db") as queue:
        made = TableShelf(ServingTable(queue.database), ArtifactStore(tmp_path / "artifacts"))
        yield made
        made.close()


def rows(shelf: TableShelf) -> list[WorkerRow]:
    return WorkerTable(shelf.table.database).list(live=False)


def test_each_process_has_a_row_that_beats_and_ends_with_it(shelf: TableShelf) -> None:
    roster = Roster(shelf, 0.0)
    asyncio.run(roster.follow([os.getpid()], "gone"))
    [begun] = rows(shelf)
    assert (begun.type, begun.pid, begun.state) == (TYPE, os.getpid(), "idle")
    until(partial(beaten, roster, shelf, begun))
    asyncio.run(roster.follow([], "its process is gone"))
    [ended] = rows(shelf)
    assert (ended.state, ended.reason) == ("stopped", "its process is gone")


def beaten(roster: Roster, shelf: TableShelf, begun: WorkerRow) -> bool:
    asyncio.run(roster.follow([os.getpid()], "gone"))
    [now] = rows(shelf)
    return now.heartbeat_at > begun.heartbeat_at


def test_one_that_was_struck_off_and_lives_is_entered_anew(shelf: TableShelf) -> None:
    roster = Roster(shelf, 0.0)
    asyncio.run(roster.follow([os.getpid()], "gone"))
    WorkerTable(shelf.table.database).end(rows(shelf)[0].id, "silent", dead=True)
    asyncio.run(roster.follow([os.getpid()], "gone"))
    assert [each.state for each in rows(shelf)] == ["dead", "idle"]


def test_one_that_was_asked_to_end_has_that_reason(shelf: TableShelf) -> None:
    roster = Roster(shelf, 60.0)
    asyncio.run(roster.follow([os.getpid()], "gone"))
    WorkerTable(shelf.table.database).request_stop(rows(shelf)[0].id, "somebody asked", grace=0)
    asyncio.run(roster.follow([], "its process is gone"))
    assert [each.reason for each in rows(shelf)] == ["somebody asked"]


def test_what_a_killed_server_has_left_is_struck_off_and_nobody_else(shelf: TableShelf) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as gone:
        asyncio.run(Roster(shelf, 60.0).follow([gone.pid, os.getpid()], ""))
        gone.kill()
    asyncio.run(Roster(shelf, 60.0).begin())
    assert {each.pid: each.state for each in rows(shelf)} == {gone.pid: "dead", os.getpid(): "idle"}


def test_a_table_that_is_locked_costs_nothing_but_time(shelf: TableShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    roster = Roster(shelf, 60.0)

    def busy(*_: Any, **__: Any) -> int:
        raise DatabaseBusyError("It is locked.", "Wait.")

    with monkeypatch.context() as patched:
        patched.setattr(WorkerTable, "register", busy)
        asyncio.run(roster.follow([os.getpid()], ""))
    assert rows(shelf) == []
    asyncio.run(roster.follow([os.getpid()], ""))
    assert len(rows(shelf)) == 1


@pytest.mark.slow
def test_commands_see_them_and_end_them(serve: Serve, model: Path, tmp_path: Path) -> None:
    def listed() -> dict[int, tuple[str, str]]:
        command = [sys.executable, "-m", "clx", "workers", "list", "--format", "json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return {each["pid"]: (each["type"], each["status"]) for each in json.loads(done.stdout)["workers"]}

    server = serve("--workers", "2", f"--model=m={model}")
    first = set(server.children())
    until(lambda: listed() == dict.fromkeys(first, (TYPE, "idle")))
    stopped = min(first)
    number = next(each.id for each in workers(tmp_path) if each.pid == stopped)
    subprocess.run([sys.executable, "-m", "clx", "workers", "stop", str(number)], cwd=tmp_path, check=True)
    until(lambda: len(now := listed()) == 2 and stopped not in now)  # another has taken its place
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert listed() == {}
    assert {each.reason for each in workers(tmp_path) if each.pid != stopped} == {"its server has ended"}


def workers(directory: Path) -> list[WorkerRow]:
    (path,) = directory.glob(".clx/*.db")
    with Queue.open(path) as queue:
        return WorkerTable(queue.database).list(live=False)
