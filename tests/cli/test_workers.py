"""``clx workers``: who is there and how they are; hung and dead told apart; nobody else is touched (REQ-5)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.scene import BOTH, CONTAINER_SETTINGS, GONE_IN, ONLY_DECKS, PATIENCE, Scene, is_alive, until

from clx import __version__
from clx.cli.main import cli
from clx.db.database import Database
from clx.db.identity import process_identity
from clx.db.workers import WorkerTable, register_this_process

START = ("start-services", *ONLY_DECKS)
QUICK_BEATS = "[jobs]\nlease = 60\nheartbeat = 0.2\n"


def listed(scene: Scene, *options: str) -> list[dict[str, object]]:
    document: dict[str, list[dict[str, object]]] = scene.json("workers", "list", *options)
    return document["workers"]


@BOTH
def test_list_shows_every_field(scene: Scene) -> None:
    """REQ-5.1, REQ-5.3: what a worker registers with, as JSON and as a table."""
    before = time.time()
    scene.clx(*START)
    [worker] = listed(scene)
    assert (worker["type"], worker["mode"], worker["status"]) == ("notebook", scene.mode, "idle")
    assert [worker["container_id"]] == ([each.id for each in scene.containers()] or [None])
    assert scene.mode == "docker" or is_alive(int(str(worker["pid"])))
    assert before - 1 < float(str(worker["started_at"])) < time.time()
    assert (worker["jobs_succeeded"], worker["jobs_failed"], worker["current_job"]) == (0, 0, None)
    assert float(str(worker["uptime"])) >= 0
    assert scene.mode == "docker" or int(str(worker["memory"])) > 5 << 20
    assert worker["config_source"] == ("default" if scene.mode == "direct" else CONTAINER_SETTINGS)
    table = scene.clx("workers", "list").stdout
    assert table.splitlines()[0].split()[:8] == [
        "ID", "TYPE", "STATUS", "MODE", "VERSION", "JOBS", "FAILED", "UPTIME",
    ]  # fmt: skip
    assert table.splitlines()[1].split()[:7] == ["1", "notebook", "idle", scene.mode, __version__, "0", "0"]
    scene.clx("stop-services")


def test_busy_names_its_job(scene: Scene) -> None:
    """REQ-5.3."""
    scene.clx(*START)
    job = scene.enqueue(scene.workers()[0].pool, source="import time; time.sleep(60)")
    until(scene.running)
    [worker] = listed(scene)
    assert worker["status"] == "busy"
    assert worker["current_job"] == {"id": job, "type": "notebook", "what": "slides_x.py execute en"}
    scene.clx("stop-services", "--timeout", "0")


def test_hung_is_alive_and_silent_dead_is_gone(scene: Scene) -> None:
    """REQ-5.3: the two are told apart and shown with the reason."""
    scene.settings(QUICK_BEATS)
    scene.clx(*START, "--notebook-workers", "2")
    scene.kill(scene.supervisor())
    silent, gone = scene.workers()
    scene.freeze_worker(silent)
    scene.kill(gone.pid)
    until(lambda: [each["status"] for each in listed(scene)] == ["hung", "dead"])
    first, second = listed(scene)
    assert "alive, but silent" in str(first["reason"])
    assert second["reason"] == f"process {gone.pid} is gone"
    assert "Warning: Worker #1 (notebook) is hung" in scene.clx("status").stdout
    scene.clx("stop-services", "--timeout", "0")
    until(lambda: scene.processes() == [], GONE_IN)


@BOTH
def test_cleanup_strikes_off_the_dead(scene: Scene) -> None:
    """REQ-5.4: rows; a dry run changes nothing; a second one finds nothing."""
    if scene.mode == "docker":  # nobody here sees into a container; it is silent for a lease
        scene.settings("[jobs]\nlease = 2\nheartbeat = 0.3\n")
    scene.clx(*START)
    [row] = scene.workers()
    scene.kill(scene.supervisor())
    scene.kill_worker(row)
    until(lambda: not scene.lives(row))
    if scene.mode == "docker":
        until(lambda: [each["status"] for each in listed(scene)] == ["dead"])
    would = scene.json("workers", "cleanup", "--dry-run")
    assert ("worker", "1") in [(each["kind"], each["name"]) for each in would["cleaned"]]
    assert len(scene.workers()) == 1
    assert "worker 1: " in scene.clx("workers", "cleanup").stdout
    scene.await_nothing_left()
    assert scene.clx("workers", "cleanup").stdout == "Nothing to clean up.\n"
    scene.clx("stop-services")


def test_cleanup_ends_orphans_and_only_those(scene: Scene) -> None:
    """REQ-5.4: a process whose row has ended is ended; services and strangers are not."""
    scene.clx(*START, "--notebook-workers", "2")
    keep, orphan = scene.workers()
    scene.kill(scene.supervisor())
    scene.freeze_worker(orphan)  # so that it does not see that it was struck off
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with scene.open() as database:
            table = WorkerTable(database)
            table.end(orphan.id, "given up on", dead=True)
            table.register(
                type="notebook", pool="x", mode="direct", host="elsewhere", pid=stranger.pid,
                identity=f"another-boot/1/{stranger.pid}/1", version="0", batch_id=99,
            )  # fmt: skip
        cleaned = scene.json("workers", "cleanup")["cleaned"]
        assert [(each["kind"], each["name"]) for each in cleaned] == [("process", str(orphan.pid))]
        assert not is_alive(orphan.pid)
        assert is_alive(keep.pid)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    scene.clx("stop-services")


@BOTH
def test_stop_single_workers(scene: Scene) -> None:
    """A service worker that was stopped on purpose is not replaced; its job is handed back."""
    scene.clx(*START, "--notebook-workers", "2")
    job = scene.enqueue(scene.workers()[0].pool, source="import time; time.sleep(60)")
    busy = until(scene.running).worker_id
    assert scene.clx("workers", "stop", str(busy), "--timeout", "0.1").stdout == f"Worker #{busy} stopped.\n"
    until(lambda: (now := scene.running()) is not None and now.worker_id != busy)
    assert scene.running().id == job
    assert "had ended already" in scene.clx("workers", "stop", str(busy)).stdout
    until(lambda: scene.json("status")["services"]["wanted"] == {"notebook": 1})
    assert len(scene.workers()) == 1
    assert "There is no worker #99" in scene.clx("workers", "stop", "99", code=2).stderr
    scene.clx("stop-services", "--timeout", "0")


@BOTH
def test_logs_of_one_worker(scene: Scene) -> None:
    """REQ-8.1, REQ-8.2: start and stop with type, mode, origin, reason, jobs, uptime."""
    scene.clx(*START, "--notebook-workers", "2")
    follower = scene.begin("workers", "logs", "1", "-f")
    scene.clx("workers", "stop", "1")
    output, _ = follower.communicate(timeout=PATIENCE)
    assert "worker 1 started: notebook" in output
    assert "worker 1 ended: clx workers stop; 0 jobs in" in output
    assert "worker 2" not in output
    assert len(scene.clx("workers", "logs", "1", "--format", "json").stdout.splitlines()) == 2
    [started] = [entry for entry in scene.log() if entry.get("action") == "worker_started" and entry["worker"] == 1]
    assert (started["type"], started["mode"], started["config_source"]) == (
        "notebook",
        scene.mode,
        "--notebook-workers" if scene.mode == "direct" else f"--notebook-workers, {CONTAINER_SETTINGS}",
    )
    [stopped] = [entry for entry in scene.log() if entry.get("action") == "worker_stopped"]
    assert (stopped["reason"], stopped["jobs"]) == ("clx workers stop", 0)
    assert stopped["uptime"] > 0
    scene.clx("stop-services")


def test_nothing_there_is_not_an_error(scene: Scene) -> None:
    """An idle project without a database; and nothing is made by looking."""
    assert listed(scene) == []
    assert "Nothing to clean up" in scene.clx("workers", "cleanup").stdout
    assert scene.json("status")["state"] == "idle"
    assert scene.json("jobs", "list") == {"jobs": []}
    scene.clx("stop-services")
    assert not scene.database.exists()
    assert "Idle" in scene.clx("status", CLX_DATABASE__PATH="/nowhere/jobs.db").stdout
    missing = scene.clx("workers", "list", "--db-path", "/nowhere/jobs.db", code=4)
    assert "There is no database at /nowhere/jobs.db" in missing.stderr


def logs_of_worker_1(database: Path, path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """What ``workers logs 1 -f`` prints of a worker that says its last word when the command calls *name*."""
    with Database.open(database) as opened:
        worker = register_this_process(opened, "notebook")
        WorkerTable(opened).end(worker, "asked")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()

    def says_its_last_word(*_arguments: object) -> None:
        with path.open("a") as stream:
            line = {"at": time.time(), "level": "info", "worker": 1, "action": "worker_stopped", "message": "ended"}
            stream.write(json.dumps(line) + "\n")

    monkeypatch.setattr(name, says_its_last_word)
    done = CliRunner().invoke(cli, ["workers", "logs", "1", "-f", "--db-path", str(database)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("moment", ["_print_output", "time.sleep"])
def test_last_word_of_a_worker_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Said between the look at the old lines and the wait for new ones; or later than its row says that it ended."""
    name = moment if moment == "time.sleep" else f"clx.cli.workers.{moment}"
    said = logs_of_worker_1(tmp_path / "jobs.db", tmp_path / ".clx" / "logs" / "clx.jsonl", monkeypatch, name)
    assert said.count("ended") == 1


def test_looking_never_writes(scene: Scene) -> None:
    """Reading commands work on a file that may not be written."""
    scene.decks("one")
    scene.build()
    before = scene.database.stat()
    for command in (["workers", "list", "--all"], ["status"], ["jobs", "list"], ["jobs", "show", "1"]):
        scene.clx(*command)
    after = scene.database.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


def test_own_pid_is_judged_by_identity() -> None:
    """A recycled pid is another process."""
    from clx.db.identity import is_gone
    from clx.workers.processes import open_process, send_signal

    mine = process_identity()
    recycled = mine.rsplit("/", 1)[0] + "/1"
    assert not is_gone(mine)
    assert is_gone(recycled)
    assert open_process(recycled) == -1
    assert send_signal(recycled, signal.SIGKILL) is False
    os.close(open_process(mine))
