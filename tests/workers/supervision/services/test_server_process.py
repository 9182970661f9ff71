"""Services have a server where it is asked for: it is started again when it dies, and ends with them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import urllib3

from clx.db.database import Database
from clx.settings.schema import ServerSettings
from clx.workers.supervision import server_process
from clx.workers.supervision.server_process import ServerProcess, server_log


def until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def answers(port: int) -> bool:
    with urllib3.PoolManager(retries=False) as pool:
        try:
            return pool.request("GET", f"http://127.0.0.1:{port}/healthz", timeout=60).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def servers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "server" in each.cmdline()]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "jobs.db") as opened:
        yield opened


@pytest.fixture
def keep(database: Database) -> Iterator[Callable[[ServerSettings], ServerProcess]]:
    made = []

    def one(settings: ServerSettings) -> ServerProcess:
        made.append(ServerProcess(database, settings))
        return made[-1]

    yield one
    for each in made:
        each.stop()
    assert servers() == []


def test_none_is_started_where_none_is_wanted(keep: Callable[..., ServerProcess]) -> None:
    keep(ServerSettings()).tend()
    assert servers() == []


def test_it_is_started_again_moved_and_ended(
    keep: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    port = free_port()
    kept = keep(ServerSettings(autostart=True, port=port))
    kept.tend()
    until(lambda: answers(port))
    kept.tend()
    (first,) = servers()
    monkeypatch.setattr(server_process, "_SETTLED", 0.0)
    first.kill()
    until(lambda: first.status() == psutil.STATUS_ZOMBIE)
    until(lambda: kept.tend() or answers(port))  # type: ignore[func-returns-value]  # it may not be its turn yet
    other = free_port()
    kept.settings = ServerSettings(autostart=True, port=other)
    kept.tend()
    until(lambda: answers(other))
    assert not answers(port)
    kept.settings = ServerSettings()
    kept.tend()
    assert servers() == []
    assert "token=" not in server_log(database.state.path).read_text()


def test_one_that_cannot_begin_is_tried_later_and_later(
    keep: Callable[..., ServerProcess],
    database: Database,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = 0.0
    monkeypatch.setattr(server_process, "time", SimpleNamespace(monotonic=lambda: moment))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        kept = keep(ServerSettings(autostart=True, port=taken.getsockname()[1]))
        kept.tend()
        (first,) = servers()
        until(lambda: first.status() == psutil.STATUS_ZOMBIE)
        # a moment later it can be waited for: its threads end last
        until(lambda: kept.tend() or "started again in 1 s" in caplog.text)  # type: ignore[func-returns-value]
        assert servers() == []
        moment = 1.0
        kept.tend()
        (second,) = servers()
        assert second != first
    assert "is taken" in server_log(database.state.path).read_text()


def test_services_bring_it_and_take_it_along(tmp_path: Path) -> None:
    port = free_port()
    variables = {
        **os.environ, "CLX_SERVER__AUTOSTART": "true", "CLX_SERVER__PORT": str(port),
        "CLX_WORKERS__PLANTUML__COUNT": "0", "CLX_WORKERS__DRAWIO__COUNT": "0", "CLX_WORKERS__GRAPHVIZ__COUNT": "0",
    }  # fmt: skip

    def clx(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clx", *words, "--db-path", str(tmp_path / "jobs.db"), "--format", "json"]
        return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path, check=True)

    try:
        clx("start-services")
        until(lambda: answers(port))
        (process,) = [
            each
            for each in psutil.process_iter(["cmdline"])  # None of those that have ended
            if {"--service", str(port)} <= set(each.info["cmdline"] or ())
        ]
        process.send_signal(signal.SIGKILL)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        until(lambda: answers(port))
    finally:
        stopped = clx("stop-services")
    assert json.loads(stopped.stdout)["left"] == []
    assert not answers(port)
