"""Services that builds do not use, and whose containers nobody can reach, are told of."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.scene import ONLY_DECKS, Scene

from clx.db.database import Database
from clx.settings.schema import Settings
from clx.workers.executors.docker import containers
from clx.workers.executors.spec import WorkerSpec
from clx.workers.supervision.service_state import ServiceState, read_state, update_state
from clx.workers.supervision.status import worker_statuses


def make_old(scene: Scene) -> None:
    """Let every worker there be of an earlier version."""
    with scene.open() as database:
        database.write("old", lambda at: at.execute("UPDATE workers SET version = '0.0.9', pool = 'direct:0.0.9:x'"))


def test_services_of_another_version_are_told_of(scene: Scene) -> None:
    """REQ-3.6: which workers are used, and which are not."""
    scene.decks("one")
    scene.clx("start-services", *ONLY_DECKS)
    [row] = scene.workers()
    assert scene.json("status")["warnings"] == []
    assert "not used" not in scene.build().stdout
    make_old(scene)
    [warning] = [text for text in scene.json("status")["warnings"] if "0.0.9" in text]
    assert f"#{row.id} are of CLX 0.0.9" in warning
    assert "clx stop-services" in warning
    assert "0.0.9" in scene.clx("workers", "list").stdout
    built = scene.build("--force").stdout
    assert built.count("Running services are not used") == 1
    assert f"#{row.id} (notebook): it is of version 0.0.9" in built
    assert "not used" not in scene.build("--force", "--force-new-workers").stdout, "that was asked for"


@pytest.mark.parametrize(
    ("count", "mode", "contained", "told"),
    [
        ("default", "default", False, "default"),
        ("c.toml:2", "default", False, "c.toml:2"),
        ("default", "--workers", False, "--workers"),
        ("VARIABLE", "--workers", False, "VARIABLE"),
        ("default", "--workers", True, "--workers"),
        ("c.toml:2", "--workers", True, "c.toml:2, --workers, IMAGE"),
        ("--workers", "--workers", True, "--workers, IMAGE"),
    ],
)
def test_source_names_number_mode_and_image(count: str, mode: str, contained: bool, told: str) -> None:
    """REQ-8.1."""
    image = "IMAGE" if "IMAGE" in told else "default"
    where = "docker" if contained else "direct"
    spec = WorkerSpec("plantuml", 1, "p", count, where, None, Settings(), mode_source=mode, image_source=image)
    assert spec.source == told


def test_source_of_containers_is_kept_with_services() -> None:
    wanted = WorkerSpec("plantuml", 1, "p", "default", "docker", "i", Settings(), "x", "--workers", "v")
    kept = msgspec.json.decode(msgspec.json.encode(ServiceState("jobs.db", wanted=[wanted])), type=ServiceState)
    assert kept.wanted == [wanted]
    assert kept.wanted[0].source == "--workers, v"
    assert list(msgspec.to_builtins(wanted)) == [
        *("type", "count", "pool", "config_source", "mode", "image", "settings"),
        *("image_id", "mode_source", "image_source"),
    ], "the file of another version is understood"


def docker_state(scene: Scene) -> ServiceState:
    """The state of services in containers whose supervisor has gone."""
    wanted = WorkerSpec("notebook", 3, "docker:x", "default", "docker", "clx-notebook:0.1.0", Settings())
    return ServiceState(str(scene.database), wanted=[wanted])


def test_stop_says_that_containers_cannot_be_reached(scene: Scene) -> None:
    Database.open(scene.database).close()
    update_state(scene.state, lambda _: docker_state(scene))
    for _ in range(2):
        done = scene.clx("stop-services", code=3, DOCKER_HOST="unix:///nowhere/docker.sock")
        assert "whether containers of its workers are left cannot be seen" in done.stderr
        assert f"clx stop-services --db-path {scene.database}" in done.stderr
        assert "No services" not in done.stdout
        state = read_state(scene.state)
        assert state is not None
        assert state.wanted == docker_state(scene).wanted, "the next call knows of them"


def test_container_that_its_engine_has_no_more_is_dead_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another engine may have is left to its lease."""
    engine: list[tuple[str, dict[str, str]]] = [("ours", {"c1": "running"})]
    monkeypatch.setattr(containers, "engine_states", lambda: engine[0])
    with Database.open(scene.database) as database:
        from clx.db.workers import WorkerTable

        for id_ in ("c1", "c2"):
            WorkerTable(database).register(
                type="notebook", pool="docker:x", mode="docker", host=id_, pid=7, identity=f"b/n/7/{id_}",
                version="0.1.0", container_id=id_, image="i",
            )  # fmt: skip

        def statuses() -> list[str]:
            return [each.status for each in worker_statuses(database, Settings().jobs)]

        assert statuses() == ["idle", "idle"]
        engine[0] = ("ours", {})
        assert statuses() == ["dead", "idle"], "the second was never this engine's"
        engine[0] = ("another", {})
        assert statuses() == ["idle", "idle"]
        engine[0] = ("ours", {})
        assert containers.mark_ended(database, Settings().jobs) == [1]


def test_log_that_was_removed_is_told_of(scene: Scene) -> None:
    scene.clx("start-services", *ONLY_DECKS)
    assert "worker 1 started" in scene.clx("workers", "logs", "1").stdout
    for path in (scene.state / "logs").iterdir():
        path.unlink()
    done = scene.clx("workers", "logs", "1")
    assert done.stdout == ""
    assert "There is no log of worker #1 any more" in done.stderr


def test_services_are_stopped_though_the_settings_say_containers_by_now(scene: Scene) -> None:
    """Only what starts workers moves a database for them; it is in use here."""
    scene.clx("start-services", *ONLY_DECKS)
    scene.settings('[workers.notebook]\nexecution_mode = "docker"\nimage = "mine:1"\n')
    assert scene.json("status")["services"]["supervisor"] == "running"
    scene.clx("workers", "cleanup")
    assert "1 worker(s) stopped." in scene.clx("stop-services").stdout
