"""The engine itself ends in the middle of a build: on an engine of the test's own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.support.courses import Course
from tests.support.scene import until
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, one_deck

from clx.db.database import Database
from clx.workers.executors.docker import worker as executor
from clx.workers.executors.docker.engine import ANSWER_LIMIT

ONLY_DECKS = ("--workers", "docker", "--plantuml-workers", "0", "--drawio-workers", "0")


class OwnEngine:
    """A daemon with everything of its own; in a network namespace too, for two would quarrel over ``docker0``."""

    def __init__(self, root: Path) -> None:
        self.host = f"unix://{root}/docker.sock"
        self._command = [
            "unshare", "--net", "dockerd", "--host", self.host, "--pidfile", f"{root}/pid",
            "--exec-root", f"{root}/exec", "--data-root", f"{root}/data", "--log-level", "error",
            "--iptables=false", "--ip6tables=false", "--ip-forward=false",
        ]  # fmt: skip
        self._log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as stream:
            self.process = subprocess.Popen(self._command, stdout=stream, stderr=stream, start_new_session=True)
        until(self.answers)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            try:
                caller.connect(self.host.removeprefix("unix://"))
                caller.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
                return b" 200 " in caller.recv(64)
            except OSError:
                return False

    def client(self) -> Any:
        return docker.DockerClient(base_url=self.host, timeout=120)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None


@pytest.fixture(scope="module")
def own(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    root = tmp_path_factory.mktemp("engine")
    engine = OwnEngine(root)
    engine.start()
    saved = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
    assert saved.stdout is not None
    subprocess.run(["docker", "--host", engine.host, "load"], stdin=saved.stdout, check=True, capture_output=True)
    saved.stdout.close()
    assert saved.wait() == 0
    yield engine
    engine.stop()
    shutil.rmtree(root, ignore_errors=True)


def test_build_ends_and_the_next_one_goes_on(machine: Machine, own: OwnEngine, course: Course) -> None:
    one_deck(course, "import time\ntime.sleep(600)")
    where = {"DOCKER_HOST": own.host}
    build = machine.build(course, *ONE, **where)
    machine.job_runs()
    own.stop()
    said = build.ends(3)
    assert f"The container engine at {own.host} does not answer." in said
    assert "Start it" in said
    assert machine.rows() == []
    own.start()
    one_deck(course, "print('here')")
    machine.build(course, *ONE, **where).ends(0)
    with closing(own.client()) as client:
        assert client.containers.list(all=True) == []


def test_services_come_back_with_their_engine(machine: Machine, own: OwnEngine) -> None:
    """Meanwhile ``clx status`` says what is missing; containers that ended with the engine do not stay in it."""
    path, where = str(machine.database), {"DOCKER_HOST": own.host}
    machine.database.parent.mkdir(parents=True)

    def warnings() -> list[str]:
        said = machine.clx("status", "--db-path", path, "--format", "json", **where).ends(0)
        return list(json.loads(said)["warnings"])

    machine.clx("start-services", "--db-path", path, *ONLY_DECKS, **where, CLX_WORKERS__STARTUP_RETRIES="0").ends(0)
    assert warnings() == []
    own.stop()
    log = machine.state / "logs" / "supervisor.log"
    machine.wait_until(lambda: log.read_text().count("does not answer") > 2, "the supervisor does not try")
    assert ["0 of 1 notebook worker(s) run as services" in each for each in warnings()] == [True]
    own.start()
    machine.wait_until(lambda: [row.id for row in machine.rows()] == [2], "no worker came back")
    with closing(own.client()) as client:
        machine.wait_until(lambda: len(client.containers.list(all=True)) == 1, "ended containers stay")
        machine.clx("stop-services", "--db-path", path, **where).ends(0)
        assert client.containers.list(all=True) == []


def test_engine_that_hangs_in_the_middle_of_a_build(machine: Machine, own: OwnEngine, course: Course) -> None:
    """Containers go on, and so the build is done; what it could not remove is removed by the next command."""
    mark = "from pathlib import Path\nimport time\nPath('/clx/.clx/mark').touch()"
    one_deck(course, mark, "while not Path('/clx/.clx/go').exists(): time.sleep(0.02)")
    build = machine.build(course, *ONE, DOCKER_HOST=own.host)
    machine.marked()
    assert own.process is not None
    own.process.send_signal(signal.SIGSTOP)
    try:
        (machine.database.parent / "go").touch()
        said = build.ends(0, seconds=90)
    finally:
        own.process.send_signal(signal.SIGCONT)
    assert said.count(f"The container engine at {own.host} does not answer: it hangs.") == 1
    assert "removed by the next command" in said
    machine.clx("status", "--db-path", str(machine.database), DOCKER_HOST=own.host).ends(0)
    with closing(own.client()) as client:
        assert client.containers.list(all=True) == []


def test_engine_that_is_slow_for_a_while_costs_no_worker(
    machine: Machine, own: OwnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the engine may need longer for a container than for an ordinary answer."""
    monkeypatch.setenv("DOCKER_HOST", own.host)
    spawn = machine.spawn()
    Database.open(machine.database).close()  # as whoever starts workers has done
    worker = executor.start(spawn, machine.state)
    assert own.process is not None
    own.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(ANSWER_LIMIT + 2)
    finally:
        own.process.send_signal(signal.SIGCONT)
    try:
        machine.wait_until(lambda: [row.started_at for row in machine.rows()], "the worker did not register")
        assert worker.is_alive(), worker.tail()
    finally:
        worker.kill()
        assert worker.wait(60)
        worker.close()
