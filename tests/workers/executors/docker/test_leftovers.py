"""Whatever single process is killed: containers, networks and rows are gone soon, or after the next command."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import msgspec
import psutil
import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import IMAGE, ONE, SLOW, Machine, kill_process, one_deck

from clx.db.database import Database
from clx.db.identity import process_identity
from clx.workers.executors.docker.reaper import Note, database_label


@pytest.fixture
def slow(course: Course) -> Course:
    return one_deck(course, "import time\ntime.sleep(600)")


def test_killed_reaper_does_not_matter_while_the_build_lives(machine: Machine, slow: Course) -> None:
    build = machine.build(slow, *ONE)
    machine.job_runs()
    kill_process(machine.reaper())
    build.popen.terminate()
    build.ends(143)
    machine.wait_until(lambda: not machine.left(), "containers or networks are left", seconds=30)
    assert machine.rows() == []


def test_next_command_removes_what_build_and_reaper_left(machine: Machine, slow: Course) -> None:
    build = machine.build(slow, *ONE)
    machine.job_runs()
    kill_process(machine.reaper())
    build.kill()
    assert machine.left()
    machine.clx("status", "--db-path", str(machine.database)).ends(0)
    assert not machine.left()
    assert machine.rows() == []


def test_orphaned_worker_ends_by_itself(machine: Machine, slow: Course) -> None:
    build = machine.build(slow, *ONE, **SLOW)
    machine.job_runs()
    container = machine.container()
    kill_process(machine.reaper())
    build.kill()
    assert container.wait(timeout=50)["StatusCode"] == 0
    assert [row.reason for row in machine.rows(live=False)] == ["its build is gone"]
    machine.clx("workers", "cleanup", "--db-path", str(machine.database)).ends(0)
    assert not machine.left()


def test_two_builds_do_not_take_each_others_containers(machine: Machine, slow: Course) -> None:
    long = machine.build(slow, *ONE)
    machine.job_runs()
    other = one_deck(Course(machine.root / "other"), "print('here')")
    machine.build(other, *ONE).ends(0)
    assert machine.container().status == "running"
    long.popen.terminate()
    long.ends(143)


def test_build_killed_while_a_container_looks_at_the_database(machine: Machine, slow: Course) -> None:
    """Before the first worker starts; the image is one whose look takes for ever."""
    folder = machine.root / "image"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys, time\nif 'clx.workers.lock_probe' in sys.orig_argv: time.sleep(60)\n"
    )
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY sitecustomize.py /broken/\nENV PYTHONPATH=/broken\n")
    machine.client.images.build(path=str(folder), tag="clx-test:slow", rm=True)
    try:
        build = machine.build(slow, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE="clx-test:slow")
        machine.wait_until(lambda: machine.containers(probe="1"), "no container looks")
        build.kill()
        machine.wait_until(lambda: not machine.left(), "something is left", seconds=30)
    finally:
        machine.client.images.remove("clx-test:slow", force=True)


def leftover(machine: Machine, **labels: str) -> Any:
    """A container of this database that was made and never started."""
    Database.open(machine.database).close()
    (machine.state / "containers").mkdir(exist_ok=True)
    own = {"worker": "notebook", "db": database_label(machine.database), **labels}
    return machine.client.containers.create(IMAGE, labels={f"clx.{name}": value for name, value in own.items()})


@pytest.mark.parametrize("command", [["stop-services"], ["workers", "cleanup"]])
def test_container_that_a_killed_supervisor_had_only_made(machine: Machine, command: list[str]) -> None:
    container = leftover(machine, service="services", starter=process_identity())
    machine.clx(*command, "--db-path", str(machine.database)).ends(0)
    container.reload()
    container.remove()
    ended = subprocess.Popen(["sleep", "60"])
    leftover(machine, service="services", starter=process_identity(ended.pid))
    ended.kill()
    ended.wait()
    machine.clx(*command, "--db-path", str(machine.database)).ends(0)
    assert not machine.left()


def test_leftovers_of_an_earlier_boot(machine: Machine) -> None:
    """Build, reaper and engine ended together when the power failed; another machine's builds look the same."""
    owner = "00000000-0000-0000-0000-000000000000/1/2/3"
    leftover(machine, owner=owner)
    note = machine.state / "containers" / "0.json"
    note.write_bytes(msgspec.json.encode(Note(owner, str(machine.database), "clx_app-network")))
    machine.clx("status", "--db-path", str(machine.database)).ends(0)
    assert machine.left()
    os.utime(note, (psutil.boot_time() - 60,) * 2)
    machine.clx("status", "--db-path", str(machine.database)).ends(0)
    assert not machine.left()


@pytest.mark.parametrize("command", [["stop-services"], ["workers", "cleanup"]])
def test_engine_that_is_gone_stops_no_cleaning(machine: Machine, command: list[str]) -> None:
    """There were containers once; nobody says that there is one now."""
    leftover(machine).remove()
    said = machine.clx(*command, "--db-path", str(machine.database), DOCKER_HOST="unix:///nowhere/docker.sock").ends(0)
    assert "containers may be left: The container engine at unix:///nowhere/docker.sock does not answer." in said
