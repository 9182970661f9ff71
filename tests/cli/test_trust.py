"""``clx trust``: programs that a project brings run only once trusted; what is somebody else's is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.scene import Scene, is_alive, until
from tests.support.tools import skip_or_fail

from clx.db.identity import process_identity

NOBODY = 65534
PROGRAM = """#!/bin/sh
echo "$0 $*" >> "$(dirname "$0")/ran"
exit 1
"""
SETTINGS = """
notebook.python = "./python"
plantuml.java = "./java"
drawio.executable = "./chromium"
"""
COMMANDS = (
    "--help", "config show", "config check", "config path", "tools list", "status", "doctor", "doctor course.yaml",
    "workers list", "workers cleanup", "jobs list", "cache stats", "db check", "db path", "trust --list",
    "docker list", "docker check", "docker check course.yaml", "start-services", "build course.yaml",
    "build course.yaml --dry-run", "build course.yaml --explain", "stop-services",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state home"))


@pytest.fixture
def brought(scene: Scene) -> Scene:
    """A course without a code cell whose settings name programs that it brings."""
    scene.decks("one")
    scene.course.deck("one", "# %% [markdown]\n# text\n")
    scene.course.write("course.yaml", (scene.course.root / "course.yaml").read_text() + "evaluate: false\n")
    scene.course.write("slides/module_1/topic_100_one/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    scene.settings(SETTINGS)
    for name in ("python", "java", "chromium"):
        (scene.course.root / name).write_text(PROGRAM)
        (scene.course.root / name).chmod(0o755)
    return scene


def ran(scene: Scene) -> str:
    path = scene.course.root / "ran"
    return path.read_text() if path.exists() else ""


def run(scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(scene.command(*arguments), cwd=scene.course.root, capture_output=True, text=True, timeout=120)


def test_no_command_runs_what_a_project_brings(brought: Scene) -> None:
    """Neither those that only look nor those that would work with it."""
    for command in COMMANDS:
        done = run(brought, *command.split())
        assert "Traceback" not in done.stderr
        assert ran(brought) == "", command


def test_what_is_not_trusted_is_said_with_what_to_type(brought: Scene) -> None:
    """By a build, which does not take another program instead, by services, by the doctor and by the list of tools."""
    root = brought.course.root
    failed = run(brought, "build", "course.yaml")
    assert failed.returncode == 2
    assert f"{root}/.clx/config.toml:2: notebook.python names a program, ./python, that the project" in failed.stderr
    assert f"Look at it; then type: clx trust {root}\n" in failed.stderr
    assert not (root / "output").exists()
    started = run(brought, "start-services", "--notebook-workers", "0", "--drawio-workers", "0")
    assert (started.returncode, f"type: clx trust {root}" in started.stderr) == (2, True)
    said = run(brought, "status").stdout
    assert "plantuml.java names a program, ./java, that the project brought" in said
    assert f"type: clx trust {root}." in said
    assert len(brought.json("status")["warnings"]) == 3
    brought.open().close()
    assert len(brought.json("status")["warnings"]) == 3
    doctor = run(brought, "doctor", "--format", "json")
    findings = {each["name"]: each for each in json.loads(doctor.stdout)["findings"]}
    assert doctor.returncode == 3
    for key in ("notebook.python", "plantuml.java", "drawio.executable"):
        assert (findings[key]["ok"], f"clx trust {root}" in findings[key]["hint"]) == (False, True)
    assert {"java", "browser"}.isdisjoint(findings)
    listed = {
        each["name"]: each for each in json.loads(run(brought, "tools", "list", "--format", "json").stdout)["tools"]
    }
    assert listed["java"]["found"] is False
    assert f"clx trust {root}" in listed["java"]["untrusted"]
    assert listed["graphviz"]["untrusted"] is None


def test_trusted_programs_run_until_they_change(brought: Scene) -> None:
    """What is trusted is each setting that names one, and the program as it is; other settings may change."""
    trusted = run(brought, "trust")
    assert (trusted.returncode, trusted.stdout.count("Trusted: ")) == (0, 3)
    assert "Nothing in" in run(brought, "trust").stdout
    run(brought, "doctor")
    assert "/java -version" in ran(brought)
    assert "/chromium --version" in ran(brought)
    (brought.course.root / "ran").unlink()
    brought.settings(f"{SETTINGS}\n[jobs]\nmax_runs = 2\n")
    assert "not trusted" not in run(brought, "doctor").stdout
    with (brought.course.root / "java").open("a") as program:
        program.write("# another\n")
    (brought.course.root / "ran").unlink()
    assert "plantuml.java names a program, ./java, that the project brought" in run(brought, "doctor").stdout
    assert "/java" not in ran(brought)
    assert "/chromium" in ran(brought)
    run(brought, "trust", str(brought.state))
    brought.settings(SETTINGS.replace("./java", "./other"))
    assert "plantuml.java names a program, ./other, that the project brought" in run(brought, "doctor").stdout
    assert "Not trusted any more" in run(brought, "trust", "--revoke").stdout
    assert "You trust nothing" in run(brought, "trust", "--list").stdout


def test_what_the_user_names_needs_no_trust(brought: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a variable, in settings of their own, or by typing the setting."""
    java = str(brought.course.root / "java")
    brought.settings("")
    monkeypatch.setenv("CLX_PLANTUML__JAVA", java)
    run(brought, "doctor")
    assert "/java -version" in ran(brought)
    monkeypatch.delenv("CLX_PLANTUML__JAVA")
    (brought.course.root / "ran").unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config home"))
    brought.clx("config", "set", "--user", "plantuml.java", java)
    run(brought, "doctor")
    assert "/java -version" in ran(brought)
    (brought.course.root / "ran").unlink()
    (tmp_path / "config home" / "clx" / "config.toml").unlink()
    brought.clx("config", "set", "plantuml.java", java)
    run(brought, "doctor")
    assert "/java -version" in ran(brought)


def test_typing_one_setting_trusts_no_other(brought: Scene) -> None:
    brought.clx("config", "set", "workers.notebook.count", "2")
    brought.clx("config", "set", "plantuml.java", "java")
    assert "notebook.python names a program" in run(brought, "doctor").stdout
    assert ran(brought) == ""


def test_an_image_of_a_registry_is_a_program(brought: Scene) -> None:
    """It would be fetched and run; an image of this machine, as ``clx docker build`` makes them, is not asked for."""
    brought.settings('[workers.notebook]\nexecution_mode = "docker"\nimage = "127.0.0.1:1/somebody/notebook:1"\n')
    failed = run(brought, "build", "course.yaml")
    assert (failed.returncode, "workers.notebook.image names an image" in failed.stderr) == (2, True)
    assert "workers.notebook.image names an image" in run(brought, "doctor").stdout
    brought.settings('[workers.notebook]\nexecution_mode = "docker"\nimage = "clx-notebook:none-such"\n')
    assert "trust" not in run(brought, "build", "course.yaml").stderr


def test_no_command_opens_a_database_elsewhere_that_a_project_names(scene: Scene, tmp_path: Path) -> None:
    """Nor makes it, nor a directory for it; once trusted it is used. One that is typed needs no trust."""
    scene.decks("one")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scene.settings('database.path = "../elsewhere/jobs.db"\n')
    for command in (*COMMANDS, "db init", "jobs retry --all", "completion bash"):
        done = run(scene, *command.split())
        assert "Traceback" not in done.stderr
        assert list(elsewhere.iterdir()) == [], command
    failed = run(scene, "build", "course.yaml")
    assert (failed.returncode, "database.path names a place outside of the project" in failed.stderr) == (2, True)
    assert f"type: clx trust {scene.course.root}\n" in failed.stderr
    assert "database.path names a place outside of the project" in run(scene, "doctor").stdout
    assert run(scene, "build", "course.yaml", "--db-path", str(tmp_path / "typed.db")).returncode == 0
    assert run(scene, "trust").stdout.startswith("Trusted: database.path = ../elsewhere/jobs.db")
    assert run(scene, "build", "course.yaml").returncode == 0
    assert (elsewhere / "jobs.db").exists()


def test_nothing_to_trust(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    failed = run(scene, "trust", str(tmp_path / "empty"))
    assert (failed.returncode, "There is no .clx in" in failed.stderr) == (2, True)
    assert "Nothing in ./ was trusted" in run(scene, "trust", "--revoke", "./").stdout.replace("in . was", "in ./ was")


def as_root() -> None:
    if os.getuid() != 0:
        skip_or_fail("root", "another user cannot be played here: that takes root")


@pytest.mark.parametrize("command", ["status", "stop-services", "start-services", "build course.yaml", "workers list",
                                     "config set jobs.max_runs 2", "config show", "db check", "doctor"])  # fmt: skip
def test_a_state_directory_of_somebody_else_is_refused_by_name(scene: Scene, command: str) -> None:
    """Whatever is typed there; nothing in it is changed."""
    as_root()
    scene.decks("one")
    scene.settings("[jobs]\nmax_runs = 7\n")
    for path in (scene.state, *scene.state.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    before = {path: path.stat().st_mtime_ns for path in (scene.state, *scene.state.rglob("*"))}
    failed = run(scene, *command.split())
    assert (failed.returncode, failed.stdout, "Traceback" in failed.stderr) == (2, "", False)
    assert f"{scene.state} belongs to nobody: it is not used.\n" in failed.stderr
    assert f"If that is meant to be so, type: clx trust {scene.state}\n" in failed.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (scene.state, *scene.state.rglob("*"))}


@pytest.mark.parametrize("named", [(), ("--db-path", "shared/jobs.db")])
def test_a_planted_state_file_ends_nobody(scene: Scene, named: tuple[str, ...]) -> None:
    """Another user's, found by looking upwards or beside a database that was named."""
    as_root()
    victim = subprocess.Popen(["sleep", "600"])
    try:
        folder = scene.course.root / ("shared" if named else "")
        (folder / ".clx").mkdir(parents=True, exist_ok=True)
        planted = folder / ".clx" / "worker-state.json"
        planted.write_text(json.dumps({"database": f"{planted.parent if not named else folder}/jobs.db",
                                       "supervisor": "", "workers": [process_identity(victim.pid)]}))  # fmt: skip
        os.chown(planted, NOBODY, NOBODY)
        failed = run(scene, "stop-services", "--timeout", "0", *named)
        assert (failed.returncode, f"{planted} belongs to nobody: it is not used." in failed.stderr) == (2, True)
        assert is_alive(victim.pid)
        os.chown(planted, 0, 0)  # it would have
        run(scene, "stop-services", "--timeout", "0", *named)
        until(lambda: victim.poll() is not None)
    finally:
        victim.kill()
        victim.wait()


def test_doctor_names_a_state_file_that_others_may_write(scene: Scene) -> None:
    scene.state.mkdir(mode=0o700, exist_ok=True)
    (scene.state / "worker-state.json").write_text("{}")
    (scene.state / "worker-state.json").chmod(0o666)
    doctor = run(scene, "doctor")
    assert doctor.returncode == 3
    assert f"{scene.state}/worker-state.json may be written by everybody: it is not used." in doctor.stdout


def test_a_job_table_that_others_may_write_is_refused(scene: Scene) -> None:
    """Its rows name processes; one that was named on the command line is shared on purpose."""
    scene.open().close()
    scene.database.chmod(0o666)
    failed = run(scene, "status")
    assert (failed.returncode, f"{scene.database} may be written by everybody" in failed.stderr) == (2, True)
    assert run(scene, "status", "--db-path", str(scene.database)).returncode == 0


@pytest.mark.parametrize(
    "command", ["build course.yaml", "config init", "config set jobs.max_runs 2", "start-services"]
)
def test_every_command_makes_a_directory_that_is_nobody_elses(scene: Scene, command: str) -> None:
    scene.decks("one")
    assert not scene.state.exists()
    before = os.umask(0)
    try:
        done = run(scene, *command.split(), *(("--plantuml-workers", "0") if command == "start-services" else ()))
    finally:
        os.umask(before)
    assert (done.returncode, scene.state.stat().st_mode & 0o777) == (0, 0o700), done.stderr
    for path in scene.state.glob("*.*"):
        if path.name in {"config.toml", "worker-state.json"}:
            assert path.stat().st_mode & 0o022 == 0
    assert run(scene, "stop-services").returncode == 0


def test_settings_planted_above_a_course_are_not_read(scene: Scene) -> None:
    """Not even to be refused: the course has its own root."""
    as_root()
    scene.decks("one")
    above = scene.course.root.parent / ".clx"
    above.mkdir()
    (above / "config.toml").write_text("[jobs]\nmax_runs = 7\n")
    for path in (above, above / "config.toml"):
        os.chown(path, NOBODY, NOBODY)
    done = subprocess.run([sys.executable, "-m", "clx", "config", "show", "jobs.max_runs", "--origin"],
                          cwd=scene.course.root, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout.split()[-1]) == (0, "default")
