"""A build that is stopped at any moment leaves no process, and the next one ends in the same bytes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.courses import DECK, HEADER, Course, tree
from tests.support.tools import require

SLOW = HEADER + "# %%\nimport subprocess, time\nchild = subprocess.Popen(['sleep', '300'])\ntime.sleep({seconds})\n"
MARK = "MARK_OF_THIS_TEST"


@pytest.fixture
def slow(course: Course) -> Course:
    """A course with diagrams of both kinds and decks that take a while."""
    for name in ("plantuml", "drawio"):
        require(name)
    course.deck("values", (SLOW % ("Werte", "Values")).format(seconds=0.7))
    course.deck("names", (SLOW % ("Namen", "Names")).format(seconds=0.7))
    course.deck("quick", DECK % ("Kurz", "Quick"))
    course.write("slides/module_1/topic_100_values/flow.pu", "@startuml\nA -> B\n@enduml\n")
    cell = '<mxCell id="2" value="x" vertex="1" parent="1"><mxGeometry width="80" height="40" as="geometry"/></mxCell>'
    model = f'<mxGraphModel><root><mxCell id="0"/><mxCell id="1" parent="0"/>{cell}</root></mxGraphModel>'
    course.write("slides/module_1/topic_100_values/box.drawio", f"<mxfile><diagram>{model}</diagram></mxfile>")
    course.spec("values", "names", "quick")
    return course


def test_a_lock_longer_than_a_lease_when_a_build_begins_costs_it_nothing(course: Course) -> None:
    """The lease of its batch begins when the batch is stored, not before the wait; and nobody sweeps his own."""
    course.deck("values", DECK % ("Werte", "Values"))
    course.spec("values")
    for _ in range(2):  # opening the batch is to be the first that the third one writes
        course.build("--force")
    connection = sqlite3.connect(course.root / ".clx" / "jobs.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    build = subprocess.Popen(
        [sys.executable, "-m", "clx", "build", str(course.root / "course.yaml"), "--force", "-q"],
        env={**os.environ, "CLX_JOBS__LEASE": "2", "CLX_JOBS__HEARTBEAT": "0.5"},
    )
    _builds.append(build)
    time.sleep(5)
    connection.execute("ROLLBACK")
    connection.close()

    assert build.wait(60) == 0


_builds: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def _end_builds() -> Iterator[None]:
    yield
    while _builds:
        build = _builds.pop()
        build.kill()
        build.wait()


def _start(course: Course) -> subprocess.Popen[bytes]:
    """A build in a process group of its own; everything it starts inherits a mark to be found by."""
    build = subprocess.Popen(
        [sys.executable, "-m", "clx", "build", str(course.root / "course.yaml"), "--notebook-workers", "2", "-q"],
        env={**os.environ, MARK: str(course.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _builds.append(build)
    return build


def _marked(course: Course) -> list[psutil.Process]:
    """Every living process that descends from a build of *course*, whatever became of its parents."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(course.root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _all_gone(course: Course, seconds: float = 5.0) -> list[str]:
    """What is left after *seconds*; empty as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while left := _marked(course):
        if time.monotonic() > deadline:
            return [str(process) for process in left]
        time.sleep(0.02)
    return []


def _wait_for_processes(course: Course, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(_marked(course)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Trees of uninterrupted builds, by nothing: filled by the first test that needs one."""
    return {}


@pytest.mark.parametrize(
    ("number", "processes", "code"),
    [
        pytest.param(signal.SIGINT, 3, 130, id="INT early"),
        pytest.param(signal.SIGINT, 9, 130, id="INT late"),
        pytest.param(signal.SIGTERM, 3, 143, id="TERM early"),
        pytest.param(signal.SIGTERM, 9, 143, id="TERM late"),
        pytest.param(signal.SIGKILL, 1, -9, id="KILL at once"),
        pytest.param(signal.SIGKILL, 3, -9, id="KILL early"),
        pytest.param(signal.SIGKILL, 7, -9, id="KILL midway"),
        pytest.param(signal.SIGKILL, 9, -9, id="KILL late"),
    ],
)
def test_a_stopped_build_leaves_nothing_and_the_next_finishes_the_rest(
    slow: Course, expected: dict[str, dict[str, str]], number: int, processes: int, code: int, tmp_path: Path
) -> None:
    build = _start(slow)
    _wait_for_processes(slow, processes)
    build.send_signal(number)
    assert build.wait(timeout=30) == code
    assert _all_gone(slow) == []
    slow.build()
    if not expected:
        slow.build("-o", str(tmp_path / "fresh"), "--db-path", str(tmp_path / "fresh-db" / "jobs.db"))
        expected["tree"] = tree(tmp_path / "fresh")
    assert tree(slow.output) == expected["tree"]


@pytest.mark.parametrize("victim", ["clx.workers notebook", "clx.workers plantuml", "clx.workers drawio"])
def test_a_killed_worker_is_replaced_and_the_build_ends_well(slow: Course, victim: str) -> None:
    build = _start(slow)
    _kill_first(slow, victim)
    assert build.wait(timeout=120) == 0
    assert _all_gone(slow) == []


@pytest.mark.parametrize("victim", ["forkserver", "java", "headless"])
def test_a_killed_helper_is_replaced_and_the_build_ends(slow: Course, victim: str) -> None:
    """The job it was busy with may be retried; the build must not hang and must not end in silence."""
    build = _start(slow)
    _kill_first(slow, victim)
    assert build.wait(timeout=120) == 0
    assert _all_gone(slow) == []


def _kill_first(course: Course, name: str) -> None:
    """Kill the first process of the build whose command line contains *name*."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in _marked(course):
            try:
                if name in " ".join(process.cmdline()):
                    process.kill()
                    return
            except psutil.Error:
                continue
        time.sleep(0.01)
    pytest.fail(f"no process {name!r} appeared")


def test_two_builds_of_one_course_at_once(slow: Course) -> None:
    builds = [_start(slow), _start(slow)]
    assert [build.wait(timeout=120) for build in builds] == [0, 0]
    assert _all_gone(slow) == []
    after = tree(slow.output)
    assert slow.build().ran == 0
    assert tree(slow.output) == after


def test_two_courses_on_one_database_at_once(course: Course, tmp_path: Path) -> None:
    second = Course(tmp_path / "second")
    for each in (course, second):
        for name in ("a", "b", "c"):
            each.deck(name, DECK % (f"{each.root.name} {name}", f"{each.root.name} {name}"))
        each.spec("a", "b", "c")
    command = [sys.executable, "-m", "clx", "build", "--db-path", str(tmp_path / "shared" / "jobs.db"), "-q"]
    builds = [subprocess.Popen([*command, str(each.root / "course.yaml")]) for each in (course, second)]
    assert [build.wait(timeout=120) for build in builds] == [0, 0]
    for each in (course, second):
        decks = [path for path in tree(each.output) if "/0" in path]
        assert len(decks) == 54
        assert all(f"{each.root.name} " in path for path in decks)
