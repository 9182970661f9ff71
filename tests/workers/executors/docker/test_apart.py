"""A container sees the database and what its jobs share, and nothing that this machine believes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, deck, one_deck

from clx import __version__
from clx.db.database import Database
from clx.db.workers import WorkerTable

HOSTILE = """
import os
from pathlib import Path
for root in ("/clx/data", "/clx/.clx", "/clx/data/..", "/clx/data/.clx"):
    for name in ("config.toml", "worker-state.json", "key", "locks/services", "logs/clx.jsonl", ".clx/config.toml"):
        path = Path(root, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('[plantuml]\\njava = "/clx/data/evil"\\n')
        except OSError:
            pass
print("wrote")
"""


def believed(state: Path) -> dict[str, str | None]:
    """Every file of the state directory that containers must not reach, with its text; logs grow anyway."""
    found: dict[str, str | None] = {}
    for path in state.rglob("*"):
        name = path.relative_to(state).as_posix()
        if path.is_file() and not path.is_symlink() and not name.startswith(("shared/", "logs/", "containers/")):
            found[name] = path.read_text(errors="replace")
    return found


@pytest.mark.parametrize("by", ["database", "name"])
def test_job_in_a_container_writes_nothing_that_is_believed(machine: Machine, course: Course, by: str) -> None:
    course.write(".clx/config.toml", "[jobs]\nlease = 31\n")
    one_deck(course, HOSTILE)
    if by == "name":  # a file of any name, in any directory
        where = machine.root / "data" / "clx_jobs.db"
        where.parent.mkdir()
        options, state = ["--db-path", str(where)], where.parent / ".clx"
    else:
        options, state = [], machine.state
    machine.build(course, *ONE, *options).ends(0)
    before = believed(state)
    machine.build(course, *ONE, *options, "--force").ends(0)
    assert believed(state) == before
    assert (course.root / ".clx" / "config.toml").read_text() == "[jobs]\nlease = 31\n"
    assert "evil" not in machine.clx("config", "show", "--origin").ends(0)
    assert (state / "shared" / "config.toml").read_text().startswith("[plantuml]"), "the deck has done its worst"
    machine.clx("status", "--db-path", str(where if by == "name" else state / "jobs.db")).ends(0)


def test_project_of_before_goes_on_working(machine: Machine, course: Course) -> None:
    """Its rows and artifacts come along; what was built is not built again."""
    one_deck(course, "print(1)")
    name = machine.state / "jobs.db"
    spec = str(course.root / "course.yaml")
    machine.clx("build", spec, *ONE).ends(0)
    assert name.is_file()
    assert not machine.database.exists()
    said = machine.build(course, *ONE, "--dry-run").ends(0)
    assert "Would run 1 job" in said
    assert not machine.database.exists(), "a plan moves nothing"
    machine.build(course, *ONE).ends(0)
    assert machine.database.is_file()
    assert "0 up to date" not in machine.clx("build", spec, *ONE).ends(0)
    for path in (name, machine.database):
        jobs = json.loads(machine.clx("jobs", "list", "--db-path", str(path), "--format", "json").ends(0))["jobs"]
        assert len(jobs) == 2


def test_database_that_is_in_use_is_not_moved(machine: Machine, course: Course) -> None:
    one_deck(course, "print(1)")
    name = str(machine.state / "jobs.db")
    only = ("--plantuml-workers", "0", "--drawio-workers", "0")
    machine.clx("start-services", "--db-path", name, *only).ends(0)
    try:
        said = machine.build(course, *ONE).ends(4)
        assert "Before containers use it for the first time it is moved" in said
        assert f"clx stop-services --db-path {name}" in said
    finally:
        machine.clx("stop-services", "--db-path", name).ends(0)
    machine.build(course, *ONE).ends(0)


@pytest.fixture
def bystander(machine: Machine) -> Iterator[Any]:
    """A container that has nothing to do with this database."""
    found = machine.client.containers.run(IMAGE, entrypoint=["sleep", "300"], network="none", detach=True)
    yield found
    found.remove(force=True)


def test_container_that_a_row_names_is_left_alone(machine: Machine, course: Course, bystander: Any) -> None:
    one_deck(course, "print(1)")
    machine.build(course, *ONE).ends(0)
    with Database.open(machine.database) as database:
        for service in (None, "services"):
            WorkerTable(database).register(
                type="notebook", pool="docker:x", mode="docker", host="h", pid=7, identity=f"b/n/7/{service}",
                version="0", container_id=bystander.id, image="i", service=service,
            )  # fmt: skip
    path = str(machine.database)
    live = [str(row.id) for row in machine.rows()]
    assert len(live) == 2
    machine.clx("workers", "stop", live[0], "--timeout", "0", "--db-path", path).ends(0)
    machine.clx("workers", "cleanup", "--db-path", path).ends(0)
    machine.clx("stop-services", "--timeout", "0", "--db-path", path).ends(0)
    bystander.reload()
    assert bystander.status == "running"


def test_mixed_build_does_its_own_jobs_here(machine: Machine, course: Course) -> None:
    """PlantUML in a container, decks here: what is done here is sealed by whoever queued it."""
    course.write("slides/module_1/topic_100_first/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    course.deck("first", deck("print('here')"))
    course.spec("first")
    image = f"clx-plantuml:{__version__}"
    variables = {"CLX_WORKERS__PLANTUML__EXECUTION_MODE": "docker", "CLX_WORKERS__PLANTUML__IMAGE": image}
    machine.clx("build", str(course.root / "course.yaml"), **variables).ends(0)
    rows = machine.query(
        "SELECT type, min(payload LIKE '%\"seal\"%') FROM jobs WHERE state = 'succeeded' GROUP BY type"
    )
    assert dict(rows) == {"notebook": 1, "plantuml": 1}


def test_container_that_sees_the_whole_state_directory_is_not_used(machine: Machine, course: Course) -> None:
    """As a Compose file of an earlier version mounts it: its database is followed to its place, its jobs are not."""
    one_deck(course, "print(1)")
    machine.build(course, *ONE).ends(0)
    user = f"{os.getuid()}:{os.getgid()}"
    mounts = {str(machine.state): {"bind": "/clx/data", "mode": "rw"}}
    container = machine.client.containers.run(
        IMAGE, ["notebook", "--db", "/clx/.clx/jobs.db"], volumes=mounts, user=user, network="none", detach=True
    )
    try:
        machine.wait_until(lambda: machine.rows() != [], "the worker did not register")
        said = machine.build(course, *ONE, "--force").ends(0)
        assert f"is not used: its container mounts all of {machine.state}" in said
        assert "Using" not in said
    finally:
        container.remove(force=True)
