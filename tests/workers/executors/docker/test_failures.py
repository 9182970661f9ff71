"""Everything that can go wrong with containers: exit code 3 with what to type next, or rescue and success."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, one_deck
from tests.workers.executors.docker.registry import registry

from clx import __version__
from clx.db.database import Database
from clx.errors import EngineError
from clx.settings.schema import DockerSettings
from clx.workers.executors.docker import worker as docker
from clx.workers.executors.docker.images import find, obtain
from clx.workers.executors.docker.wheel import digest_of_running


@pytest.fixture
def quick(course: Course) -> Course:
    return one_deck(course, "print('here')")


def once(course: Course, marker: str) -> Course:
    """A deck that does *marker* in its first run and prints in the second.

    The only place both runs see is the mounted state directory.
    """
    mark = "from pathlib import Path\nmark = Path('/clx/.clx/mark')\nfirst = not mark.exists()\nmark.touch()"
    return one_deck(course, mark, f"import os, time\nif first:\n    {marker}", "print('second run')")


# -- the engine -----------------------------------------------------------------------------------


def test_no_engine(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, DOCKER_HOST="unix:///nowhere/docker.sock").ends(3)
    assert "The container engine at unix:///nowhere/docker.sock does not answer." in said
    assert "Start it" in said
    assert "--workers direct" in said


@pytest.mark.parametrize(
    ("variables", "fact", "next_step"),
    [
        ({"DOCKER_HOST": "garbage"}, "DOCKER_HOST is garbage, where no engine", "unset it"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:99999"}, "DOCKER_HOST is tcp://127.0.0.1:99999", "unset it"),
        ({"DOCKER_HOST": "ssh://nobody@127.0.0.1:1"}, "DOCKER_HOST is ssh://nobody@127.0.0.1:1", "unset it"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1"}, "no TLS connection", "DOCKER_CERT_PATH"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "at tcp://127.0.0.1:1 does not answer", "correct DOCKER_HOST"),
    ],
)
def test_wrong_way_to_the_engine_is_told_from_an_engine_that_does_not_run(
    machine: Machine, variables: dict[str, str], fact: str, next_step: str
) -> None:
    said = machine.clx("docker", "list", **variables).ends(3)
    assert fact in said
    assert next_step in said


def test_hanging_engine(machine: Machine, quick: Course, mute: socket.socket) -> None:
    host = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
    said = machine.build(quick, *ONE, DOCKER_HOST=host).ends(3, seconds=90)
    assert f"The container engine at {host} does not answer: it hangs." in said
    assert "Restart it (" in said
    assert "Start it" not in said


def test_engine_that_may_not_be_used(machine: Machine, quick: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    from docker.errors import DockerException

    from clx.workers.executors.docker.engine import engine_errors

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    denied = DockerException("('Connection aborted.', PermissionError(13, 'Permission denied'))")
    with pytest.raises(EngineError, match="may not use") as caught, engine_errors():
        raise denied
    assert "usermod -aG docker" in caught.value.next_step


# -- images ---------------------------------------------------------------------------------------


def test_image_missing_names_both_remedies(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE="clx-notebook:none").ends(3)
    assert "The image clx-notebook:none for notebook workers is not there." in said
    assert "clx docker build notebook" in said
    assert "workers.notebook.image" in said


def test_image_name_that_is_none(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE="UPPER/case:1").ends(3)
    assert "UPPER/case:1 is no name of an image: repository name must be lowercase" in said
    assert "workers.<type>.image" in said


def test_image_that_is_elsewhere_is_pulled(machine: Machine) -> None:
    """And looked at: what is pulled must fit as well."""
    with registry({"clx.version": __version__, "clx.type": "notebook", "clx.code": digest_of_running()}) as name:
        with pytest.raises(EngineError, match="is not there"):
            obtain(machine.client, "notebook", name, DockerSettings(auto_pull=False))
        try:
            image = obtain(machine.client, "notebook", name, DockerSettings())
            assert (image.name, image.type, image.version) == (name, "notebook", __version__)
            with pytest.raises(EngineError, match="is for notebook workers, not for plantuml"):
                obtain(machine.client, "plantuml", name, DockerSettings())
        finally:
            machine.client.images.remove(name)


def test_plan_pulls_nothing(machine: Machine, quick: Course) -> None:
    """What is not here has made nothing yet: everything would run."""
    with registry({"clx.version": __version__, "clx.type": "notebook", "clx.code": digest_of_running()}) as name:
        said = machine.build(quick, *ONE, "--dry-run", CLX_WORKERS__NOTEBOOK__IMAGE=name).ends(0)
        assert "Would run 1 job; 0 are up to date." in said
        assert find(machine.client, name) is None


def test_image_is_not_pulled_when_that_is_off(machine: Machine, quick: Course) -> None:
    image = "127.0.0.1:1/clx/notebook:0.1.0"
    off = {"CLX_WORKERS__NOTEBOOK__IMAGE": image, "CLX_DOCKER__AUTO_PULL": "false"}
    assert f"The image {image} for notebook workers is not there." in machine.build(quick, *ONE, **off).ends(3)


def test_pull_impossible(machine: Machine, quick: Course) -> None:
    image = "127.0.0.1:1/clx/notebook:0.1.0"
    said = machine.build(quick, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE=image).ends(3)
    assert f"docker pull {image}" in said
    assert "connection refused" in said


def test_endless_pull(machine: Machine, quick: Course, mute: socket.socket) -> None:
    image = f"127.0.0.1:{mute.getsockname()[1]}/clx/notebook:0.1.0"
    endless = {"CLX_WORKERS__NOTEBOOK__IMAGE": image, "CLX_DOCKER__PULL_TIMEOUT": "2"}
    said = machine.build(quick, *ONE, **endless).ends(3, seconds=60)
    assert f"The image {image} for notebook workers was not pulled within 2 seconds." in said
    assert "docker.pull_timeout" in said


@pytest.mark.parametrize(
    ("labels", "fact"),
    [
        ({}, "is no CLX worker image"),
        ({"clx.version": "0.0.1", "clx.type": "notebook"}, "holds CLX 0.0.1; this is CLX"),
        ({"clx.version": "0.1.0", "clx.type": "drawio"}, "is for drawio workers, not for notebook"),
        ({"clx.version": __version__, "clx.type": "notebook"}, "holds CLX 0.1.0 too, but its code is not that of"),
    ],
)
def test_image_that_does_not_fit(machine: Machine, quick: Course, labels: dict[str, str], fact: str) -> None:
    changes = [f"LABEL {name}={value}" for name, value in labels.items()] or ["LABEL other=1"]
    machine.client.api.import_image_from_data(b"\0" * 1024, repository="clx-test", tag="unfit", changes=changes)
    try:
        said = machine.build(quick, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE="clx-test:unfit").ends(3)
        listed = machine.clx("docker", "list", CLX_WORKERS__NOTEBOOK__IMAGE="clx-test:unfit").ends(0)
    finally:
        machine.client.images.remove("clx-test:unfit")
    assert f"The image clx-test:unfit {fact}" in said
    assert f"The image clx-test:unfit {fact}" in listed
    assert "workers.notebook.image" in said


# -- containers -----------------------------------------------------------------------------------


def test_cell_out_of_memory_is_named(machine: Machine, course: Course) -> None:
    one_deck(course, "hoard = bytearray(900 << 20)\nprint(len(hoard))")
    said = machine.build(course, *ONE, CLX_DOCKER__MEMORY="400m").ends(1)
    assert "cell 2" in said
    assert "out of memory" in said
    assert "docker.memory" in said


def test_worker_out_of_memory_is_the_cause_of_a_rescue(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, CLX_DOCKER__MEMORY="18m").ends(1)
    assert "died (out of memory, limit 18m)" in said
    assert "killed its worker 3 times" in said
    assert [json.loads(cause)["kind"] for cause in machine.causes()] == ["oom"] * 3


def test_worker_that_cannot_even_start(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, CLX_DOCKER__MEMORY="6m", CLX_WORKERS__STARTUP_RETRIES="0").ends(3)
    assert "The notebook worker did not start" in said
    assert "clx docker check" in said


def test_limits_that_the_engine_refuses(machine: Machine, quick: Course) -> None:
    said = machine.build(quick, *ONE, CLX_DOCKER__CPUS="1000", CLX_WORKERS__STARTUP_RETRIES="0").ends(3)
    assert "The notebook worker did not start. The container engine refused to start the container" in said
    assert "Correct docker.memory, docker.cpus or docker.network" in said.splitlines()[-1]


def test_removed_network_does_not_stop_a_build(machine: Machine, course: Course) -> None:
    once(course, "[time.sleep(0.05) for _ in range(400) if not Path('/clx/.clx/go').exists()]")
    build = machine.build(course, *ONE)
    machine.marked()
    [network] = machine.client.networks.list(names=["clx_app-network"])
    network.disconnect(machine.container().id, force=True)
    network.remove()
    (machine.database.parent / "go").touch()
    build.ends(0)


def test_taken_name_is_met_with_another(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    names = itertools.chain(["same", "same"], map(str, itertools.count()))
    monkeypatch.setattr("clx.workers.executors.docker.worker.secrets.token_hex", lambda _n: next(names))
    Database.open(machine.database).close()  # as whoever starts workers has done
    before = {each.name for each in machine.containers()}
    workers = [docker.start(machine.spawn(), machine.state) for _ in range(2)]

    def made() -> set[str]:
        return {each.name for each in machine.containers()} - before

    try:
        machine.wait_until(
            lambda: len(made()) == 2 or not all(worker.is_alive() for worker in workers),
            f"not both workers have a container; before: {before}",
        )
        assert len(made()) == 2, [(worker.cause(), worker.tail()) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            assert worker.wait(60)
            worker.close()


def test_missing_mount_path(machine: Machine, tmp_path: Path) -> None:
    worker = docker.start(machine.spawn(database=tmp_path / ".clx" / "shared" / "jobs.db"), machine.state)
    assert worker.wait(60)
    assert "bind source path does not exist" in worker.tail()
    assert "clx docker check" in worker.tail()
    assert worker.cause() == {"kind": "engine", "message": "not started"}
    worker.close()
    assert not (tmp_path / "gone").exists()


def test_worker_that_cannot_use_its_database_says_why(machine: Machine, quick: Course) -> None:
    """The container's user may not write: what a mount with foreign permissions does on other systems."""
    machine.database.parent.mkdir(parents=True)
    probe = machine.client.containers.create(
        IMAGE,
        ["notebook", "--db", "/clx/.clx/jobs.db"],
        volumes={str(machine.database.parent): {"bind": "/clx/data", "mode": "ro"}},
        labels={"clx.worker": "notebook"},
        network="none",
    )
    try:
        probe.start()
        assert probe.wait(timeout=60)["StatusCode"] == 4
        assert "cannot be" in probe.logs().decode()
    finally:
        probe.remove(force=True)


def test_read_only_container_works(machine: Machine, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the mount, HOME and /tmp is ever written to."""
    once(course, "pass")
    real = docker._options

    def hardened(*arguments: Any) -> dict[str, Any]:
        found = real(*arguments)
        return {**found, "read_only": True, "tmpfs": {**found["tmpfs"], "/tmp": "rw,exec,mode=1777"}}

    monkeypatch.setattr(docker, "_options", hardened)
    from clx.course.build import Build, BuildOptions
    from clx.course.display import Display
    from clx.course.layout import Selection
    from clx.settings.origin import OptionValue
    from clx.settings.resolve import resolve
    from clx.workers.executors.docker.reaper import dismiss_idle_reapers

    resolved = resolve(course.root, options={"workers.default_execution_mode": OptionValue("docker", "--workers")})
    one = Selection(frozenset({"en"}), frozenset({"completed"}), frozenset({"html"}), None)
    try:
        report = Build(BuildOptions(course.root / "course.yaml", selection=one), resolved, Display()).run()
    finally:
        dismiss_idle_reapers()
    assert report.failures == []
    assert report.ran == 1
