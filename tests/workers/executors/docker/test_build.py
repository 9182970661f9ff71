"""Courses built by container workers: the same bytes as by subprocesses, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.courses import Course, clx, tree
from tests.support.tools import skip_or_fail
from tests.workers.executors.docker.machine import ONE, Machine, one_deck

EXAMPLE = Path(__file__).parents[4] / "examples" / "python-course" / "course.yaml"


def build_example(folder: Path, *options: str, **variables: str) -> dict[str, str]:
    done = clx(
        "build", str(EXAMPLE), "-o", str(folder / "out"), "--db-path", str(folder / ".clx" / "jobs.db"),
        "--report", str(folder / "report.json"), *options, timeout=280, **variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return tree(folder / "out")


def test_example_course_is_the_same_from_containers(machine: Machine, tmp_path: Path) -> None:
    for name in ("direct", "docker"):
        (tmp_path / name).mkdir()
    contained = build_example(tmp_path / "docker", "--workers", "docker")
    assert contained == build_example(tmp_path / "direct")
    assert len(contained) > 300
    assert build_example(tmp_path / "docker", "--workers", "docker") == contained
    assert json.loads((tmp_path / "docker" / "report.json").read_text())["jobs"]["ran"] == 0


def test_modes_mix_by_type(machine: Machine, course: Course) -> None:
    course.write("slides/module_1/topic_100_slow/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    one_deck(course, "print('here')")
    variables = {
        "CLX_WORKERS__PLANTUML__EXECUTION_MODE": "docker",
        "CLX_WORKERS__PLANTUML__IMAGE": "clx-plantuml:0.1.0",
    }
    machine.clx("build", str(course.root / "course.yaml"), *ONE, **variables).ends(0)
    modes = {row.type: row.mode for row in machine.rows(live=False)}
    assert modes == {"notebook": "direct", "plantuml": "docker"}


def test_worker_says_what_it_is_and_has_what_was_asked(machine: Machine, course: Course) -> None:
    one_deck(course, "import time\ntime.sleep(600)")
    limits = {"CLX_DOCKER__MEMORY": "600m", "CLX_DOCKER__CPUS": "1.5", "CLX_DOCKER__NETWORK": "clx_test-network"}
    build = machine.build(course, *ONE, **limits)
    machine.job_runs()
    container = machine.container()
    [row] = machine.rows()
    assert (row.mode, row.container_id, row.image) == ("docker", container.id, "clx-notebook:0.1.0")
    assert {"clx.worker", "clx.db", "clx.batch", "clx.owner"} <= set(container.labels)
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert (host["Memory"], host["NanoCpus"], host["Init"]) == (600 << 20, 1_500_000_000, True)
    assert config["User"]
    assert [mount["Source"] for mount in container.attrs["Mounts"] if mount["Type"] == "bind"] == [
        str(machine.database.parent)
    ]
    assert list(container.attrs["NetworkSettings"]["Networks"]) == ["clx_test-network"]
    build.popen.terminate()
    build.ends(143)
    assert machine.rows() == []


def test_network_of_somebody_else_is_used_and_left_alone(machine: Machine, course: Course) -> None:
    one_deck(course, "print('here')")
    network = machine.client.networks.create("clx_foreign-network")
    try:
        machine.build(course, *ONE, CLX_DOCKER__NETWORK="clx_foreign-network").ends(0)
        network.reload()
    finally:
        network.remove()


def test_files_belong_to_whoever_builds(machine: Machine, course: Course) -> None:
    one_deck(course, "print('here')")
    machine.build(course, *ONE).ends(0)
    owners = {path.stat().st_uid for path in machine.database.parent.rglob("*")}
    assert owners == {machine.database.parent.stat().st_uid}


def test_builds_of_somebody_who_is_not_root(machine: Machine) -> None:
    """Of the rights of root only that to read is kept: this interpreter may lie where others may not look."""
    if os.getuid() != 0:
        skip_or_fail("root", "everything else here is somebody else's build already")
    keep = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    socket = Path("/var/run/docker.sock").stat().st_gid
    somebody = ["setpriv", "--reuid=1234", "--regid=1234", f"--groups={socket}", *keep]
    with tempfile.TemporaryDirectory() as name:  # not below pytest's own directory, which is root's alone
        course = one_deck(Course(Path(name)), "import os; print('user', os.getuid(), os.getgid())")
        for path in (course.root, *course.root.rglob("*")):
            os.chown(path, 1234, 1234)
        home = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"), f"{name}/home")
        command = [sys.executable, "-m", "clx", "build", f"{name}/course.yaml", "--workers", "docker", *ONE]
        done = subprocess.run(
            [*somebody, *command], env={**os.environ, **home}, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [page] = course.output.rglob("01 *.html")
        assert "user 1234 1234" in page.read_text(encoding="utf-8")
        assert {path.stat().st_uid for path in course.root.rglob("*")} == {1234}
