"""Containers of services that ended, or were paused, while nobody supervised them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import ONE, SLOW, Machine, one_deck
from tests.workers.executors.docker.test_services import ONLY_DECKS

from clx.db.identity import is_gone
from clx.workers.processes import kill_group
from clx.workers.supervision.service_state import read_state


@pytest.fixture
def alone(machine: Machine) -> Iterator[Any]:
    """The container of a service worker whose supervisor was killed."""
    machine.database.parent.mkdir(parents=True)
    machine.clx("start-services", "--db-path", str(machine.database), *ONLY_DECKS).ends(0)
    state = read_state(machine.state)
    assert state is not None
    kill_group(state.supervisor)
    machine.wait_until(lambda: is_gone(state.supervisor), "the supervisor goes on")
    yield machine.container()
    machine.clx("stop-services", "--db-path", str(machine.database)).ends(0)


def ended(container: Any) -> None:
    container.kill()
    container.wait(timeout=60)


def listed(machine: Machine, **variables: str) -> tuple[str, str]:
    said = machine.clx("workers", "list", "--db-path", str(machine.database), "--format", "json", **variables).ends(0)
    [worker] = json.loads(said)["workers"]
    return worker["status"], worker["reason"]


def test_dead_container_is_called_dead_and_cleaned_up(machine: Machine, alone: Any) -> None:
    ended(alone)
    assert listed(machine) == ("dead", f"its container {alone.id[:12]} has ended")
    cleanup = ("workers", "cleanup", "--db-path", str(machine.database))
    for option in (["--dry-run"], []):
        said = machine.clx(*cleanup, *option).ends(0)
        assert "worker 1: notebook: its container" in said
        assert f"container {alone.name}" in said
    assert not machine.left()
    assert machine.rows() == []


def test_services_are_started_in_the_place_of_dead_containers(machine: Machine, alone: Any) -> None:
    ended(alone)
    said = machine.clx("start-services", "--db-path", str(machine.database), *ONLY_DECKS).ends(0)
    assert "notebook: 1 worker(s), docker: started #2" in said


def test_build_does_not_wait_for_dead_containers(machine: Machine, alone: Any, course: Course) -> None:
    ended(alone)
    said = machine.build(one_deck(course, "print('here')"), *ONE).ends(0)
    assert "Using" not in said


def test_paused_container_is_hung_and_left_alone(machine: Machine, alone: Any) -> None:
    alone.pause()
    try:
        told = ("hung", f"its container is paused; type: docker unpause {alone.id[:12]}")
        assert listed(machine) == told
        [row] = machine.rows()

        no_engine = {"DOCKER_HOST": "unix:///nowhere/docker.sock", **SLOW}
        machine.wait_until(lambda: "s and in a container" in listed(machine, **no_engine)[1], "its lease does not end")
        assert listed(machine, **SLOW) == told
        machine.clx("workers", "cleanup", "--db-path", str(machine.database), **SLOW).ends(0)
        assert [each.id for each in machine.rows()] == [row.id]
    finally:
        alone.unpause()
