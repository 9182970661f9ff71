"""Services under fire: supervisor and workers are killed at random while builds use them."""

from __future__ import annotations

import random
import time

from tests.support.courses import tree
from tests.support.scene import BOTH, STORM, Scene, is_alive, until

from clx.db.workers import WorkerRow

START = ("start-services", "--plantuml-workers", "0", "--drawio-workers", "0", "--notebook-workers", "2")


def kill(scene: Scene, victim: WorkerRow | int) -> None:
    """SIGKILL to a worker, or to the process of that pid."""
    if isinstance(victim, int):
        scene.kill(victim)
        until(lambda: not is_alive(victim))
    else:
        scene.kill_worker(victim)
        until(lambda: not scene.lives(victim))


@STORM
def test_builds_come_out_right_whatever_is_killed(scene: Scene, seed: int) -> None:
    """The next start makes good what is missing, the stop leaves nothing."""
    if scene.mode == "docker":  # nobody sees a container of a killed supervisor die
        scene.settings("[jobs]\nlease = 3\nheartbeat = 0.5\n")
    dice = random.Random(seed)
    scene.decks("one", "two", "three", cell="import time; time.sleep(0.3); print('done')")
    scene.clx(*START)
    build = scene.begin("build", "course.yaml")
    for _ in range(3):
        until(lambda: build.poll() is not None or scene.running())
        workers = [row for row in scene.workers() if row.service and scene.lives(row)]
        supervisors = scene.pids_of("clx.workers.supervision.supervisor")
        if build.poll() is None and workers + supervisors:
            victims: list[WorkerRow | int] = [*workers, *supervisors]
            kill(scene, dice.choice(victims))
    output, _ = build.communicate(timeout=120)
    assert build.returncode in (0, 1), output
    if build.returncode == 1:
        assert "killed its worker" in output
    scene.clx(*START)
    scene.build()
    assert len([row for row in scene.workers() if row.service]) == 2
    names = [path for path in tree(scene.course.output) if path.endswith(".html") and "Completed/Week" in path]
    assert len(names) == 3
    scene.clx("stop-services")
    scene.await_nothing_left()
    assert not (scene.state / "worker-state.json").exists()


def test_silent_supervisor_does_not_stop_the_stop(scene: Scene) -> None:
    """SIGSTOP: it is woken and ends in order, without a wait for its whole time."""
    scene.clx(*START)
    scene.freeze(scene.supervisor())
    began = time.monotonic()
    scene.clx("stop-services", "--timeout", "100")
    assert time.monotonic() - began < 50
    scene.await_nothing_left()


@BOTH
def test_two_databases_do_not_know_each_other(scene: Scene) -> None:
    """Stopping the services of one leaves those of the other."""
    other = str(scene.course.root / "other" / "jobs.db")
    scene.clx(*START)
    scene.clx(*START, "--db-path", other)
    scene.clx("stop-services", "--db-path", other)
    assert len(scene.workers()) == 2
    assert all(scene.lives(row) for row in scene.workers())
    assert scene.supervisor()
    scene.clx("stop-services")
    assert scene.left() == []
