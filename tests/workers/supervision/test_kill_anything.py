"""SIGKILL, SIGSTOP, any process, any moment: builds end with the right output or the right error, in seconds."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import psutil
from docker.errors import APIError
from tests.support.courses import tree
from tests.support.scene import BOTH, GONE_IN, ONLY_DECKS, STORM, WAITS, Scene, until


def _executing(scene: Scene, deck: str) -> Any:
    """The job that runs the cells of a deck right now, or None."""
    running = [job for job in scene.jobs("running") if job.payload["source"].endswith(f"{deck}.py")]
    return next((job for job in running if job.payload["task"] == "execute"), None)


@BOTH
def test_job_of_a_killed_worker_runs_again_at_once(scene: Scene) -> None:
    """Design §3 rule 4: nobody waits for its lease. `jobs show` tells why (REQ-8.2: the death is logged)."""
    scene.settings("[jobs]\nlease = 300\nheartbeat = 60\n")
    scene.decks("one", "two")
    scene.course.deck("one", f'# %% tags=["keep"]\n{WAITS.format(go=scene.seen("go"))}\n')
    build = scene.begin("build", "course.yaml", "--notebook-workers", "2")
    until(lambda: len(scene.workers()) == 2)
    job = until(lambda: _executing(scene, "one"))
    victim = next(row for row in scene.workers() if row.id == job.worker_id)
    scene.kill_worker(victim)
    until(lambda: (now := scene.running()) is not None and now.run == job.run + 1, 30)
    (scene.shared / "go").touch()
    assert build.wait(60) == 0
    story = scene.clx("jobs", "show", str(job.id)).stdout
    assert f"Run 1 on worker #{victim.id}: rescued: its worker was killed by SIGKILL" in story
    [dead] = [entry for entry in scene.log() if entry.get("action") == "worker_dead"]
    assert (dead["worker"], dead["cause"]) == (victim.id, {"kind": "signal", "signal": "SIGKILL"})


@BOTH
def test_job_of_a_silent_worker_runs_again_after_its_lease(scene: Scene) -> None:
    """A worker that is frozen is given up on, ended and replaced."""
    scene.settings("[jobs]\nlease = 4\nheartbeat = 0.3\n")
    scene.decks("one", cell=WAITS.format(go=scene.seen("go")))
    build = scene.begin("build", "course.yaml")
    job = until(scene.executing)
    [victim] = scene.workers()
    scene.freeze_worker(victim)
    until(lambda: (now := scene.running()) is not None and now.run > job.run, 25)  # the default lease is 30 s
    (scene.shared / "go").touch()
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 0, output
    assert "has been silent" in output
    assert "silent" in scene.clx("jobs", "show", str(job.id)).stdout


@BOTH
def test_deck_that_kills_its_worker_every_time_fails_in_the_end(scene: Scene) -> None:
    """The build ends with the right error; the other deck is done."""
    scene.decks("good")
    scene.decks("bad", cell=KILLS_WORKER)
    scene.course.write("course.yaml", scene.course.root.joinpath("course.yaml").read_text() + "      - good\n")
    failed = scene.build(code=1)
    assert "killed its worker 3 times" in failed.stderr
    job = next(job for job in scene.jobs("failed"))
    assert [run["cause"]["signal"] for run in scene.runs(job.id)] == ["SIGKILL"] * 3
    assert any("good" in path for path in tree(scene.course.output))


KILLS_WORKER = """import psutil, time
me = psutil.Process()
mine = {each.pid for each in me.parents()}
for each in psutil.process_iter(["cmdline"]):
    words = each.info["cmdline"] or []
    if each.pid in mine and "clx.workers" in words and each.pid != 1:
        each.kill()
time.sleep(30)"""


@STORM
def test_any_process_may_be_killed_at_any_moment(scene: Scene, seed: int) -> None:
    """Workers, kernels and their parents, containers: the output is that of an undisturbed build."""
    dice = random.Random(seed)
    scene.decks("one", "two", "three", cell="import time; time.sleep(0.2); print('done')")
    scene.build("-o", "undisturbed", "--db-path", str(scene.course.root.parent / "other" / "jobs.db"))
    build = scene.begin("build", "course.yaml", "--notebook-workers", "2")
    for _ in range(3):
        until(lambda: build.poll() is not None or scene.running())
        helpers: list[Any] = [process for process in scene.processes() if process.pid != build.pid]
        helpers += scene.containers()
        if build.poll() is None and helpers:
            victim = dice.choice(helpers)
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired, APIError):
                victim.kill()
                victim.wait(timeout=5)
    output, _ = build.communicate(timeout=120)
    assert build.returncode in (0, 1), output
    if build.returncode == 1:
        assert "killed its worker" in output or "kernel" in output
        scene.build()
    assert tree(scene.course.output) == tree(scene.course.root / "undisturbed")
    if scene.mode == "docker":
        scene.clx("status")  # should build and reaper have been killed
    until(lambda: scene.left() == [], GONE_IN)


@BOTH
def test_build_that_is_killed_goes_on_where_it_stopped(scene: Scene) -> None:
    """With services: they finish what was under way, and stay."""
    scene.decks("one", "two", cell="import time; time.sleep(0.5)")
    scene.clx("start-services", *ONLY_DECKS)
    build = scene.begin("build", "course.yaml")
    until(scene.running)
    build.kill()
    build.wait()
    assert "Using 1 running" in scene.build().stdout
    assert scene.jobs("failed") == []
    scene.clx("stop-services")
    assert scene.left() == []
