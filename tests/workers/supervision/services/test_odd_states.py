"""Services in states that nobody planned: a database that is gone, odd paths, two databases in one place (REQ-3)."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from tests.support.scene import GONE_IN, PATIENCE, WAITS, Scene, is_alive, until

from clx.db.database import Database
from clx.db.identity import process_identity
from clx.workers.supervision import service_state, services, supervisor

NOTEBOOK_ONLY = ("--plantuml-workers", "0", "--drawio-workers", "0")


def start(scene: Scene, *options: str) -> list[int]:
    """Start services; returns the pids of supervisor and workers, once the state file names them all."""
    scene.clx("start-services", *NOTEBOOK_ONLY, *options)
    rows = scene.workers()
    until(lambda: len(json.loads((scene.state / "worker-state.json").read_text())["workers"]) == len(rows))
    return [scene.supervisor(), *(row.pid for row in rows)]


@contextlib.contextmanager
def locked(scene: Scene) -> Iterator[None]:
    """Another process, this one, holds the write lock of the database."""
    connection = sqlite3.connect(scene.database, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def remove_database(scene: Scene) -> None:
    for path in scene.state.glob("jobs.db*"):
        path.unlink()


def stop_while_they_live(scene: Scene, supervisor: int, *options: str) -> str:
    """What ``stop-services`` says; the *supervisor*, frozen, goes on once that command has found it alive."""
    stopping = scene.begin("stop-services", *options)
    until(lambda: '"grace":null' not in _state_text(scene).replace(" ", ""))
    scene.kill(supervisor, signal.SIGCONT)
    said, _ = stopping.communicate(timeout=PATIENCE)
    assert stopping.returncode == 0, said
    return said


def _state_text(scene: Scene) -> str:
    """The state file; empty once it is gone."""
    try:
        return (scene.state / "worker-state.json").read_text()
    except FileNotFoundError:
        return ""


def assert_stopped(scene: Scene, pids: list[int]) -> None:
    until(lambda: not any(is_alive(pid) for pid in pids), GONE_IN)
    until(lambda: scene.processes() == [], GONE_IN)
    assert not (scene.state / "worker-state.json").exists()


def test_stop_without_the_database_ends_everything(scene: Scene) -> None:
    """REQ-3.5: the state file is enough; a second call is fine, with the path typed too."""
    pids = start(scene, "--notebook-workers", "2")
    scene.freeze(pids[0])  # it would soon end by itself
    remove_database(scene)
    told = stop_while_they_live(scene, pids[0], "--db-path", str(scene.database))
    assert "there is no database at" in told
    assert_stopped(scene, pids)
    for options in ([], ["--db-path", str(scene.database)]):
        assert "No services were running" in scene.clx("stop-services", *options).stdout
    assert not scene.database.exists()


def test_services_of_a_removed_database_are_named(scene: Scene) -> None:
    """Whoever looks learns that they run still, and what ends them."""
    supervisor, worker = start(scene)
    scene.kill(supervisor)
    scene.freeze(worker)  # it would soon end by itself
    remove_database(scene)
    for command in (["workers", "list"], ["status"], ["status", "--db-path", str(scene.database)]):
        failed = scene.clx(*command, code=4)
        assert f"was removed, but its services still run: pid {worker}." in failed.stderr
        assert f"clx stop-services --db-path {scene.database}" in failed.stderr
    scene.kill(worker, signal.SIGCONT)
    scene.clx("stop-services")
    assert_stopped(scene, [supervisor, worker])
    assert "There is no database" in scene.clx("status").stdout


def test_services_of_other_databases_are_named_where_nothing_runs(scene: Scene) -> None:
    """REQ-4.3: from another directory, `status` and `stop-services` say where services do run."""
    path = scene.course.root / "data" / "jobs.db"
    scene.clx("start-services", *NOTEBOOK_ONLY, "--db-path", str(path))
    for _ in range(2):  # without a database here, and with one
        assert f"clx stop-services --db-path {path}" in scene.clx("stop-services").stdout
        assert f"clx status --db-path {path}" in scene.clx("status").stdout
        assert scene.json("status")["services_elsewhere"] == [str(path)]
        with scene.open():
            pass
    scene.clx("stop-services", "--db-path", str(path))
    assert "another database" not in scene.clx("stop-services").stdout
    assert scene.json("status")["services_elsewhere"] == []


def test_stop_without_database_and_supervisor_ends_the_workers(scene: Scene) -> None:
    """REQ-3.5: one that does not listen (SIGSTOP) too."""
    pids = start(scene, "--notebook-workers", "2")
    scene.kill(pids[0])
    scene.freeze(pids[1])
    scene.freeze(pids[2])  # it would soon end by itself, and must not before it is asked to
    remove_database(scene)
    assert "2 process(es) ended" in scene.clx("stop-services", "--timeout", "0.2").stdout
    assert_stopped(scene, pids)


def test_supervisor_of_a_removed_database_leaves_no_state_file(scene: Scene) -> None:
    """REQ-3.5: it ends by itself, and nothing is left for `stop-services` to do."""
    pids = start(scene)
    remove_database(scene)
    until(lambda: not is_alive(pids[0]))
    assert not (scene.state / "worker-state.json").exists()
    assert "No services were running" in scene.clx("stop-services").stdout
    assert_stopped(scene, pids)


def test_stop_with_a_damaged_database(scene: Scene) -> None:
    """REQ-3.5: what cannot be read is said, and left as it is."""
    pids = start(scene)
    scene.freeze(pids[0])  # it would soon end by itself
    remove_database(scene)
    scene.database.write_text("no database" * 500)
    assert "is no usable database" in stop_while_they_live(scene, pids[0])
    assert_stopped(scene, pids)
    assert scene.database.read_text() == "no database" * 500
    assert "Not a usable CLX database" in scene.clx("stop-services", code=4).stderr


def test_stop_names_a_path_where_clx_never_was(scene: Scene) -> None:
    """A misspelt path is no success."""
    failed = scene.clx("stop-services", "--db-path", str(scene.course.root / "typo" / "jobs.db"), code=4)
    assert "There is no database" in failed.stderr


def test_one_directory_serves_one_database(scene: Scene) -> None:
    """REQ-3.3: the state file has one place; services of a second database beside it are refused, not mixed up."""
    scene.decks("one")
    data = scene.course.root / "data"
    first, second = (data / f"{name}.db" for name in ("first", "second"))
    scene.clx("start-services", *NOTEBOOK_ONLY, "--db-path", str(first))
    failed = scene.clx("start-services", *NOTEBOOK_ONLY, "--db-path", str(second), code=2)
    assert f"clx stop-services --db-path {first}" in failed.stderr
    assert not second.exists()
    scene.build("--db-path", str(second))
    assert "No services were running" in scene.clx("stop-services", "--db-path", str(second)).stdout
    assert scene.json("status", "--db-path", str(second))["services"]["supervisor"] is None
    assert scene.json("status", "--db-path", str(first))["services"]["supervisor"] == "running"
    link = scene.course.root / "link"
    link.symlink_to(data)
    assert "1 worker(s) stopped" in scene.clx("stop-services", "--db-path", str(link / "first.db")).stdout
    assert scene.processes() == []


def test_commands_to_type_quote_paths(scene: Scene) -> None:
    """What a hint says can be pasted into a shell."""
    path = scene.course.root / "it's here" / "clx jobs.db"
    told = scene.clx("start-services", *NOTEBOOK_ONLY, "--db-path", str(path)).stdout
    hints = [line.partition(": ")[2] for line in told.splitlines() if line.startswith("Stop them: ")]
    scene.decks("one")
    elsewhere = scene.clx("workers", "list").stdout.partition("another database: ")[2]
    assert "notebook" in scene.clx(*words(elsewhere)).stdout
    beside = scene.course.root / "it's here" / "other.db"
    failed = scene.clx("start-services", *NOTEBOOK_ONLY, "--db-path", str(beside), code=2)
    assert hints[0] in failed.stderr
    assert "1 worker(s) stopped" in scene.clx(*words(hints[0])).stdout
    refused = scene.build("--no-auto-start", "--db-path", str(path), code=3)
    scene.clx(*words(refused.stderr.split("Start one: ")[1]), *NOTEBOOK_ONLY)
    assert "Using 1 running" in scene.build("--no-auto-start", "--db-path", str(path)).stdout
    scene.clx(*words(hints[0]))
    made = scene.clx("new", "my course").stdout.partition("Type: ")[2]
    assert words(made)[1] == "my course/course.yaml"


def words(command: str) -> list[str]:
    """The arguments of a command as a shell takes them apart, without ``clx``."""
    found = subprocess.run(
        ["sh", "-c", 'printf "%s\\0" ' + command.splitlines()[0]], capture_output=True, text=True, check=True
    )
    return found.stdout.split("\0")[1:-1]


def test_systemd_unit_takes_every_path(scene: Scene, tmp_path: Path) -> None:
    """REQ-3.2: specifiers, variables, quotes, blanks and backslashes are written as systemd reads them."""
    folder = scene.course.root / 'a %n $HOME "q" \\x'
    unit = scene.clx("start-services", "--print-systemd", "--db-path", f"{folder}/it's.db").stdout
    root = scene.course.root
    written = f'"{root}/a %%n $$HOME \\"q\\" \\\\x/it\'s.db"'
    assert f" start-services --foreground --db-path {written}\n" in unit
    assert f" stop-services --db-path {written} --timeout 30\n" in unit
    assert f'WorkingDirectory=-{root}/a %%n $HOME "q" \\x\n' in unit
    if shutil.which("systemd-analyze"):
        file = tmp_path / "clx-test.service"
        file.write_text(unit)
        checked = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
    assert f'ReadWritePaths="-{root}/a %%n $HOME \\"q\\" \\\\x"\n' in unit
    assert "cannot be written" in scene.clx("start-services", "--print-systemd", "--db-path", "a\nb.db", code=2).stderr


def test_systemd_unit_names_a_user_and_takes_away_what_no_worker_needs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs as whoever printed it, never as root by default; nothing that workers need is taken away."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    printed = scene.clx("start-services", "--print-systemd")
    lines = printed.stdout.splitlines()
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert [line for line in lines if line.startswith(("User=", "#"))] == [f"User={me}"]
    assert ("The unit runs as root, which you are." in printed.stderr) is (me == "root")
    assert {"NoNewPrivileges=yes", "ProtectSystem=full", "OOMPolicy=continue"} <= set(lines)
    needed = ("PrivateTmp", "ProtectHome", "ProtectProc", "ProcSubset", "PrivateDevices", "DevicePolicy",
              "ProtectClock", "PrivateNetwork", "RestrictNamespaces", "MemoryDenyWriteExecute", "RestrictSUIDSGID",
              "PrivateUsers", "SystemCallFilter", "DynamicUser")  # fmt: skip
    assert [line for line in lines if line.startswith(needed)] == []
    if me == "root":
        nobody = pwd.getpwnam("nobody")
        sudo = scene.clx("start-services", "--print-systemd", SUDO_UID=str(nobody.pw_uid))
        assert "\nUser=nobody\n" in sudo.stdout
        assert sudo.stderr == ""


def test_systemd_unit_keeps_the_projects_settings(scene: Scene) -> None:
    """REQ-2.3: what holds where the unit is printed holds for the service."""
    scene.settings("[workers]\ndefault_worker_count = 1\n")
    unit = scene.clx("start-services", "--print-systemd", "--db-path", "/data/clx jobs.db").stdout
    assert f"WorkingDirectory=-{scene.course.root}\n" in unit
    program = unit.partition("ExecStart=")[2].partition(" start-services")[0].split()
    assert "version" in subprocess.run([*program, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_file_that_is_no_job_table_is_refused_untouched(scene: Scene, mode: str) -> None:
    """Nothing is written, neither to the file nor beside it."""
    folder = scene.course.root / "data"
    folder.mkdir()
    text, other = folder / "notes.txt", folder / "browser.sqlite"
    text.write_text("Dear diary" * 100)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE bookmarks (id)")
    connection.commit()
    connection.close()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    scene.decks("one")
    for path in (text, other):
        for command in (["start-services", *NOTEBOOK_ONLY], ["build", "course.yaml"]):
            failed = scene.clx(*command, "--db-path", str(path), code=4, CLX_DATABASE__JOURNAL_MODE=mode)
            assert str(path) in failed.stderr
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_start_on_a_locked_database_names_the_holder(scene: Scene) -> None:
    """As a build does: soon, with exit code 4; nothing is started."""
    with scene.open():
        pass
    began = time.monotonic()
    with locked(scene):
        failed = scene.clx("start-services", *NOTEBOOK_ONLY, code=4)
    assert time.monotonic() - began < 35  # it waits 10 s, and does not try four times
    assert str(scene.database) in failed.stderr
    assert str(os.getpid()) in failed.stderr
    assert scene.processes() == []
    assert not (scene.state / "worker-state.json").exists()


def test_database_locked_while_workers_are_awaited(scene: Scene) -> None:
    """What the supervisor and the workers meet reaches the command that waits for them; nothing of it is left."""
    with scene.open():
        pass
    is_locked, begun = scene.state / "is-locked", scene.state / "begun"
    held_up = f"""import pathlib, sys, time
if "clx.workers" in sys.orig_argv:
    pathlib.Path({str(begun)!r}).touch()
    while not pathlib.Path({str(is_locked)!r}).exists():
        time.sleep(0.01)
"""
    starting = scene.begin("start-services", *NOTEBOOK_ONLY, **scene.broken_workers(held_up))
    until(begun.exists)
    with locked(scene):
        is_locked.touch()
        told, _ = starting.communicate(timeout=120)
    assert starting.returncode == 4, told
    assert str(os.getpid()) in told
    scene.clx("stop-services")
    assert scene.processes() == []


def test_supervisor_that_does_not_answer_is_named(scene: Scene) -> None:
    """Not after all the time that workers have for starting; with what to type, which then works."""
    supervisor, *_ = start(scene)
    scene.freeze(supervisor)
    failed = scene.clx("start-services", *NOTEBOOK_ONLY, "--notebook-workers", "2", code=3)
    assert f"pid {supervisor}, is stopped" in failed.stderr
    assert f"kill -CONT {supervisor}" in failed.stderr
    scene.kill(supervisor, signal.SIGCONT)
    scene.clx("start-services", *NOTEBOOK_ONLY, "--notebook-workers", "2")
    assert len(scene.workers()) == 2
    scene.clx("stop-services")
    assert scene.processes() == []


def test_stop_on_a_locked_database_stops_nothing(scene: Scene) -> None:
    """Jobs could not be handed back: the holder is named, all go on, and the next call ends them."""
    pids = start(scene)
    with locked(scene):
        failed = scene.clx("stop-services", code=4, CLX_DATABASE__BUSY_TIMEOUT="1")
        assert all(is_alive(pid) for pid in pids)
    assert str(os.getpid()) in failed.stderr
    assert "1 worker(s) stopped" in scene.clx("stop-services").stdout
    assert_stopped(scene, pids)


def test_database_locked_while_services_are_stopped(scene: Scene) -> None:
    """Nobody is left behind by the first call; the second writes it down."""
    supervisor, worker = start(scene)
    with contextlib.ExitStack() as table:
        with service_state.locked(scene.state, "services-state"):
            stopping = scene.begin("stop-services", "--timeout", "0", CLX_DATABASE__BUSY_TIMEOUT="1")
            lock = str(scene.state / "locks" / "services-state")  # it wants this one when it has seen that it can write
            until(lambda: lock in [file.path for file in psutil.Process(stopping.pid).open_files()])
            table.enter_context(locked(scene))
        told, _ = stopping.communicate(timeout=120)
        assert stopping.returncode == 4, told
        assert not is_alive(supervisor)
        assert not is_alive(worker)
    assert "No services were running" in scene.clx("stop-services").stdout
    assert_stopped(scene, [supervisor, worker])


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_lock_longer_than_a_lease_costs_no_worker_and_no_run(scene: Scene, journal: Literal["wal", "delete"]) -> None:
    """Nobody could say that he lives: the supervisor blames no worker for it, and no job loses a run."""
    scene.state.mkdir(exist_ok=True)
    Database.open(scene.database, journal_mode=journal).close()
    scene.settings("[jobs]\nlease = 1.5\nheartbeat = 0.3\n")
    start(scene)
    [worker] = scene.workers()
    go = scene.state / "go"
    job = scene.enqueue(worker.pool, source=WAITS.format(go=go))
    until(scene.running)
    with scene.open() as database:
        connection = database.connection()
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(7)  # for the supervisor, to find the worker silent for a whole lease, and more
        connection.execute("COMMIT")
    beat = worker.heartbeat_at
    until(lambda: [row for row in scene.workers() if row.heartbeat_at > beat + 7000])
    go.touch()
    [done] = until(lambda: scene.jobs("succeeded"))
    assert (done.id, done.run, [row.id for row in scene.workers()]) == (job, 1, [worker.id])
    scene.clx("stop-services")


def test_supervisor_that_begins_while_services_are_stopped_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed command may have launched it; with the state file gone it would write another and go on (REQ-3.5)."""
    late = subprocess.Popen(["sleep", "60"])
    end_services = supervisor.end_services

    def begins_meanwhile(*arguments: Any, **options: Any) -> Any:
        if late.poll() is None:
            state = service_state.ServiceState(str(database.path), supervisor=process_identity(late.pid))
            service_state.update_state(database.state.path, lambda _: state)
        return end_services(*arguments, **options)

    monkeypatch.setattr(services, "end_services", begins_meanwhile)
    try:
        with Database.open(tmp_path / "jobs.db") as database:
            services.stop_services(database, timeout=0.0)
            assert service_state.read_state(database.state.path) is None
        assert late.poll() is not None
    finally:
        late.kill()
        late.wait()
