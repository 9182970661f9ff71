"""The database between host and containers: journal, mount, state file, places (REQ-4, REQ-6.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.scene import Scene

from clx.db.apart import apart
from clx.db.database import Database
from clx.db.workers import WorkerTable
from clx.errors import EngineError
from clx.workers.container_env import inside
from clx.workers.executors.docker.worker import require_apart
from clx.workers.platforms import Surroundings, choose_journal_mode, sharing_warning
from clx.workers.process.await_pool import UNRESOLVED


@pytest.mark.parametrize(
    ("platform", "file_system", "containers", "mode"),
    [
        ("windows", "", True, "delete"),
        ("wsl", "ext4", True, "delete"),
        ("wsl", "9p", False, "delete"),
        ("macos", "", True, "delete"),
        ("macos", "", False, "wal"),
        ("linux", "ext4", True, "wal"),
    ],
)
def test_no_write_ahead_log_across_a_boundary(platform: str, file_system: str, containers: bool, mode: str) -> None:
    """REQ-4.1: DELETE where host and containers do not share memory."""
    where = Surroundings(platform, file_system)  # type: ignore[arg-type]
    assert choose_journal_mode("auto", where, containers=containers)[0] == mode


def test_the_directory_is_mounted(tmp_path: Path) -> None:
    """REQ-4.2: what a container gets is the directory that holds the database, under a name of its own."""
    from clx.workers.executors.docker.worker import bind

    mount = bind(tmp_path / "jobs.db")
    assert (mount["Type"], mount["Source"]) == ("bind", str(tmp_path))
    assert inside(str(tmp_path), "jobs.db") == f"{mount['Target']}/jobs.db"


@pytest.mark.parametrize("name", ["jobs.db", ".clx/jobs.db", "shared/jobs.db"])
def test_directory_with_anything_else_in_it_is_not_mounted(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match="which no container may write"):
        require_apart(tmp_path / name)
    require_apart(apart(tmp_path / name))


def test_state_file_names_the_database(scene: Scene) -> None:
    """REQ-4.4: what `stop-services` and a person need; gone afterwards."""
    path = scene.course.root / "data" / "clx_jobs.db"
    scene.clx("start-services", "--db-path", str(path), "--plantuml-workers", "0", "--drawio-workers", "0")
    state = path.parent / ".clx" / "worker-state.json"
    assert json.loads(state.read_text())["database"] == str(path)
    scene.clx("stop-services", "--db-path", str(path))
    assert not state.exists()


@pytest.mark.parametrize(
    ("path", "platform", "words"),
    [
        ("/mnt/c/Users/me/jobs.db", "wsl", "on a Windows drive"),
        (r"\\wsl.localhost\Ubuntu\home\me\jobs.db", "windows", "inside WSL"),
        (r"C:\Users\me\jobs.db", "windows", ""),
        ("/home/me/jobs.db", "wsl", ""),
    ],
)
def test_places_that_containers_cannot_share_are_warned_about(path: str, platform: str, words: str) -> None:
    """REQ-4.5."""
    told = sharing_warning(path, Surroundings(platform, "ext4"))  # type: ignore[arg-type]
    assert words in told
    assert bool(told) == bool(words)


def test_workers_of_a_compose_file_are_found_and_used(tmp_path: Path) -> None:
    """REQ-6.4: a worker somebody else's tool started waits in the table until its image is known, then serves."""
    with Database.open(tmp_path / "jobs.db") as database:
        table = WorkerTable(database)
        worker = table.register(
            type="notebook",
            pool=UNRESOLVED,
            mode="docker",
            host="box",
            pid=1,
            identity="",
            version="1",
            container_id="c",
        )
        assert table.assign(worker, UNRESOLVED, "docker:1:abc")
        assert not table.assign(worker, UNRESOLVED, "docker:1:other")
        [row] = table.list()
        assert (row.pool, row.state) == ("docker:1:abc", "idle")
