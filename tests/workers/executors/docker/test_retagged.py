"""An image's name is given to another image while workers run: whoever is started later runs in the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, one_deck

NAME = "clx-test:named"
OTHER = "clx-test:other"
NAMED = {"CLX_WORKERS__NOTEBOOK__IMAGE": NAME}


@pytest.fixture
def retag(machine: Machine) -> Iterator[Any]:
    """Gives the name of the workers' image to another one, which would serve as well."""
    client, folder = machine.client, machine.root / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nLABEL other=1\n")
    client.images.build(path=str(folder), tag=OTHER, rm=True)
    client.images.get(IMAGE).tag(NAME)
    yield lambda: client.images.get(OTHER).tag(NAME)
    machine.end_processes()
    for name in (NAME, OTHER):
        client.images.remove(name, force=True)


def replacement(machine: Machine) -> Any:
    """The container of the worker that replaces a killed one."""
    killed = machine.container()
    killed.kill()
    machine.wait_until(lambda: killed.id not in {each.id for each in machine.containers()}, "it is not removed")
    return machine.container()


def test_replacement_of_a_build_runs_in_the_image_that_the_keys_name(
    machine: Machine, course: Course, retag: Any
) -> None:
    build = machine.build(one_deck(course, "import time\ntime.sleep(600)"), *ONE, **NAMED)
    machine.job_runs()
    first = machine.container().attrs["Image"]
    retag()
    assert replacement(machine).attrs["Image"] == first
    build.popen.terminate()
    build.ends(143)


def test_replacement_of_a_service_runs_in_the_image_that_its_pool_names(machine: Machine, retag: Any) -> None:
    path = str(machine.database)
    only_decks = ("--workers", "docker", "--plantuml-workers", "0", "--drawio-workers", "0")
    machine.clx("start-services", "--db-path", path, *only_decks, **NAMED).ends(0)
    first = machine.container().attrs["Image"]
    retag()
    assert replacement(machine).attrs["Image"] == first
    machine.clx("stop-services", "--db-path", path).ends(0)


def test_service_in_the_image_of_before_is_told(machine: Machine, retag: Any) -> None:
    path = str(machine.database)
    only_decks = ("--workers", "docker", "--plantuml-workers", "0", "--drawio-workers", "0")
    machine.clx("start-services", "--db-path", path, *only_decks, **NAMED).ends(0)
    retag()
    said = machine.clx("start-services", "--db-path", path, *only_decks, **NAMED).ends(0)
    assert "#1 stays, but builds as of now do not use it: its image has been made anew since." in said
    machine.clx("workers", "stop", "1", "--db-path", path).ends(0)
    assert "stays" not in machine.clx("start-services", "--db-path", path, *only_decks, **NAMED).ends(0)
    assert [row.id for row in machine.rows()] == [2]
    machine.clx("stop-services", "--db-path", path).ends(0)
