"""Persistent workers of both modes on one database. What holds for each alone is tested in ``workers/services``."""

from __future__ import annotations

from tests.docker.machine import Machine

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
    assert "Services stopped" in machine.clx("stop-services", "--db-path", path).ends(0)
    assert not machine.left()
    assert not (machine.database.parent / "worker-state.json").exists()
