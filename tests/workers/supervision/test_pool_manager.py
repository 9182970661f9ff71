"""``WorkerPoolManager`` as a program uses it, and the fixtures for other people's tests (REQ-6)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from tests.support.scene import BOTH, GONE_IN, ONLY_DECKS, PATIENCE, Scene, until
from tests.support.tools import require

from clx.db.clock import now_ms
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.errors import SettingsError, StartupError, WorkerStartupError
from clx.workers import WorkerConfig, WorkerPoolManager
from clx.workers.supervision import restart_policy as kept

ONE = [WorkerConfig("notebook")]
ROUNDS = 100 if os.environ.get("CLX_SOAK") else 3
QUICK_LEASE = "[jobs]\nlease = 2\nheartbeat = 0.3\n"


@BOTH
def test_starts_counts_keeps_and_stops(scene: Scene) -> None:
    """REQ-6.1: the verbs of the earlier API."""
    manager = WorkerPoolManager(
        db_path=scene.database,
        workspace_path=scene.course.root,
        worker_configs=[WorkerConfig(worker_type="notebook", count=2, execution_mode=scene.mode)],
    )
    started = manager.start_pools()
    assert started == {"notebook": [1, 2]}
    assert manager.get_worker_stats()["notebook"]["idle"] == 2
    manager.start_monitoring(check_interval=0.1)
    scene.kill_worker(scene.workers()[0])
    until(lambda: [row.id for row in scene.workers()] == [2, 3])
    manager.stop_pools(timeout=5)
    assert scene.workers() == []
    assert manager.get_worker_stats() == {}
    assert manager.start_pools() == {"notebook": [4, 5]}
    manager.close()
    manager.close()
    assert scene.left() == []


def test_a_killed_worker_is_noticed_between_two_looks(scene: Scene) -> None:
    """Looks are an hour apart; the end of a process of this machine wakes the monitoring."""
    with WorkerPoolManager(scene.database, worker_configs=ONE) as pools:
        pools.stop_monitoring()
        pools.start_monitoring(check_interval=3600)
        scene.kill_worker(scene.workers()[0])
        until(lambda: [row.id for row in scene.workers()] == [2])


@BOTH
def test_workers_do_jobs_and_leave_with_the_block(scene: Scene) -> None:
    """REQ-6.1: as a context manager; without configuration of any kind (REQ-6.3)."""
    with WorkerPoolManager(scene.database, worker_configs=ONE) as pools:
        job = scene.enqueue(scene.workers()[0].pool)
        [done] = Queue(pools.database).wait([job], timeout=PATIENCE)
        assert done.state == "succeeded"
        assert pools.get_worker_stats()["notebook"]["jobs_succeeded"] == 1
    assert scene.left() == []
    assert scene.workers() == []


def test_example_program_draws_its_pictures(tmp_path: Path) -> None:
    """REQ-6.1: the example works as it stands."""
    require("plantuml")
    program = Path(__file__).parents[3] / "examples" / "worker_pool.py"
    done = subprocess.run([sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["day.png", "question.png", "station.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))


def test_builds_use_the_workers_of_a_program(scene: Scene) -> None:
    """REQ-3.6, REQ-5.2: whoever keeps them."""
    scene.decks("one")
    with WorkerPoolManager(scene.database, worker_configs=ONE):
        assert "Using 1 running notebook worker(s): #1." in scene.build().stdout


@BOTH
def test_workers_end_with_the_program_however_it_ends(scene: Scene) -> None:
    """REQ-6.1: SIGKILL of the program; nothing is left."""
    program = (
        "import sys, time\nfrom clx.workers import WorkerConfig, WorkerPoolManager\n"
        "pools = WorkerPoolManager(sys.argv[1], worker_configs=[WorkerConfig('notebook', 2)])\n"
        "pools.start_pools()\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(scene.database)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    assert len(scene.workers()) == 2
    process.kill()
    process.communicate()
    scene.await_nothing_left()


@BOTH
def test_cleanup_strikes_off_workers_of_others_that_are_gone(scene: Scene) -> None:
    """REQ-6.1, REQ-5.4."""
    if scene.mode == "docker":
        scene.settings(QUICK_LEASE)
    scene.clx("start-services", *ONLY_DECKS)
    [row] = scene.workers()
    scene.kill(scene.supervisor())
    scene.kill_worker(row)
    until(lambda: not scene.lives(row))
    if scene.mode == "docker":  # nobody here sees into a container; it is silent for a lease
        until(lambda: now_ms() - row.heartbeat_at > 2500)
    manager = WorkerPoolManager(scene.database, worker_configs=ONE)
    assert manager.cleanup_stale_workers() == 1
    assert manager.cleanup_stale_workers() == 0
    manager.close()
    scene.clx("stop-services")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (WorkerConfig("notbook"), 'Did you mean "notebook"?'),
        (WorkerConfig("notebook", count=-1), "-1 is not a whole number"),
        (WorkerConfig("notebook", count="2"), "'2' is not a whole number"),  # type: ignore[arg-type]
        (WorkerConfig("notebook", execution_mode="podman"), "podman"),  # type: ignore[arg-type]
        (WorkerConfig("plantuml", execution_mode="docker"), "no image is named: plantuml workers need one"),
    ],
)
def test_wrong_configuration_is_told_before_anything_starts(scene: Scene, config: WorkerConfig, words: str) -> None:
    """REQ-2.2, REQ-6.1."""
    with pytest.raises(SettingsError, match=words.replace("?", r"\?")):
        WorkerPoolManager(scene.database, worker_configs=[config])
    with pytest.raises(SettingsError, match="There are two WorkerConfig"):
        WorkerPoolManager(scene.database, worker_configs=[WorkerConfig("drawio"), WorkerConfig("drawio", count=2)])
    assert scene.left() == []


def test_image_of_the_settings_is_taken_in_docker_mode(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-2.2: what a program leaves out the settings may name; here an image that nobody has."""
    monkeypatch.setenv("CLX_DOCKER__AUTO_PULL", "false")
    monkeypatch.setenv("CLX_WORKERS__PLANTUML__IMAGE", "clx-test:none")
    with pytest.raises(StartupError):
        WorkerPoolManager(scene.database, worker_configs=[WorkerConfig("plantuml", execution_mode="docker")])


@BOTH
def test_failed_start_leaves_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-7.2: retried, then the error, and no worker stays."""
    for name, value in scene.broken_workers("import sys\n'clx.workers' in sys.orig_argv and sys.exit('no')\n").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLX_WORKERS__STARTUP_RETRIES", "1")
    manager = WorkerPoolManager(scene.database, worker_configs=ONE)
    with pytest.raises(WorkerStartupError, match="no"):
        manager.start_pools()
    manager.close()
    assert scene.left() == []
    assert scene.workers() == []


def test_worker_that_goes_on_dying_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-3.1: replaced at once, then after a pause, then no more until somebody asks again."""
    monkeypatch.setattr(kept, "CRASH_LIMIT", 3)
    manager = WorkerPoolManager(scene.database, worker_configs=ONE)
    manager.start_pools()
    manager.start_monitoring(check_interval=0.02)
    paused = []
    for number in (1, 2, 3):
        [row] = until(scene.workers)
        assert row.id == number
        paused.append(bool(manager._group._not_before))
        scene.kill(row.pid)
        until(lambda id_=number: id_ not in [row.id for row in scene.workers()])  # type: ignore[misc]
    assert paused == [False, False, True]
    _, second, third = scene.workers(live=False)
    assert third.started_at - (second.ended_at or 0) >= 490  # half a second, after the second crash
    with scene.open() as database:
        assert WorkerTable(database).list() == []
    manager.stop_pools()
    assert manager.start_pools() == {"notebook": [4]}
    manager.close()


def cycle(scene: Scene) -> None:
    with WorkerPoolManager(scene.database, worker_configs=[WorkerConfig("notebook", count=2)]):
        pass


@BOTH
def test_start_and_stop_leak_nothing(scene: Scene) -> None:
    """Processes, files, rows in live states, descriptors, threads: the same after many cycles as after one."""
    cycle(scene)
    gc.collect()
    here = psutil.Process()
    children = here.children()  # those of other tests' fixtures
    descriptors, threads, files = here.num_fds(), threading.active_count(), files_of(scene)
    for _ in range(ROUNDS):
        cycle(scene)
    gc.collect()
    assert (here.num_fds(), threading.active_count()) == (descriptors, threads)
    assert files_of(scene) == files
    assert here.children() == children
    assert scene.left() == []
    assert scene.workers() == []


@BOTH
def test_services_started_and_stopped_leak_nothing(scene: Scene) -> None:
    """The same for `start-services` and `stop-services`."""
    commands = [
        ["start-services", *ONLY_DECKS, "--notebook-workers", "2"],
        ["stop-services"],
    ]
    for command in commands:
        scene.clx(*command)
    files = files_of(scene)
    for _ in range(ROUNDS if scene.mode == "direct" else 1):
        for command in commands:
            scene.clx(*command)
    assert files_of(scene) == files
    assert scene.left() == []
    assert scene.workers() == []


def files_of(scene: Scene) -> list[str]:
    """Every file of the project but SQLite's own and set-aside logs."""
    return sorted(
        path.relative_to(scene.course.root).as_posix()
        for path in scene.course.root.rglob("*")
        if not path.name.startswith("jobs.db-")
    )


PLUGIN_TEST = """
from clx.db.models import NewJob
from clx.workers import WorkerConfig

def test_queue_is_fresh(clx_queue, clx_database):
    assert clx_queue.search() == []
    clx_queue.enqueue(NewJob("notebook"))
    assert clx_database.exists()

def test_workers_are_real(clx_pools, clx_queue):
    pools = clx_pools(WorkerConfig("notebook"))
    assert pools.get_worker_stats()["notebook"]["idle"] == 1
    assert clx_queue.search() == []
"""


def test_fixtures_for_other_peoples_tests(tmp_path: Path) -> None:
    """REQ-6.2: in a project of its own, with nothing but the plugin."""
    (tmp_path / "test_theirs.py").write_text(PLUGIN_TEST)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_importing_the_plugin_costs_nothing() -> None:
    """REQ-6.2: it is loaded into every test run of everybody who has CLX installed."""
    program = "import sys, clx.pytest_plugin; print([m for m in sys.modules if m.startswith(('clx.db', 'msgspec'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "[]"


def test_interrupted_start_leaves_nothing(scene: Scene) -> None:
    """Ctrl-C while workers start; here they do not get far."""
    begun = scene.course.root / "begun"
    held_up = f"import sys, time\nif 'clx.workers' in sys.orig_argv: open({str(begun)!r}, 'w'), time.sleep(600)\n"
    process = scene.begin("start-services", "--notebook-workers", "4", *ONLY_DECKS, **scene.broken_workers(held_up))
    until(begun.exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    until(lambda: scene.left() == [], GONE_IN)
