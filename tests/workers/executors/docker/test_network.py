"""The network that containers join: made once, whoever asks at the same moment, and gone with the last of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.workers.executors.docker.machine import IMAGE, Machine

from clx.errors import EngineError
from clx.workers.executors.docker.network import LABEL, drop_network, ensure_network

NAME = "clx_test-network"
COMES_AND_GOES = f"""
import sys
from contextlib import closing
from clx.workers.executors.docker.engine import connect
from clx.workers.executors.docker.network import drop_network, ensure_network
with closing(connect()) as client:
    for _ in range(15):
        ensure_network(client, {NAME!r})
        drop_network(client, {NAME!r})
    ensure_network(client, {NAME!r})
"""


def networks(machine: Machine) -> list[Any]:
    return [each for each in machine.client.networks.list(names=[NAME]) if each.name == NAME]


def make(machine: Machine) -> Any:
    """A network of the name, whether or not there is one: what two processes do in the same moment."""
    return machine.client.networks.create(NAME, labels={LABEL: "1"}, check_duplicate=False)


@pytest.fixture(autouse=True)
def _none_left(machine: Machine) -> Iterator[None]:
    yield
    for each in networks(machine):
        each.remove()


def test_processes_that_ask_at_once_end_up_with_one(machine: Machine) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", COMES_AND_GOES], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert len(networks(machine)) == 1
    drop_network(machine.client, NAME)
    assert networks(machine) == []


def test_of_twins_one_stays(machine: Machine) -> None:
    twins = sorted(make(machine).id for _ in range(3))
    ensure_network(machine.client, NAME)
    assert [each.id for each in networks(machine)] == twins[:1]


@pytest.mark.parametrize("smaller", [True, False])
def test_twin_that_is_in_use_stays(machine: Machine, *, smaller: bool) -> None:
    """Whichever of the two it is: the other one is removed, and the name can be joined again."""
    used = make(machine)
    container = machine.client.containers.create(
        IMAGE, ["-c", "import time; time.sleep(60)"], entrypoint="python", network=NAME
    )
    try:
        container.start()
        while ((twin := make(machine)).id < used.id) != smaller:
            twin.remove()
        ensure_network(machine.client, NAME)
        assert [each.id for each in networks(machine)] == [used.id]
    finally:
        container.remove(force=True)


def test_network_of_somebody_else_is_never_removed(machine: Machine) -> None:
    foreign = machine.client.networks.create(NAME)
    make(machine)
    ensure_network(machine.client, NAME)
    drop_network(machine.client, NAME)
    assert [each.id for each in networks(machine)] == [foreign.id]


def test_name_that_is_none_is_told_with_the_setting(machine: Machine) -> None:
    with pytest.raises(EngineError) as told:
        ensure_network(machine.client, "  ")
    assert "docker.network" in told.value.next_step


@pytest.mark.parametrize("name", ["none", "host", "bridge", "default", "container:somebody"])
def test_what_the_engine_has_anyway_is_neither_made_nor_removed(machine: Machine, name: str) -> None:
    before = {each.id for each in machine.client.networks.list()}
    ensure_network(machine.client, name)
    drop_network(machine.client, name)
    assert {each.id for each in machine.client.networks.list()} == before
