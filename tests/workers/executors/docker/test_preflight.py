"""What is checked before containers start, and what an engine-less machine is spared."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course, clx
from tests.support.tools import require
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, one_deck

from clx.db.sqlite.database import SqliteDatabase
from clx.db.workers import WorkerTable
from clx.errors import EngineError
from clx.settings.schema import DockerSettings
from clx.workers.executors.docker import preflight as docker_preflight
from clx.workers.executors.docker.preflight import preflight
from clx.workers.lock_probe import look


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_look_tells_a_held_lock_from_a_free_one(tmp_path: Path, journal_mode: Any) -> None:
    path = tmp_path / "jobs.db"
    assert look(path) == "MISSING"
    with SqliteDatabase.open(path, journal_mode=journal_mode) as database:
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
    with SqliteDatabase.open(machine.database, journal_mode=journal_mode) as database:
        assert preflight(database, {"notebook": IMAGE}, DockerSettings()) == []
        proof = database.state.path / "containers" / "shared"
        assert proof.is_file()
        assert preflight(database, {"notebook": IMAGE}, DockerSettings()) == []


def test_lock_is_held_for_the_look_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while the container is made, started and removed; others write meanwhile."""
    with (
        SqliteDatabase.open(machine.database) as database,
        SqliteDatabase.open(machine.database, busy_timeout=0.01) as other,
    ):
        free: list[bool] = []

        def look_at_the_lock(real: Any) -> Any:
            def called(*arguments: Any, **options: Any) -> Any:
                other.write("others", lambda _connection: None)
                free.append(True)
                return real(*arguments, **options)

            return called

        from docker.models.containers import Container

        for name in ("start", "reload", "logs", "remove"):
            monkeypatch.setattr(Container, name, look_at_the_lock(getattr(Container, name)))
        assert preflight(database, {"notebook": IMAGE}, DockerSettings()) == []
        assert len(free) >= 4


def test_file_that_containers_do_not_see(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mount that silently shows another directory does: Docker Desktop with an unshared drive."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(docker_preflight, "bind", lambda _path: _bind(tmp_path / "elsewhere"))
    with (
        SqliteDatabase.open(machine.database) as database,
        pytest.raises(EngineError, match="do not see the database") as caught,
    ):
        preflight(database, {"notebook": IMAGE}, DockerSettings())
    assert "--db-path" in caught.value.next_step


def test_copy_whose_locks_are_not_shared(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shared folder without locks does: the file is there, the lock is not."""
    copy = tmp_path / "copy"
    SqliteDatabase.open(copy / ".clx" / "jobs.db").close()
    monkeypatch.setattr(docker_preflight, "bind", lambda _path: _bind(copy / ".clx"))
    with SqliteDatabase.open(machine.database) as database, pytest.raises(EngineError, match="do not see the locks"):
        preflight(database, {"notebook": IMAGE}, DockerSettings())


def test_directory_that_containers_may_not_write(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from docker.types import Mount

    def read_only(path: Path) -> Any:
        return Mount("/clx/data", str(path.parent), type="bind", read_only=True)

    monkeypatch.setattr(docker_preflight, "bind", read_only)
    with SqliteDatabase.open(machine.database) as database, pytest.raises(EngineError, match="from inside a container"):
        preflight(database, {"notebook": IMAGE}, DockerSettings())


def _bind(directory: Path) -> Any:
    from docker.types import Mount

    return Mount("/clx/data", str(directory), type="bind")


@pytest.fixture
def hidden(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """Variables that hide the SDK from every process of a command, and a file that names who asked for it."""
    folder, asked = tmp_path / "hidden", tmp_path / "asked"
    folder.mkdir()
    for name in ("docker", "requests"):
        (folder / f"{name}.py").write_text(
            f"import sys\nwith open({str(asked)!r}, 'a') as stream:\n    print(*sys.orig_argv, file=stream)\n"
            "raise ImportError('hidden')\n"
        )
    return {"PYTHONPATH": str(folder)}, asked


def test_direct_builds_never_import_the_sdk(course: Course, hidden: tuple[dict[str, Any], Path]) -> None:
    """Neither the build nor a worker, a kernel or its parent, of any type."""
    require("plantuml")
    require("drawio")
    variables, asked = hidden
    course.write("slides/module_1/topic_100_slow/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    course.write("slides/module_1/topic_100_slow/drawio/b.drawio", DRAWING)
    one_deck(course, "print('here')")
    database = str(course.root / ".clx" / "jobs.db")
    for command in (
        ["build", str(course.root / "course.yaml"), *ONE],
        ["workers", "list", "--db-path", database],
        ["workers", "cleanup", "--db-path", database],
        ["stop-services", "--db-path", database],
    ):
        done = clx(*command, **variables)
        assert done.returncode == 0, done.stderr
    assert not asked.exists(), asked.read_text()
    with SqliteDatabase.open(Path(database), readonly=True) as found:
        assert len(WorkerTable(found).list(live=False)) == 3


def test_missing_sdk_is_told(course: Course, hidden: tuple[dict[str, Any], Path]) -> None:
    one_deck(course, "print('here')")
    variables, asked = hidden
    done = clx("build", str(course.root / "course.yaml"), "--workers", "docker", *ONE, **variables)
    assert done.returncode == 3
    assert 'pip install "clx-build[docker]"' in done.stderr
    assert "build" in asked.read_text()


DRAWING = '<mxGraphModel><root><mxCell id="0"/><mxCell id="1" parent="0"/></root></mxGraphModel>'
