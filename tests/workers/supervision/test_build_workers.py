"""The workers of a build: started for it, as many as it needs, gone with it however it ends (REQ-1)."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from tests.support.scene import BOTH, CONTAINER_SETTINGS, ONLY_DECKS, Scene, until
from tests.support.tools import require

from clx.db.clock import now_ms

SLEEPS = "import time; time.sleep(600)"
DIAGRAM = "@startuml\nAlice -> Bob\n@enduml\n"


def started(scene: Scene) -> int:
    """How many workers were started, those included that the first had left nothing to do when they were ready."""
    return sum(entry.get("action") == "worker_starting" for entry in scene.log())


@BOTH
def test_build_starts_and_stops_what_it_needs(scene: Scene) -> None:
    """REQ-1.1, REQ-1.2, REQ-1.5, REQ-6.3: no settings at all; one worker of the one type needed."""
    scene.decks("one", "two")
    scene.build()
    [worker] = scene.workers(live=False)
    assert (worker.type, worker.mode, worker.state, worker.config_source) == (
        "notebook",
        scene.mode,
        "stopped",
        "default" if scene.mode == "direct" else CONTAINER_SETTINGS,
    )
    assert worker.jobs_succeeded == 4
    scene.await_nothing_left()


@BOTH
def test_only_types_the_course_needs(scene: Scene) -> None:
    """REQ-1.1: a diagram brings its own type and nothing else."""
    require("plantuml")
    scene.decks("one")
    scene.course.write("slides/module_1/topic_100_one/pu/talk.pu", DIAGRAM)
    scene.build()
    assert sorted(worker.type for worker in scene.workers(live=False)) == ["notebook", "plantuml"]


def test_workers_of_a_type_end_with_its_last_job(scene: Scene) -> None:
    """REQ-1.2: what a JVM or a browser takes is free while decks still run."""
    require("plantuml")
    may_end = scene.course.root.parent / "may_end"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(may_end)!r}).exists(): time.sleep(0.01)"
    scene.decks("one", cell=waits)
    scene.course.write("slides/module_1/topic_100_one/pu/talk.pu", DIAGRAM)
    build = scene.begin("build", "course.yaml")
    until(lambda: [worker.type for worker in scene.workers(live=False) if worker.state == "stopped"] == ["plantuml"])
    assert scene.executing()
    may_end.touch()
    assert build.wait(50) == 0
    assert started(scene) == 2
    scene.await_nothing_left()


@BOTH
def test_never_more_workers_than_jobs(scene: Scene) -> None:
    """REQ-1.1: one deck gives two jobs, of which only one runs code: a second worker would start for what is done by
    then."""
    scene.decks("one")
    scene.build("--notebook-workers", "6")
    assert started(scene) == 1
    scene.decks("one", "two", "three", cell="2")
    scene.build("--notebook-workers", "6")
    assert started(scene) == 1 + 3


def test_nothing_is_started_when_nothing_is_to_be_done(scene: Scene) -> None:
    """REQ-1.1."""
    scene.decks("one")
    scene.build()
    scene.build()
    assert len(scene.workers(live=False)) == 1


def test_workers_end_with_a_build_that_fails(scene: Scene) -> None:
    """REQ-1.2: error."""
    scene.decks("one", cell="1 / 0")
    assert "ZeroDivisionError" in scene.build(code=1).stderr
    scene.await_nothing_left()


@pytest.mark.parametrize(
    ("mode", "number", "code"),
    [("direct", signal.SIGINT, 130), ("direct", signal.SIGTERM, 143), ("docker", signal.SIGINT, 130)],
    indirect=["mode"],
)
def test_workers_end_with_a_build_that_is_interrupted(scene: Scene, number: int, code: int) -> None:
    """REQ-1.2: signal; in seconds, though a cell would run for ten minutes, and nothing waits to run any more."""
    scene.decks("one", "two", cell=SLEEPS)
    build = scene.begin("build", "course.yaml")
    until(scene.executing)
    began = time.monotonic()
    build.send_signal(number)
    assert build.wait(50) == code
    assert time.monotonic() - began < 30
    scene.await_nothing_left()
    assert [job for job in scene.jobs() if job.is_live] == []


@BOTH
def test_workers_end_when_the_build_is_killed(scene: Scene) -> None:
    """REQ-1.2: death of the build; the next build does not find its leftovers in the way."""
    scene.decks("one", cell=SLEEPS)
    build = scene.begin("build", "course.yaml")
    until(scene.executing)
    assert scene.left()
    build.kill()
    build.wait()
    scene.await_nothing_left()
    scene.decks("one")
    scene.build()
    scene.await_nothing_left()
    assert list((scene.shared / "work").iterdir()) == []


def test_settings_of_project_user_and_system(scene: Scene) -> None:
    """REQ-1.3, REQ-2.1: each layer counts, the project's beats the user's, the user's the system's."""
    system, user = scene.course.root.parent / "system", scene.course.root.parent / "user"
    variables: dict[str, Any] = {"XDG_CONFIG_DIRS": str(system), "XDG_CONFIG_HOME": str(user)}
    scene.decks("one", "two", "three")

    def counted() -> tuple[int, str]:
        before = started(scene)
        scene.build("--force", **variables)
        return started(scene) - before, scene.workers(live=False)[-1].config_source or ""

    for folder, count in ((system, 2), (user, 3)):
        (folder / "clx").mkdir(parents=True)
        (folder / "clx" / "config.toml").write_text(f"[workers]\ndefault_worker_count = {count}\n")
        assert counted() == (count, f"{folder}/clx/config.toml:2")
    scene.settings("[workers.notebook]\ncount = 1\n")
    assert counted() == (1, f"{scene.course.root}/.clx/config.toml:2")


@pytest.mark.parametrize(
    ("options", "count", "source"),
    [
        (["--worker-count", "2"], 2, "--worker-count"),
        (["--worker-count=3"], 3, "--worker-count"),
        (["--worker-count", "3", "--notebook-workers=2"], 2, "--notebook-workers"),
        (["--workers=direct"], 1, "CLX_WORKERS__NOTEBOOK__COUNT"),
    ],
)
def test_options_beat_variables_and_files(scene: Scene, options: list[str], count: int, source: str) -> None:
    """REQ-1.4, REQ-2.3, REQ-2.4: as in the requirements' examples; the origin is kept with the worker (REQ-8.1)."""
    scene.settings("[workers.notebook]\ncount = 4\n")
    scene.decks("one", "two", "three")
    scene.build(*options, CLX_WORKERS__NOTEBOOK__COUNT="1")
    assert (started(scene), scene.workers(live=False)[0].config_source) == (count, source)


@BOTH
def test_no_auto_start_fails_with_the_command_to_type(scene: Scene) -> None:
    """REQ-7.1: the command it names works as it stands."""
    scene.decks("one")
    settings: list[dict[str, Any]] = [{"CLX_WORKERS__AUTO_START": "false"}, {}]
    for setting in settings:
        failed = scene.build(*([] if setting else ["--no-auto-start"]), code=3, **setting)
        assert "No notebook worker is running" in failed.stderr
        source = next(iter(setting), "--no-auto-start")
        assert f"none may be started (workers.auto_start is off: {source})" in failed.stderr
    command = failed.stderr.split("clx ", 1)[1].split()
    scene.clx(*command, *ONLY_DECKS)
    assert "Using 1 running" in scene.build("--no-auto-start").stdout
    scene.clx("stop-services")


def test_no_auto_start_says_why_workers_that_run_do_not_count(scene: Scene) -> None:
    """REQ-7.1: of other packages, of a build, silent: what differs is named, then the command to type."""
    scene.decks("one")
    other = scene.course.root / "packages"
    (other / "extra-1.0.dist-info").mkdir(parents=True)
    notebook = ("start-services", "--notebook-workers", "2", "--plantuml-workers", "0", "--drawio-workers", "0")
    scene.clx(*notebook, PYTHONPATH=str(other))
    failed = scene.build("--no-auto-start", code=3)
    assert "running that this build can use (#1, #2: its tools or packages are other ones)" in failed.stderr
    assert "Start one: clx start-services --db-path" in failed.stderr
    scene.clx("stop-services")
    scene.clx(*notebook)
    failed = scene.build("--force-new-workers", code=3, CLX_WORKERS__AUTO_START="false")
    assert "(#3, #4: the build wants new ones (--force-new-workers))" in failed.stderr
    for row in scene.workers():
        scene.freeze_worker(row)
    silent = {"CLX_JOBS__LEASE": "0.2", "CLX_JOBS__HEARTBEAT": "0.1"}
    until(lambda: all(now_ms() - row.heartbeat_at > 200 for row in scene.workers()))
    assert "(#3, #4: it is silent)" in scene.build("--no-auto-start", code=3, **silent).stderr
    scene.clx("stop-services", "--timeout", "0")


def test_options_that_leave_no_worker_at_all_are_refused(scene: Scene) -> None:
    """They could never build anything: that is a usage error, told before anything is done."""
    scene.decks("one")
    failed = scene.build("--no-auto-start", "--force-new-workers", code=2)
    assert "--no-auto-start and --force-new-workers do not go together" in failed.stderr
    assert not scene.database.exists()


def test_no_auto_start_names_the_mode_that_was_typed(scene: Scene) -> None:
    """REQ-7.1: services of the settings would not be the ones that the build wants."""
    scene.settings('[workers.notebook]\nexecution_mode = "docker"\nimage = "mine:1"\n')
    scene.decks("one")
    failed = scene.build("--no-auto-start", "--workers", "direct", code=3)
    command = failed.stderr.partition("Start one: clx ")[2].split()
    scene.clx(*command, "--plantuml-workers", "0", "--drawio-workers", "0")
    assert "Using 1 running" in scene.build("--no-auto-start", "--workers", "direct").stdout
    scene.clx("stop-services")


def test_count_of_zero_fails_at_once_instead_of_waiting(scene: Scene) -> None:
    """REQ-7.1: nobody would ever do the jobs."""
    scene.decks("one")
    failed = scene.build("--notebook-workers", "0", code=3)
    assert "set to 0 (--notebook-workers)" in failed.stderr
    scene.await_nothing_left()


@BOTH
def test_worker_that_does_not_start(scene: Scene) -> None:
    """REQ-7.2: retried N times, then exit code 3, the reason, where its log is; nothing stays."""
    broken = scene.broken_workers(BROKEN % scene.seen("tries"))
    scene.decks("one")
    failed = scene.build(code=3, **broken, CLX_WORKERS__STARTUP_RETRIES="2")
    assert "no luck today" in failed.stderr
    assert len((scene.shared / "tries").read_text()) == 3
    scene.await_nothing_left()
    assert [job for job in scene.jobs() if job.is_live] == []


BROKEN = """import pathlib, sys
if "clx.workers" in sys.orig_argv:
    tries = pathlib.Path(%r)
    with tries.open("a") as stream:
        stream.write(".")
    sys.exit("no luck today")
"""


@BOTH
def test_worker_that_starts_at_the_second_try(scene: Scene) -> None:
    """REQ-7.2: a build does not fail because of one bad start."""
    code = BROKEN.replace("    sys", "    if len(tries.read_text()) < 2: sys") % scene.seen("tries")
    scene.decks("one")
    scene.build(**scene.broken_workers(code))
    assert len((scene.shared / "tries").read_text()) == 2


@BOTH
def test_two_builds_at_once_leave_each_other_alone(scene: Scene) -> None:
    """Both end well with workers of their own; neither ends the other's."""
    scene.decks("one", "two", cell="import time; time.sleep(0.5)")
    both = [scene.begin("build", "course.yaml", "-o", f"out{number}") for number in (1, 2)]
    outputs = [process.communicate(timeout=180)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    trees = [
        sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        for root in (scene.course.root / "out1", scene.course.root / "out2")
    ]
    assert trees[0] == trees[1] != []
    assert {row.reason for row in scene.workers(live=False)} == {"no longer needed"}
    scene.await_nothing_left()


@BOTH
def test_services_that_end_in_the_middle_of_a_build(scene: Scene) -> None:
    """The build goes on with workers of its own."""
    scene.decks("one", "two", "three", cell="import time; time.sleep(1)")
    scene.clx("start-services", *ONLY_DECKS)
    build = scene.begin("build", "course.yaml")
    until(scene.running)
    scene.clx("stop-services", "--timeout", "0")
    output, _ = build.communicate(timeout=180)
    assert build.returncode == 0, output
    scene.await_nothing_left()
