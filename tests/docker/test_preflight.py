"""What is checked before containers start, and what an engine-less machine is spared."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.course.courses import Course
from tests.docker.machine import IMAGE, ONE, Machine, one_deck

from clx.db.database import Database
from clx.errors import EngineError
from clx.settings.schema import DockerSettings
from clx.workers.executors import docker_preflight
from clx.workers.executors.docker_preflight import preflight
from clx.workers.reachable import look


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_look_tells_a_held_lock_from_a_free_one(tmp_path: Path, journal_mode: Any) -> None:
    path = tmp_path / "jobs.db"
    assert look(path) == "MISSING"
    with Database.open(path, journal_mode=journal_mode) as database:
        answers: list[str] = []

        def ask(_connection: Any) -> None:
            thread = threading.Thread(target=lambda: answers.append(look(path)))
            thread.start()
            thread.join()

        database.write("hold", ask)
        assert answers == ["BUSY"]
        assert look(path) == "FREE"
        assert database.journal_mode() == journal_mode
    (tmp_path / "other").write_text("this is no database, and long enough to be looked at " * 20)
    assert look(tmp_path / "other").startswith("ERROR ")


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_container_sees_the_host_lock(machine: Machine, journal_mode: Any) -> None:
    with Database.open(machine.database, journal_mode=journal_mode) as database:
        assert preflight(database, {"notebook": IMAGE}, DockerSettings()) == []
        proof = database.state_dir / "containers" / "shared"
        assert proof.is_file()
        assert preflight(database, {"notebook": IMAGE}, DockerSettings()) == []


def test_file_that_containers_do_not_see(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mount that silently shows another directory does: Docker Desktop with an unshared drive."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(docker_preflight, "bind", lambda _path: _bind(tmp_path / "elsewhere"))
    with (
        Database.open(machine.database) as database,
        pytest.raises(EngineError, match="do not see the database") as caught,
    ):
        preflight(database, {"notebook": IMAGE}, DockerSettings())
    assert "--db-path" in caught.value.next_step


def test_copy_whose_locks_are_not_shared(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shared folder without locks does: the file is there, the lock is not."""
    copy = tmp_path / "copy"
    Database.open(copy / ".clx" / "jobs.db").close()
    monkeypatch.setattr(docker_preflight, "bind", lambda _path: _bind(copy / ".clx"))
    with Database.open(machine.database) as database, pytest.raises(EngineError, match="do not see the locks"):
        preflight(database, {"notebook": IMAGE}, DockerSettings())


def test_directory_that_containers_may_not_write(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from docker.types import Mount

    def read_only(path: Path) -> Any:
        return Mount("/clx/data", str(path.parent), type="bind", read_only=True)

    monkeypatch.setattr(docker_preflight, "bind", read_only)
    with Database.open(machine.database) as database, pytest.raises(EngineError, match="from inside a container"):
        preflight(database, {"notebook": IMAGE}, DockerSettings())


def _bind(directory: Path) -> Any:
    from docker.types import Mount

    return Mount("/clx/data", str(directory), type="bind")


def without_sdk(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``clx`` where the SDK and what it needs cannot be imported."""
    program = (
        "import sys; sys.modules['docker'] = sys.modules['requests'] = None; "
        "from clx.cli.main import main; sys.argv[0] = 'clx'; main()"
    )
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)


def test_direct_builds_never_import_the_sdk(course: Course) -> None:
    one_deck(course, "print('here')")
    done = without_sdk("build", str(course.root / "course.yaml"), *ONE)
    assert done.returncode == 0, done.stderr
    done = without_sdk("workers", "cleanup", "--db-path", str(course.root / ".clx" / "jobs.db"))
    assert done.returncode == 0, done.stderr


def test_missing_sdk_is_told(course: Course) -> None:
    one_deck(course, "print('here')")
    done = without_sdk("build", str(course.root / "course.yaml"), "--workers", "docker", *ONE)
    assert done.returncode == 3
    assert 'pip install "clx[docker]"' in done.stderr
