"""Persistent workers of both modes on one database. What holds for each alone is tested in ``workers/services``."""

from __future__ import annotations

import shutil

import pytest
from tests.workers.executors.docker.machine import IMAGE, Machine

from clx.db.database import Database
from clx.db.identity import is_gone
from clx.errors import DatabaseError, EngineError
from clx.settings.schema import Settings, WorkersSettings
from clx.workers.executors.docker import worker as docker
from clx.workers.executors.docker.reaper import database_label
from clx.workers.executors.spec import WorkerSpec
from clx.workers.processes import kill_group
from clx.workers.supervision.restart_policy import RestartingGroup
from clx.workers.supervision.service_state import ServiceState, read_state, update_state
from clx.workers.supervision.supervisor import Supervisor

ONLY_DECKS = ("--workers", "docker", "--plantuml-workers", "0", "--drawio-workers", "0")


def test_services_of_both_modes_are_told_apart_and_stopped_without_their_database(machine: Machine) -> None:
    path = str(machine.database)
    machine.database.parent.mkdir(parents=True)
    machine.clx("start-services", "--db-path", path, *ONLY_DECKS).ends(0)
    said = machine.clx("start-services", "--db-path", path, *ONLY_DECKS, "--workers", "direct").ends(0)
    assert "notebook: 1 worker(s), docker: running already #1" in said
    assert "notebook: 1 worker(s), direct: started #2" in said
    for file in machine.database.parent.glob(f"{machine.database.name}*"):
        file.unlink()
    # "No services were running" where the supervisor has seen first that its database is gone, and ended all itself
    told = machine.clx("stop-services", "--db-path", path).ends(0)
    assert "Services stopped" in told or "No services were running" in told
    machine.wait_until(lambda: not machine.left(), "containers or networks are left")
    assert not (machine.state / "worker-state.json").exists()


def test_services_are_stopped_by_another_path_of_their_database(machine: Machine) -> None:
    machine.database.parent.mkdir(parents=True)
    other = machine.root / "link"
    other.symlink_to(machine.state.parent)
    machine.clx("start-services", "--db-path", str(machine.database), *ONLY_DECKS).ends(0)
    state = read_state(machine.state)
    assert state is not None
    kill_group(state.supervisor)
    machine.wait_until(lambda: is_gone(state.supervisor), "the supervisor goes on")
    for file in machine.database.parent.glob(f"{machine.database.name}*"):
        file.unlink()
    assert "Services stopped" in machine.clx("stop-services", "--db-path", str(other / ".clx" / "jobs.db")).ends(0)
    assert not machine.left()


@pytest.mark.parametrize("in_order", [True, False])
def test_supervisor_removes_containers_of_a_deleted_database(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    """Also where its own files vanish under what it does at that moment."""
    database = Database.open(machine.database)
    wanted = WorkerSpec("notebook", 1, "docker:test", "test", "docker", IMAGE, Settings())
    update_state(database.state.path, lambda _: ServiceState(str(database.path), wanted=[wanted]))
    if not in_order:

        def fails(*_arguments: object, **_options: object) -> None:
            raise DatabaseError("disk I/O error", "")

        monkeypatch.setattr(RestartingGroup, "stop", fails)
    supervisor = Supervisor(database, ServiceState(str(database.path), wanted=[wanted]))
    supervisor.run_once()
    machine.container()
    shutil.rmtree(machine.state)
    supervisor.run()
    database.close()
    assert not machine.left()


@pytest.mark.parametrize(
    ("command", "told"),
    [(["stop-services"], "1 container(s) removed"), (["workers", "cleanup"], "its database is gone; removed")],
)
def test_containers_are_found_though_nothing_else_is_left(machine: Machine, command: list[str], told: str) -> None:
    labels = {"clx.worker": "notebook", "clx.db": database_label(machine.database), "clx.service": "services"}
    machine.client.containers.create(IMAGE, labels=labels)
    assert told in machine.clx(*command, "--db-path", str(machine.database)).ends(0)
    assert not machine.left()
    assert "There is no database" in machine.clx(*command, "--db-path", str(machine.database)).ends(4)


def test_kind_that_has_served_is_not_given_up_while_the_engine_refuses(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is just coming up may refuse to start what it will start a moment later."""
    refused: list[str] = []

    def refuse(_client: object, _spawn: object, _image: str, log_name: str) -> None:
        refused.append(log_name)
        raise EngineError("The container engine refused.")

    settings = Settings(workers=WorkersSettings(startup_retries=0))
    machine.database.parent.mkdir(parents=True)
    with Database.open(machine.database) as database:
        group = RestartingGroup(database, settings, print, service="services")
        group.want([WorkerSpec("notebook", 1, "a pool", "a test", "docker", IMAGE, settings)])

        def is_there(worker_id: int) -> bool:
            group.reconcile()
            group.tend()
            return [row.id for row in machine.rows()] == [worker_id]

        machine.wait_until(lambda: is_there(1), "no worker registered")
        with monkeypatch.context() as patched:
            patched.setattr(docker, "_run", refuse)
            machine.container().kill()
            machine.wait_until(lambda: is_there(0) or (refused and not group.members), "none was tried")
        assert group.given_up == {}
        machine.wait_until(lambda: is_there(2), "no other worker registered")
        group.stop(grace=1.0)
