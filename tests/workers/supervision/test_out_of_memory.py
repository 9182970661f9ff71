"""Memory runs out: builds end in seconds, with the right code, and say what it was. Real kills by the kernel."""

from __future__ import annotations

import subprocess

from tests.support.cgroup import Group
from tests.support.scene import GONE_IN, PATIENCE, Scene, is_alive, until

from clx.platforms.oom import oom_kills

GREEDY = "hoard = b'x' * (1 << 30)"
MIB = 1 << 20


def test_cell_that_eats_all_memory_fails_its_deck_alone(scene: Scene, group: Group) -> None:
    """The system kills the kernel, not the worker; the cell is named, tried again and given up; the rest is built."""
    scene.decks("modest", "greedy")
    scene.course.deck("greedy", f'# %% tags=["keep"]\nprint(1)\n\n# %% tags=["keep"]\n{GREEDY}\n')
    group.limit(400 * MIB)
    build = subprocess.run(
        ["sh", "-c", f'echo $$ > {group.place}/cgroup.procs; exec "$@"', "sh", *scene.command("build", "course.yaml")],
        cwd=scene.course.root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert build.returncode == 1, build.stderr
    assert "the kernel was killed by SIGKILL, probably because memory ran out" in build.stderr
    assert "cell 2" in build.stderr
    [failed] = scene.jobs("failed")
    assert [run["outcome"] for run in scene.runs(failed.id)] == ["failed"] * 3
    told = scene.clx("jobs", "show", str(failed.id)).stdout
    assert "Run 3 on worker #1: failed: KernelDied: the kernel was killed by SIGKILL, probably because" in told
    assert len(scene.jobs("succeeded")) == 3
    until(lambda: scene.processes() == [], GONE_IN)


def test_worker_killed_for_want_of_memory_is_replaced(scene: Scene, group: Group) -> None:
    """Its job runs again at once, and the story names the cause."""
    begun, go = scene.course.root / "begun", scene.course.root / "go"
    scene.decks(
        "one",
        cell=f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\nprint('x' * 400_000)",
    )
    build = scene.begin("build", "course.yaml")
    until(begun.exists)
    [worker] = scene.workers()
    group.limit(0)
    group.take(worker.pid)
    go.touch()
    until(lambda: not is_alive(worker.pid))
    assert build.wait(PATIENCE) == 0
    assert build.stdout is not None
    assert "died (SIGKILL, probably out of memory)" in build.stdout.read()
    [job] = [job.id for job in scene.jobs() if len(scene.runs(job.id)) > 1]
    told = scene.clx("jobs", "show", str(job)).stdout
    assert "rescued: its worker was killed by SIGKILL, probably because memory ran out" in told
    assert "Succeeded" in told
    until(lambda: scene.processes() == [], GONE_IN)


def test_worker_killed_by_somebody_is_not_blamed_on_memory(scene: Scene) -> None:
    """A plain SIGKILL stays one."""
    scene.decks("one", cell="import time; time.sleep(600)")
    build = scene.begin("build", "course.yaml")
    job = until(scene.executing)
    before = oom_kills()
    scene.kill(scene.workers()[0].pid)
    until(lambda: scene.runs(job.id))
    meanwhile = {"memory": True} if oom_kills() > before else {}  # somebody else's test on this machine
    assert scene.runs(job.id)[0]["cause"] == {"kind": "signal", "signal": "SIGKILL", **meanwhile}
    build.terminate()
    said, _ = build.communicate(timeout=PATIENCE)
    assert build.returncode == 143, said


def test_memory_limit_of_the_shell_is_an_error_of_the_cell(scene: Scene) -> None:
    """``ulimit -v``: Python is told, and so is the author."""
    scene.decks("modest", "greedy")
    scene.course.deck("greedy", f'# %% tags=["keep"]\n{GREEDY}\n')
    build = subprocess.run(
        ["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh", *scene.command("build", "course.yaml")],
        cwd=scene.course.root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert build.returncode == 1, build.stderr
    assert "MemoryError" in build.stderr
    assert len(scene.jobs("succeeded")) == 3
    until(lambda: scene.processes() == [], GONE_IN)
