"""Persistent workers: started once, kept, used, stopped; nothing is left and nobody else is hurt (REQ-3)."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from tests.support.courses import Course
from tests.support.scene import BOTH, GONE_IN, ONLY_DECKS, PATIENCE, WAITS, Scene, is_alive, until

from clx.db.workers import WorkerRow, WorkerTable
from clx.workers.supervision.restart_policy import CRASH_LIMIT


def start(scene: Scene, *options: str) -> str:
    return scene.clx("start-services", *ONLY_DECKS, *options).stdout


def kernel_directories(pid: int) -> list[Path]:
    """What a worker's kernels keep in the directory for temporary files."""
    return list(Path(tempfile.gettempdir()).glob(f"clx-k-{pid}-*"))


def kill_and_await_burial(scene: Scene, row: WorkerRow) -> None:
    scene.kill(row.pid)
    until(lambda: row.id not in [each.id for each in scene.workers()])


def assert_nothing_left(scene: Scene) -> None:
    scene.await_nothing_left()
    assert not (scene.state / "worker-state.json").exists()


@BOTH
def test_start_returns_when_workers_have_registered_and_stop_leaves_nothing(scene: Scene) -> None:
    """REQ-3.1, REQ-3.2, REQ-3.3, REQ-3.4, REQ-3.5."""
    told = start(scene, "--notebook-workers", "2")
    rows = scene.workers()
    assert [row.type for row in rows] == ["notebook", "notebook"]
    assert {row.state for row in rows} == {"idle"}
    assert "started #1, #2" in told
    assert all(scene.lives(row) for row in rows)
    assert "2 worker(s) stopped" in scene.clx("stop-services").stdout
    assert_nothing_left(scene)
    assert "No services were running" in scene.clx("stop-services").stdout


@BOTH
def test_second_start_starts_the_difference_and_says_so(scene: Scene) -> None:
    """REQ-3.4."""
    start(scene, "--notebook-workers", "1")
    document = json.loads(start(scene, "--notebook-workers", "3", "--format", "json"))
    assert document["started"] == [2, 3]
    assert "running already #1, #2, #3" in start(scene, "--notebook-workers", "2")
    assert len(scene.workers()) == 3
    scene.clx("stop-services")
    assert_nothing_left(scene)


@BOTH
def test_build_uses_services_names_them_and_leaves_them_running(scene: Scene) -> None:
    """REQ-3.6, REQ-3.7, REQ-5.2."""
    scene.decks("one", "two")
    start(scene, "--notebook-workers", "2")
    before = [row.id for row in scene.workers()]
    told = scene.build()
    assert "Using 2 running notebook worker(s): #1, #2." in told.stdout
    rows = scene.workers()
    assert [row.id for row in rows] == before
    assert sum(row.jobs_succeeded for row in rows) == 4
    assert [row.batch_id for row in scene.workers(live=False)] == [None, None]
    scene.clx("stop-services")


@pytest.mark.parametrize("option", ["--progress=plain", "--no-auto-start"])
def test_build_leaves_it_to_the_supervisor_to_replace_a_service_worker(scene: Scene, option: str) -> None:
    """The only one of its type is killed: the build neither starts another beside it nor gives up."""
    scene.decks("one", cell=WAITS.format(go=scene.seen("go")))
    start(scene)
    build = scene.begin("build", "course.yaml", option)
    job = until(scene.running)
    scene.kill(scene.workers()[0].pid)
    until(lambda: (now := scene.running()) is not None and now.worker_id != job.worker_id)
    (scene.shared / "go").touch()
    output, _ = build.communicate(timeout=30)
    assert build.returncode == 0, output
    assert [row.service for row in scene.workers(live=False)] == ["services", "services"]
    scene.clx("stop-services")


@BOTH
def test_build_starts_what_services_leave_to_be_wanted(scene: Scene) -> None:
    """REQ-3.6: the difference, which ends with the build."""
    scene.decks("one", "two", "three", cell=WAITS.format(go=scene.seen("go")))
    start(scene)
    build = scene.begin("build", "course.yaml", "--notebook-workers", "3")
    until(lambda: len(scene.workers()) == 3)
    (scene.shared / "go").touch()
    output, _ = build.communicate(timeout=PATIENCE)
    assert build.returncode == 0, output
    assert "Using 1 running notebook worker(s): #1." in output
    assert [(row.service, row.state) for row in scene.workers(live=False)] == [
        ("services", "idle"), (None, "stopped"), (None, "stopped"),
    ]  # fmt: skip
    scene.clx("stop-services")


@BOTH
def test_force_new_workers_ignores_services(scene: Scene) -> None:
    """REQ-3.6: services never take the jobs of a build that wants fresh workers."""
    scene.decks("one")
    start(scene)
    scene.build("--force-new-workers")
    service, *fresh = scene.workers(live=False)
    assert service.jobs_succeeded == 0
    assert sum(row.jobs_succeeded for row in fresh) == 2
    assert {row.state for row in fresh} == {"stopped"}
    assert [row.id for row in scene.workers()] == [service.id]
    scene.clx("stop-services")


def test_services_outlive_the_session_that_started_them(scene: Scene) -> None:
    """REQ-3.7: the shell's SIGHUP reaches neither supervisor nor workers."""
    start(scene)
    own = os.getsid(0)
    pids = [scene.supervisor(), *(row.pid for row in scene.workers())]
    assert all(os.getsid(pid) != own for pid in pids)
    assert len({os.getsid(pid) for pid in pids}) == 2
    scene.clx("stop-services")


@BOTH
def test_killed_worker_is_replaced(scene: Scene) -> None:
    """REQ-3.1: any one of them may crash."""
    start(scene)
    [first] = scene.workers()
    scene.kill_worker(first)
    [second] = until(lambda: [row for row in scene.workers() if row.id != first.id])
    assert scene.lives(second)
    [dead] = [row for row in scene.workers(live=False) if row.id == first.id]
    assert (dead.state, dead.reason) == ("dead", "ended: SIGKILL")
    scene.clx("stop-services")
    assert_nothing_left(scene)


@BOTH
def test_killed_supervisor_leaves_workers_working_and_is_replaced(scene: Scene) -> None:
    """REQ-3.1: the next start-services adopts the workers."""
    scene.decks("one")
    start(scene, "--notebook-workers", "2")
    before = {row.id for row in scene.workers()}
    first = scene.supervisor()
    scene.kill(first)
    until(lambda: not is_alive(first))
    assert "Using 2 running" in scene.build().stdout
    assert "running already #1, #2" in start(scene, "--notebook-workers", "2")
    assert {row.id for row in scene.workers()} == before
    adopted = next(iter(scene.workers()))
    scene.kill_worker(adopted)
    until(lambda: len([row for row in scene.workers() if row.id != adopted.id]) == 2)
    scene.clx("stop-services")
    assert_nothing_left(scene)


def test_start_tells_of_a_new_supervisor_and_of_fewer_workers(scene: Scene) -> None:
    """Starting stops nobody; the command it names does."""
    start(scene, "--notebook-workers", "2")
    assert "supervisor" not in start(scene, "--notebook-workers", "2")
    scene.kill(scene.supervisor())
    told = start(scene, "--notebook-workers", "1")
    assert "Their supervisor was gone: a new one keeps them now." in told
    assert "notebook: 1 asked for (--notebook-workers), 2 run and stay." in told
    scene.clx(*told.partition("To have fewer: clx ")[2].split())
    until(lambda: scene.json("status")["services"]["wanted"] == {"notebook": 1})
    assert len(scene.workers()) == 1


def test_worker_that_did_not_end_in_time_is_no_crash(scene: Scene) -> None:
    """It was killed on purpose, and that is what is said."""
    start(scene)
    [row] = scene.workers()
    scene.kill(scene.supervisor())
    scene.freeze_worker(row)
    told = scene.clx("stop-services", "--timeout", "0.1").stderr
    assert f"worker {row.id} did not end in time and was killed" in told
    assert "died" not in told


def test_stop_removes_what_killed_workers_left(scene: Scene) -> None:
    """A helper that outlived its worker may write after whoever buried that one removed its directory."""
    start(scene)
    [row] = scene.workers()
    kill_and_await_burial(scene, row)
    scene.course.write(f".clx/work/{row.id}/scratch/profile/Preferences", "written by a browser without an owner")
    scene.end()
    scene.clx("stop-services")
    assert not list((scene.state / "work").rglob("*"))
    assert_nothing_left(scene)


def test_database_has_one_note_by_whatever_path_it_is_named(scene: Scene, tmp_path: Path) -> None:
    """Other directories' commands name it once; its own directory's do not, under no name."""
    link, empty = tmp_path / "link", tmp_path / "empty"
    link.symlink_to(scene.course.root)
    empty.mkdir()
    start(scene, "--db-path", str(link / ".clx" / "jobs.db"))
    start(scene)
    other = Scene(Course(empty), empty / ".clx" / "jobs.db")
    assert other.json("workers", "list")["services_elsewhere"] == [str(scene.database)]
    assert Scene(Course(link), scene.database).json("workers", "list")["services_elsewhere"] == []
    scene.clx("stop-services", "--db-path", str(link / ".clx" / "jobs.db"))
    notes = Path(os.environ["XDG_STATE_HOME"]).rglob("services/*.json")
    assert [note for note in notes if str(tmp_path) in note.read_text(encoding="utf-8")] == []


def test_status_warns_of_a_supervisor_that_is_gone(scene: Scene) -> None:
    """Killed, or from before a reboot: with what to type, which makes it good."""
    start(scene)
    supervisor = scene.supervisor()
    scene.freeze(supervisor)
    assert f"kill -CONT {supervisor}" in scene.json("status")["warnings"][0]
    scene.kill(supervisor)
    until(lambda: scene.json("status")["services"]["supervisor"] == "gone")
    [warning] = scene.json("status")["warnings"]
    assert "The supervisor of the services is gone" in warning
    assert str(scene.state / "logs" / "supervisor.log") in warning
    told = scene.clx("status").stdout
    assert f"Warning: {warning}" in told
    scene.clx(*warning.partition("Type: clx ")[2].partition(", or:")[0].split())
    found = scene.json("status")
    assert (found["services"], found["warnings"]) == ({"supervisor": "running", "wanted": {"notebook": 1}}, [])


def test_status_warns_of_workers_that_are_started_no_more(scene: Scene) -> None:
    """A kind that died too often is idle only to the eye; it is told once, and asking again lifts it."""
    start(scene, "--notebook-workers", "2")
    for _ in range(CRASH_LIMIT):
        kill_and_await_burial(scene, until(scene.workers)[0])
    for row in scene.workers():
        kill_and_await_burial(scene, row)
    [found] = until(lambda: scene.json("status")["warnings"])
    assert "No more notebook workers are started as services. The notebook workers died 6 times in 60 s" in found
    assert ", the last one: SIGKILL. Its last line: " in found
    scene.clx(*found.partition("Type: clx ")[2].split())
    assert len(scene.workers()) == 2
    assert scene.json("status")["warnings"] == []


@BOTH
def test_stop_without_a_supervisor_ends_the_workers(scene: Scene) -> None:
    """REQ-3.5."""
    start(scene, "--notebook-workers", "2")
    scene.kill(scene.supervisor())
    assert "2 worker(s) stopped" in scene.clx("stop-services").stdout
    assert_nothing_left(scene)


def test_lost_state_file_does_not_hide_the_supervisor(scene: Scene) -> None:
    """REQ-3.5."""
    start(scene)
    (scene.state / "worker-state.json").unlink()
    until((scene.state / "worker-state.json").exists)
    scene.clx("stop-services")
    assert_nothing_left(scene)


@BOTH
def test_stop_drains_within_the_timeout(scene: Scene) -> None:
    """REQ-3.5: a job that fits into the timeout is finished, though it is longer than the grace period."""
    scene.settings("[workers]\ngrace_period = 0.1\n")
    start(scene)
    job = scene.enqueue(scene.workers()[0].pool, source="import time; time.sleep(1.5)")
    until(scene.running)
    scene.clx("stop-services", "--timeout", "20")
    assert [each.state for each in scene.jobs() if each.id == job] == ["succeeded"]
    assert_nothing_left(scene)


@BOTH
def test_stop_hands_unfinished_jobs_back_uncounted(scene: Scene) -> None:
    """REQ-3.5."""
    start(scene)
    [worker] = scene.workers()
    begun = scene.course.root / "begun"
    seen = f"open({str(begun)!r}, 'w').close(); " if scene.mode == "direct" else ""  # a container has no such place
    job = scene.enqueue(worker.pool, source=f"{seen}import time; time.sleep(600)")
    until(begun.exists if seen else scene.running)
    assert not seen or kernel_directories(worker.pid)
    began = time.monotonic()
    scene.clx("stop-services", "--timeout", "0.3")
    assert time.monotonic() - began < 30
    [found] = [each for each in scene.jobs() if each.id == job]
    assert (found.state, found.run - found.released) == ("queued", 0)
    assert [run["outcome"] for run in scene.runs(job)] == ["released"]
    until(lambda: kernel_directories(worker.pid) == [], GONE_IN)
    assert_nothing_left(scene)


@BOTH
def test_stop_kills_a_worker_that_does_not_listen(scene: Scene) -> None:
    """REQ-3.5: a frozen worker cannot hand anything back; its job is handed back for it."""
    start(scene)
    job = scene.enqueue(scene.workers()[0].pool, source="import time; time.sleep(60)")
    until(scene.running)
    scene.freeze_worker(scene.workers()[0])
    scene.clx("stop-services", "--timeout", "0.2")
    assert [(each.state, each.run - each.released) for each in scene.jobs() if each.id == job] == [("queued", 0)]
    assert_nothing_left(scene)


def test_stale_state_after_a_reboot_kills_nobody(scene: Scene) -> None:
    """REQ-3.5: pids of an earlier boot belong to others now."""
    start(scene)
    state = json.loads((scene.state / "worker-state.json").read_text())
    scene.clx("stop-services")
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        old_boot = f"00000000-0000-0000-0000-000000000000/1/{bystander.pid}/1"
        recycled = state["supervisor"].rsplit("/", 2)[0] + f"/{bystander.pid}/1"
        for identity in (old_boot, recycled):
            (scene.state / "worker-state.json").write_text(json.dumps({**state, "supervisor": identity}))
            scene.clx("stop-services")
            assert bystander.poll() is None
            assert not (scene.state / "worker-state.json").exists()
        (scene.state / "worker-state.json").write_text(json.dumps({**state, "supervisor": recycled}))
        assert "started" in start(scene)
        assert bystander.poll() is None
        scene.clx("stop-services")
    finally:
        bystander.kill()
        bystander.wait()


def test_workers_of_before_a_reboot_are_known_to_be_gone(scene: Scene) -> None:
    """REQ-3.5: at once, however short ago they were heard of; one of another machine may only be silent."""
    scene.settings("[jobs]\nlease = 604800\n")
    start(scene)
    [before] = scene.workers()
    scene.kill(scene.supervisor())
    scene.kill(before.pid)
    with scene.open() as database:
        last = int((psutil.boot_time() - 1) * 1000)
        earlier = f"00000000-0000-0000-0000-000000000000/1/{os.getpid()}/1"
        change = "UPDATE workers SET identity = ?, heartbeat_at = ?"
        database.write("age", lambda connection: connection.execute(change, (earlier, last)))
        WorkerTable(database).register(
            type="plantuml", pool="x", mode="direct", host="elsewhere", pid=7, identity=earlier, version="0"
        )
    gone, elsewhere = scene.json("workers", "list")["workers"]
    assert (gone["status"], gone["reason"]) == ("dead", "it was of an earlier boot of this machine")
    assert elsewhere["status"] == "idle"
    assert "started #3" in start(scene)
    scene.clx("stop-services")
    assert [row.id for row in scene.workers()] == [elsewhere["id"]]


@BOTH
def test_worker_that_cannot_start_is_told_and_leaves_nothing(scene: Scene) -> None:
    """REQ-7.2: retried, then exit code 3 with the reason, and everything is cleaned up."""
    broken = scene.broken_workers("import sys\nif 'clx.workers' in sys.orig_argv: sys.exit('no luck today')\n")
    failed = scene.clx("start-services", *ONLY_DECKS, code=3, **broken, CLX_WORKERS__STARTUP_RETRIES="2")
    assert "no luck today" in failed.stderr
    assert_nothing_left(scene)
    assert sum(entry.get("action") == "worker_not_started" for entry in scene.log()) == 3


def test_failing_addition_leaves_the_others_running(scene: Scene) -> None:
    """REQ-7.2."""
    start(scene)
    before = [row.pid for row in scene.workers()]
    failed = scene.clx("start-services", "--notebook-workers", "1", "--plantuml-workers", "0", "--drawio-workers", "0",
                       "--workers", "docker", code=3, DOCKER_HOST="unix:///nowhere/docker.sock")  # fmt: skip
    assert "Error: " in failed.stderr
    assert [row.pid for row in scene.workers()] == before
    scene.clx("stop-services")
    assert_nothing_left(scene)


@BOTH
def test_two_starts_at_once_start_what_was_asked_for_once(scene: Scene) -> None:
    """REQ-3.4."""
    both = [scene.begin("start-services", *ONLY_DECKS, "--notebook-workers", "2") for _ in range(2)]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    assert len(scene.workers()) == 2
    assert len(scene.pids_of("clx.workers.supervision.supervisor")) == 1
    scene.clx("stop-services")
    assert_nothing_left(scene)


@BOTH
def test_killed_start_command_is_made_good_by_the_next(scene: Scene) -> None:
    """REQ-3.4: at whatever moment; nothing is started twice."""
    for delay in (0.0, 0.15):
        command = scene.begin("start-services", *ONLY_DECKS, "--notebook-workers", "2")
        until((scene.state / "worker-state.json").exists)
        time.sleep(delay)
        command.kill()
        command.wait()
        start(scene, "--notebook-workers", "2")
        assert len(scene.workers()) == 2
        assert scene.supervisor()
        scene.clx("stop-services")
        until(lambda: scene.processes() == [], GONE_IN)  # a supervisor that the killed command launched may just begin
        assert_nothing_left(scene)


@pytest.mark.parametrize(
    ("mode", "delay"), [("direct", 0.0), ("direct", 0.05), ("direct", 0.1), ("docker", 0.05)], indirect=["mode"]
)
def test_stop_right_after_a_killed_start_leaves_nothing(scene: Scene, delay: float) -> None:
    """REQ-3.5: also when the supervisor has only just begun."""
    command = scene.begin("start-services", *ONLY_DECKS, "--notebook-workers", "2")
    until((scene.state / "worker-state.json").exists)
    time.sleep(delay)
    command.kill()
    command.wait()
    scene.clx("stop-services")
    assert_nothing_left(scene)


def test_commands_of_the_requirements_work_as_written(scene: Scene) -> None:
    """Appendix B, one after another."""
    scene.decks("one")
    path = scene.course.root / "data" / "clx_jobs.db"
    scene.clx("build", "course.yaml")
    scene.clx("start-services", f"--db-path={path}", *ONLY_DECKS)
    assert "Using 1 running" in scene.clx("build", "course.yaml", f"--db-path={path}").stdout
    assert str(path) in scene.clx("workers", "list").stdout
    scene.clx("stop-services", f"--db-path={path}")
    scene.clx("workers", "cleanup")
    assert scene.left() == []


@BOTH
def test_services_end_when_their_database_is_removed(scene: Scene) -> None:
    """Workers of a database that is gone have nothing to wait for."""
    start(scene)
    supervisor, rows = scene.supervisor(), scene.workers()
    while scene.state.exists():  # they may just write there
        shutil.rmtree(scene.state, ignore_errors=True)
    until(lambda: not is_alive(supervisor) and not any(scene.lives(row) for row in rows))
    until(lambda: scene.left() == [], GONE_IN)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("direct", "space in name.db"), ("direct", "ümläut.db"), ("docker", "ümläut in name.db")],
    indirect=["mode"],
)
def test_database_may_lie_anywhere(scene: Scene, name: str) -> None:
    """REQ-3.2, REQ-4.3: --db-path; found again from another directory without it (REQ-5.3)."""
    path = scene.course.root / "elsewhere" / name
    told = scene.clx("start-services", *ONLY_DECKS, "--db-path", str(path)).stdout
    assert str(path) in told
    assert scene.json("workers", "list")["services_elsewhere"] == [str(path)]
    scene.clx("stop-services", "--db-path", str(path))
    assert scene.json("workers", "list")["services_elsewhere"] == []
    assert scene.left() == []


def test_systemd_unit_runs_the_supervisor_in_the_foreground(scene: Scene) -> None:
    """REQ-3.2: what systemd would run starts the workers, and its SIGTERM ends them all."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(scene.clx("start-services", "--print-systemd", "--notebook-workers", "2").stdout)
    command = unit["Service"]["ExecStart"]
    assert "--foreground" in command
    assert "--notebook-workers 2" in command
    assert unit["Service"]["KillMode"] == "mixed"
    process = scene.begin("start-services", "--foreground", *ONLY_DECKS)
    until(scene.workers)
    scene.decks("one")
    assert "Using 1 running" in scene.build().stdout
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert_nothing_left(scene)
