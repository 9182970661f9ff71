"""What commands that change or check something print with ``--format json``: one document, as documented."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at
from tests.support.scene import ONLY_DECKS, Scene, until

from clx.artifacts.store import ArtifactStore
from clx.cli.main import cli
from clx.db.clock import now_ms
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable

SERVICES = (Path(__file__).parents[2] / "docs" / "services.md").read_text(encoding="utf-8")


def documented(command: str) -> set[str]:
    """The keys that the page on services names for a command."""
    [row] = [line for line in SERVICES.splitlines() if line.startswith("| `clx") and f"`clx {command}`" in line]
    return set(re.findall(r"`([a-z_]+)`", row.split(" | ", 1)[1]))


def clx(*arguments: str, cwd: Path, code: int = 0) -> Any:
    command = [sys.executable, "-m", "clx", *arguments, "--format", "json"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture
def queue(tmp_path: Path) -> Any:
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        yield queue


def failed(queue: Queue, key: str | None = None) -> int:
    job = queue.enqueue(NewJob("t", key=key))
    queue.fail(job, queue.claim(["t"])[0].run, {"kind": "x", "message": "no"})
    return job


def test_jobs_that_are_retried(queue: Queue, tmp_path: Path) -> None:
    one, other = failed(queue), queue.enqueue(NewJob("u"))
    document = clx("jobs", "retry", str(one), str(other), cwd=tmp_path)
    assert document == {"queued": [one], "left": [{"id": other, "reason": f"Job {other} was queued already."}]}
    assert set(document) < documented("jobs retry")
    queue.cancel([one, other])
    older, newer = failed(queue, "k"), failed(queue, "k")
    document = clx("jobs", "retry", "--failed", cwd=tmp_path)
    assert document["queued"] == [newer]
    assert [each["id"] for each in document["left"]] == [older]


def test_jobs_that_are_cancelled(queue: Queue, tmp_path: Path) -> None:
    one, other = failed(queue), queue.enqueue(NewJob("u"))
    document = clx("jobs", "cancel", str(one), str(other), cwd=tmp_path)
    assert document == {
        "cancelled": [other],
        "left": [{"id": one, "reason": f"Job {one} was over already: it failed."}],
    }
    assert set(document) < documented("jobs cancel")


@pytest.mark.parametrize(
    ("command", "option", "key"), [("retry", "--failed", "queued"), ("cancel", "--queued", "cancelled")]
)
def test_where_there_is_no_database_no_jobs_change(tmp_path: Path, command: str, option: str, key: str) -> None:
    assert clx("jobs", command, option, cwd=tmp_path) == {key: [], "left": []}
    assert list(tmp_path.iterdir()) == []


def test_database_that_is_checked(queue: Queue, tmp_path: Path) -> None:
    path = str(tmp_path / ".clx" / "jobs.db")
    document = clx("db", "check", cwd=tmp_path)
    assert document == {"database": path, "ok": True, "problems": []}
    assert set(document) == documented("db check")
    job = queue.enqueue(NewJob("t"))
    queue.finish(job, queue.claim(["t"])[0].run)
    queue.database.write("break", lambda connection: connection.execute("DELETE FROM runs"))
    document = clx("db", "check", cwd=tmp_path, code=4)
    assert not document["ok"]
    assert f"a succeeded job's last run did not succeed: {job}" in document["problems"]


@pytest.mark.parametrize("command", ["db", "cache"])
def test_what_was_pruned(queue: Queue, tmp_path: Path, command: str) -> None:
    ArtifactStore(queue.database.state.path / "artifacts").put_bytes(b"nobody names me")
    failed(queue)
    now = now_ms()
    until(lambda: now_ms() > now)  # what ended in this very millisecond is not older than zero days
    document = clx(command, "prune", "--days", "0", cwd=tmp_path)
    assert document["database"] == str(tmp_path / ".clx" / "jobs.db")
    assert document["removed"]["jobs"] == 1
    assert (document["batches_ended"], document["freed_bytes"]) == (0, None)
    assert {*document, *document["removed"]} == documented(f"{command} prune")
    assert clx(command, "prune", "--days", "0", "--vacuum", cwd=tmp_path)["freed_bytes"] is not None


def test_workers_that_are_stopped(scene: Scene) -> None:
    scene.decks("one")
    scene.clx("start-services", *ONLY_DECKS)
    [worker] = [row.id for row in scene.workers()]
    assert scene.json("workers", "stop", str(worker)) == {"workers": [{"id": worker, "stopped": True}]}
    document = scene.json("workers", "stop", str(worker))
    assert document == {"workers": [{"id": worker, "stopped": False}]}
    assert {*document, *document["workers"][0]} == documented("workers stop")
    scene.clx("stop-services")


def test_services_that_are_stopped(scene: Scene) -> None:
    scene.decks("one")
    nothing = {"workers": 0, "processes": 0, "containers": 0, "left": [], "services_elsewhere": []}
    assert scene.json("stop-services") == {"database": str(scene.database), **nothing}
    scene.clx("start-services", *ONLY_DECKS)
    document = scene.json("stop-services")
    assert document == {"database": str(scene.database), **nothing, "workers": 1}
    assert set(document) == documented("stop-services") - {"id", "host"}
    scene.clx("start-services", *ONLY_DECKS)
    scene.freeze(scene.supervisor())  # else it ends by itself when its database is gone
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
        (scene.state / name).unlink(missing_ok=True)
    document = scene.json("stop-services", "--timeout", "0")
    assert document["workers"] == 0
    assert document["processes"] >= 1


def test_containers_that_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    """With the answer of an engine; what engines answer is held in ``tests/workers/executors/docker``."""
    monkeypatch.setattr("clx.workers.executors.docker.preflight.preflight", lambda *_: ["slow disk"])
    monkeypatch.chdir(tmp_path)
    cli.main(["docker", "check", "--format", "json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["warnings"]) == (True, ["slow disk"])
    assert list(document["images"]) == ["notebook", "plantuml", "drawio"]
    assert set(document) == documented("docker check")


# -- clx status --check ---------------------------------------------------------------------------


def test_check_is_content_with_nothing_and_with_services_that_are_well(scene: Scene) -> None:
    scene.decks("one")
    scene.clx("status", "--check")
    scene.clx("start-services", *ONLY_DECKS)
    assert scene.json("status", "--check")["warnings"] == []
    scene.clx("stop-services")
    scene.clx("status", "--check")


def test_check_fails_when_the_supervisor_is_gone(scene: Scene) -> None:
    scene.decks("one")
    scene.clx("start-services", *ONLY_DECKS)
    scene.kill(scene.supervisor(), signal.SIGKILL)
    until(lambda: scene.pids_of("clx.workers.supervision.supervisor") == [])
    said = scene.clx("status", "--check", code=1).stdout
    assert "The supervisor of the services is gone" in said
    assert scene.clx("status").stdout  # without it the exit code says only whether it could be read
    scene.clx("stop-services")


def test_check_fails_when_nobody_takes_what_waits(queue: Queue, tmp_path: Path) -> None:
    queue.enqueue(NewJob("t"))
    document = clx("status", "--check", cwd=tmp_path, code=1)
    assert "1 t job(s) wait and no worker takes them" in document["warnings"][0]
    assert clx("status", cwd=tmp_path)["warnings"] == document["warnings"]


def test_check_fails_when_a_worker_is_dead(queue: Queue, tmp_path: Path) -> None:
    with Database.open(tmp_path / ".clx" / "jobs.db") as database:
        at(WorkerTable(database), 0).register(
            type="t", pool="", mode="direct", host="elsewhere", pid=1, identity="x", version="1"
        )
    assert "is dead" in clx("status", "--check", cwd=tmp_path, code=1)["warnings"][0]


def test_check_of_what_cannot_be_read_stays_a_database_error(tmp_path: Path) -> None:
    (tmp_path / ".clx").mkdir()
    (tmp_path / ".clx" / "jobs.db").write_text("no database" * 500)
    assert clx("status", "--check", cwd=tmp_path, code=4)["exit_code"] == 4


def test_check_looks_once(tmp_path: Path) -> None:
    assert "--follow and --check" in clx("status", "--check", "--follow", cwd=tmp_path, code=2)["error"]["message"]
