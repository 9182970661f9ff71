"""Whatever single process is killed: containers, networks and rows are gone soon, or after the next command."""

from __future__ import annotations

import pytest
from tests.course.courses import Course
from tests.docker.machine import ONE, SLOW, Machine, kill_process, one_deck


@pytest.fixture
def slow(course: Course) -> Course:
    return one_deck(course, "import time\ntime.sleep(60)")


def test_killed_reaper_does_not_matter_while_the_build_lives(machine: Machine, slow: Course) -> None:
    build = machine.build(slow, *ONE)
    machine.job_runs()
    kill_process(machine.reaper())
    build.popen.terminate()
    build.ends(143)
    machine.wait_until(lambda: not machine.left(), "containers or networks are left", seconds=10)
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
    assert container.wait(timeout=30)["StatusCode"] == 0
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
