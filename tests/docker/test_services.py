"""Persistent workers in containers: started, used by builds, replaced, stopped without a trace."""

from __future__ import annotations

import json

import pytest
from tests.course.courses import Course
from tests.docker.machine import ONE, Machine, one_deck

ONLY_DECKS = ("--workers", "docker", "--plantuml-workers", "0", "--drawio-workers", "0")


@pytest.fixture
def quick(course: Course) -> Course:
    return one_deck(course, "print('here')")


def test_services_serve_builds_and_leave_nothing(machine: Machine, quick: Course) -> None:
    path = str(machine.database)
    machine.database.parent.mkdir(parents=True)
    machine.clx("start-services", "--db-path", path, *ONLY_DECKS).ends(0)
    try:
        [container] = machine.containers(service="services") or machine.containers(worker="notebook")
        listed = json.loads(machine.clx("workers", "list", "--db-path", path, "--format", "json").ends(0))
        [worker] = listed["workers"]
        assert (worker["mode"], worker["container_id"], worker["status"]) == ("docker", container.id, "idle")
        said = machine.build(quick, *ONE, "--db-path", path, "--no-auto-start").ends(0)
        assert "Using 1 running notebook worker(s): #1." in said
        container.reload()
        assert container.status == "running"
        container.kill("SIGKILL")
        machine.wait_until(
            lambda: [row.id for row in machine.rows() if row.id != 1], "the killed worker is not replaced"
        )
    finally:
        machine.clx("stop-services", "--db-path", path).ends(0)
    assert not machine.left()
    assert machine.rows() == []
    machine.clx("stop-services", "--db-path", path).ends(0)


def test_services_outlive_their_supervisor_and_can_still_be_stopped(machine: Machine) -> None:
    path = str(machine.database)
    machine.database.parent.mkdir(parents=True)
    machine.clx("start-services", "--db-path", path, *ONLY_DECKS).ends(0)
    state = json.loads((machine.database.parent / "worker-state.json").read_text())
    pid = int(state["supervisor"].rsplit("/", 2)[1])
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    assert machine.container().status == "running"
    machine.clx("stop-services", "--db-path", path).ends(0)
    machine.wait_until(lambda: not machine.left(), "something is left", seconds=10)
    assert machine.rows() == []


def test_services_of_both_modes_are_told_apart_and_stopped_without_their_database(machine: Machine) -> None:
    path = str(machine.database)
    machine.database.parent.mkdir(parents=True)
    machine.clx("start-services", "--db-path", path, *ONLY_DECKS).ends(0)
    said = machine.clx("start-services", "--db-path", path, *ONLY_DECKS, "--workers", "direct").ends(0)
    assert "notebook: 1 worker(s), docker: running already #1" in said
    assert "notebook: 1 worker(s), direct: started #2" in said
    for file in machine.database.parent.glob(f"{machine.database.name}*"):
        file.unlink()
    assert "Services stopped" in machine.clx("stop-services", "--db-path", path).ends(0)
    assert not machine.left()
    assert not (machine.database.parent / "worker-state.json").exists()
