"""``docker compose up -d`` runs workers that builds use (REQ-6.4), with Compose v2 and with 1.29."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import ONE, Machine, one_deck

from clx import __version__

SHORT = {"CLX_JOBS__LEASE": 3.0, "CLX_JOBS__HEARTBEAT": 0.5}
_FILE = Path(__file__).parents[4] / "docker-compose.yaml"


class Compose:
    """The file's services on one database directory."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._command = [*command, "-p", f"clxtest{os.getpid()}", "-f", str(_FILE)]
        own = {"CLX_DATABASE_DIR": str(directory), "CLX_UID": str(os.getuid()), "CLX_GID": str(os.getgid())}
        self._env = {**os.environ, **own}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._env, capture_output=True, text=True, timeout=120, cwd=_FILE.parent
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


VERSIONS = {
    "v2": (["docker", "compose"], r"v?[2-9]\.", "bash .ci/engine/compose-v2.sh"),
    "1.29": (["docker-compose"], r"1\.29", "apt-get install docker-compose"),
}
"""Version → the command, how its own version begins, and what to type where it is missing."""


@pytest.fixture(params=sorted(VERSIONS))
def compose(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Compose]:
    command, wanted, remedy = VERSIONS[request.param]
    missing = f"Compose {request.param} is missing: {remedy}"
    assert shutil.which(command[0]), missing
    said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
    assert re.match(wanted, said.stdout), missing
    machine.database.parent.mkdir(parents=True)
    found = Compose(command, machine.state)
    yield found
    found("down", "--timeout", "10")


def test_builds_use_the_workers_of_compose(machine: Machine, compose: Compose, course: Course) -> None:
    compose("up", "-d")
    machine.wait_until(lambda: len(machine.rows()) == 3, "not every worker registered")
    path = str(machine.database)
    listed = json.loads(machine.clx("workers", "list", "--db-path", path, "--format", "json").ends(0))["workers"]
    assert {(each["type"], each["mode"], each["status"]) for each in listed} == {
        (type_, "docker", "idle") for type_ in ("notebook", "plantuml", "drawio")
    }
    course.write("slides/module_1/topic_100_first/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    course.deck("first")
    course.spec("first")
    said = machine.build(course, "--no-auto-start").ends(0)
    assert said.count("running notebook worker(s)") == said.count("running plantuml worker(s)") == 1
    assert {row.id for row in machine.rows(live=False)} == {each["id"] for each in listed}
    assert (course.output / "public/En/My Course/Slides/Html/Completed/Week 1/img/a.png").is_file()
    assert machine.clx("workers", "list", "--db-path", path).ends(0).count("Compose or a program") == 3
    compose("stop", "--timeout", "10")
    machine.wait_until(lambda: machine.rows() == [], "a worker did not say that it ended")


def test_health_is_reported(machine: Machine, compose: Compose) -> None:
    compose("up", "-d", "plantuml")
    machine.wait_until(lambda: machine.rows() != [], "the worker did not register")
    container = machine.client.containers.get(machine.rows()[0].container_id)
    code, said = container.exec_run(["python", "-m", "clx.workers.healthcheck"])
    assert code == 0, said
    machine.clx("workers", "stop", "1", "--db-path", str(machine.database)).ends(0)
    container.reload()
    assert container.status == "exited", "stopping a worker of Compose must leave its container to Compose"


def test_worker_that_was_taken_for_dead_comes_back(machine: Machine, compose: Compose, course: Course) -> None:
    """Paused for longer than its lease; it ends when it goes on, and Compose is to have a worker again."""
    compose("up", "-d", "notebook")
    machine.wait_until(lambda: machine.rows() != [], "the worker did not register")
    (row,) = machine.rows()
    compose("pause", "notebook")
    one_deck(course, "print(1)")
    time.sleep(SHORT["CLX_JOBS__LEASE"] + 0.5)
    lease = {name: str(value) for name, value in SHORT.items()}
    assert f"worker {row.id} is struck off: it was silent for" in machine.build(course, *ONE, **lease).ends(0)
    compose("unpause", "notebook")
    machine.wait_until(lambda: [each.id > row.id for each in machine.rows()] == [True], "no worker came back")


def test_container_that_was_killed_and_removed_is_dead_at_once(
    machine: Machine, compose: Compose, course: Course
) -> None:
    """The lease is half a minute: a build that counted on it would wait that long."""
    compose("up", "-d", "notebook")
    machine.wait_until(lambda: machine.rows() != [], "the worker did not register")
    one_deck(course, "print(1)")
    machine.build(course, *ONE).ends(0)
    (row,) = machine.rows()
    container = machine.client.containers.get(row.container_id)
    container.kill()
    listing = ("workers", "list", "--db-path", str(machine.database), "--format", "json")
    statuses = []
    for act in (lambda: None, container.remove):
        act()
        statuses += [each["status"] for each in json.loads(machine.clx(*listing).ends(0))["workers"]]
    assert statuses == ["dead", "dead"]
    said = machine.build(course, *ONE, "--force").ends(0)
    assert "Using" not in said
    assert [each.state for each in machine.rows(live=False) if each.id == row.id] == ["dead"]


def test_file_names_this_version() -> None:
    assert set(re.findall(r"clx-\w+:([\d.]+)", _FILE.read_text(encoding="utf-8"))) == {__version__}
