"""Where workers keep files while they live, and what is removed of those that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.db.apart import apart
from clx.db.database import Database
from clx.db.workers import WorkerTable
from clx.workers.process.directories import remove_work, remove_work_of_services, work_directory, work_roots


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Database]:
    """A database that containers use."""
    with Database.open(apart(tmp_path / ".clx" / "jobs.db")) as database:
        yield database


def row(database: Database, *, service: str | None = None, ended: bool = True) -> int:
    told: dict[str, Any] = {"type": "t", "pool": "p", "mode": "direct", "host": "h", "version": "0", "log": None}
    table = WorkerTable(database)
    id_ = table.register(**told, pid=1, identity="x", service=service)
    if ended:
        table.end(id_, "gone")
    return id_


def leave(folder: Path) -> Path:
    (folder / "in").mkdir(parents=True)
    (folder / "in/a.py").write_text("x")
    return folder


def test_the_directory_of_a_worker_is_never_where_a_container_writes(shared: Database, tmp_path: Path) -> None:
    assert work_directory(shared, 7) == tmp_path / ".clx/work/7"
    assert work_roots(shared) == [tmp_path / ".clx/work", tmp_path / ".clx/shared/work"]


def test_where_no_container_is_there_is_one_such_place(tmp_path: Path) -> None:
    with Database.open(tmp_path / "jobs.db") as database:
        assert work_roots(database) == [tmp_path / ".clx/work"]


def test_what_one_worker_left_goes_in_both_places_and_nothing_else(shared: Database) -> None:
    gone = [leave(root / "7") for root in work_roots(shared)]
    stays = [leave(root / name) for root in work_roots(shared) for name in ("8", "77")]
    remove_work(shared, 7)
    assert ([path.exists() for path in gone], [path.exists() for path in stays]) == ([False] * 2, [True] * 4)


def test_a_link_that_a_job_put_there_is_not_followed(shared: Database, tmp_path: Path) -> None:
    precious = leave(tmp_path / "precious" / "7")
    (tmp_path / ".clx/shared/work").symlink_to(tmp_path / "precious")
    assert work_roots(shared) == [tmp_path / ".clx/work"]
    remove_work(shared, 7)
    assert (precious / "in/a.py").exists()


@pytest.mark.parametrize(
    ("service", "ended", "stays"), [("s", True, False), ("s", False, True), (None, True, True), (None, False, True)]
)
def test_only_services_that_ended_are_cleared_up_after(
    shared: Database, service: str | None, ended: bool, stays: bool
) -> None:
    id_ = row(shared, service=service, ended=ended)
    folder = leave(work_directory(shared, id_))
    remove_work_of_services(shared)
    assert folder.exists() is stays


def test_what_a_dying_helper_writes_afterwards_goes_too(shared: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = leave(work_directory(shared, row(shared, service="s")))
    writes = iter([True, True, False, False])
    monkeypatch.setattr("clx.workers.process.directories.time.sleep", lambda _: next(writes) and leave(folder))
    remove_work_of_services(shared)
    assert not folder.exists()
    assert next(writes, None) is False


def test_who_never_stops_writing_is_not_waited_for_without_end(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = leave(work_directory(shared, row(shared, service="s")))
    seconds = [0.0]

    def write_again(asked: float) -> None:
        seconds.append(seconds[-1] + 0.5)
        leave(folder)

    monkeypatch.setattr("clx.workers.process.directories.time.monotonic", lambda: seconds[-1])
    monkeypatch.setattr("clx.workers.process.directories.time.sleep", write_again)
    remove_work_of_services(shared)
    assert seconds[-1] == 2.0
