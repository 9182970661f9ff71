"""Services under fire: supervisor and workers are killed at random while builds use them."""

from __future__ import annotations

import os
import random

import pytest
from tests.course.courses import tree
from tests.workers.scene import Scene, is_alive, until

ROUNDS = 20 if os.environ.get("CLX_SOAK") else 2
START = ("start-services", "--plantuml-workers", "0", "--drawio-workers", "0", "--notebook-workers", "2")


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_builds_come_out_right_whatever_is_killed(scene: Scene, seed: int) -> None:
    """The next start makes good what is missing, the stop leaves nothing."""
    dice = random.Random(seed)
    scene.decks("one", "two", "three", cell="import time; time.sleep(0.3); print('done')")
    scene.clx(*START)
    build = scene.begin("build", "course.yaml")
    for _ in range(3):
        until(lambda: build.poll() is not None or scene.running(), 20)
        targets = [*(row.pid for row in scene.workers() if row.service), *scene.pids_of("clx.workers.supervisor")]
        if build.poll() is None and targets:
            victim = dice.choice(targets)
            scene.kill(victim)
            until(lambda pid=victim: not is_alive(pid), 5)  # type: ignore[misc]
    output, _ = build.communicate(timeout=60)
    assert build.returncode in (0, 1), output
    if build.returncode == 1:
        assert "killed its worker" in output
    scene.clx(*START)
    scene.build()
    assert len([row for row in scene.workers() if row.service]) == 2
    names = [path for path in tree(scene.course.output) if path.endswith(".html") and "Completed" in path]
    assert len(names) == 3
    scene.clx("stop-services")
    assert scene.processes() == []
    assert scene.workers() == []
    assert not (scene.state / "worker-state.json").exists()


def test_silent_supervisor_does_not_stop_the_stop(scene: Scene) -> None:
    """SIGSTOP: it is killed after its time, and its workers are ended all the same."""
    import signal

    scene.clx(*START)
    scene.kill(scene.supervisor(), signal.SIGSTOP)
    scene.clx("stop-services", "--timeout", "0.2")
    assert scene.processes() == []
    assert scene.workers() == []


def test_two_databases_do_not_know_each_other(scene: Scene) -> None:
    """Stopping the services of one leaves those of the other."""
    other = str(scene.course.root / "other" / "jobs.db")
    scene.clx(*START)
    scene.clx(*START, "--db-path", other)
    scene.clx("stop-services", "--db-path", other)
    assert len(scene.workers()) == 2
    assert all(is_alive(row.pid) for row in scene.workers())
    assert scene.supervisor()
    scene.clx("stop-services")
    assert scene.processes() == []
