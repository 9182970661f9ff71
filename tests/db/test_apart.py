"""Where a database lies once containers use it: apart from what the machine believes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from clx.db.apart import apart, link, located, move_apart, name_of, shared_directory, state_directory
from clx.db.sqlite.database import SqliteDatabase
from clx.db.sqlite.driver import LONGEST_PATH
from clx.errors import DatabaseBusyError, DatabaseCorruptError, DatabaseError


@pytest.fixture
def name(tmp_path: Path) -> Path:
    """The name of a project's database."""
    return tmp_path / ".clx" / "jobs.db"


@pytest.mark.parametrize("name", ["p/.clx/jobs.db", "data/clx_jobs.db"])
def test_one_state_directory_for_both_places(tmp_path: Path, name: str) -> None:
    database = tmp_path / name
    state = state_directory(database)
    assert state.name == ".clx"
    assert apart(database) == apart(apart(database)) == state / "shared" / database.name
    assert state_directory(apart(database)) == state
    assert (shared_directory(database), shared_directory(apart(database))) == (state, state / "shared")


def test_move_takes_rows_and_artifacts_along(name: Path) -> None:
    with SqliteDatabase.open(name) as database:
        mode = database.journal_mode()
        database.write("mark", lambda connection: connection.execute("PRAGMA user_version = 7"))
    (name.parent / "artifacts" / "ab").mkdir(parents=True)
    (name.parent / "config.toml").touch()
    place = move_apart(name)
    link(name)
    assert sorted(entry.name for entry in place.parent.iterdir()) == ["artifacts", "jobs.db"]
    assert (name.parent / "config.toml").is_file()
    assert name.readlink() == Path("shared/jobs.db")
    assert name_of(place) == name_of(name) == name
    for either in (name, place):
        with SqliteDatabase.open(either) as database:
            assert (database.path, database.state.path, database.state.shared) == (place, name.parent, place.parent)
            assert database.read("PRAGMA user_version") == [(7,)]
            assert database.journal_mode() == mode
    with sqlite3.connect(name) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (7,)
    other.close()


def test_nothing_is_made_where_nothing_is(name: Path) -> None:
    assert move_apart(name) == apart(name)
    link(name)
    assert not name.parent.exists()


def test_name_leads_to_a_database_that_a_container_made(name: Path) -> None:
    SqliteDatabase.open(apart(name)).close()
    assert located(name) == apart(name)
    link(name)
    assert located(name) == apart(name)
    apart(name).unlink()
    assert located(name) == apart(name), "the link says where it is to be made again"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_database_in_use_is_not_moved(name: Path, mode: str) -> None:
    SqliteDatabase.open(name, journal_mode=mode).close()
    code = "import sys; from pathlib import Path; from clx.db.sqlite.database import SqliteDatabase as D; "
    code += "database = D.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(name)], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseBusyError, match=f"process {other.pid} .* moved to {apart(name)}"):
            move_apart(name)
        other.stdin.close()
    assert name.is_file()
    assert move_apart(name).is_file(), "once nobody uses it any more"
    assert not name.exists()


def test_of_two_databases_none_is_chosen(name: Path) -> None:
    SqliteDatabase.open(name).close()
    apart(name).parent.mkdir()
    SqliteDatabase.open(apart(name)).close()
    with pytest.raises(DatabaseError, match="two databases of one name"):
        located(name)


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
def test_link_in_the_place_of_the_database_is_not_followed(name: Path, tmp_path: Path, end: str) -> None:
    """A job in a container may leave one, so that this machine writes where it points."""
    victim = tmp_path / "victim.db"
    SqliteDatabase.open(victim).close()
    before = victim.stat()
    SqliteDatabase.open(apart(name)).close()
    if not end:
        apart(name).unlink()
    apart(name).with_name(f"jobs.db{end}").symlink_to(victim)
    with pytest.raises(DatabaseCorruptError, match="not a regular file"):
        SqliteDatabase.open(name)
    assert (victim.stat().st_mtime_ns, victim.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_path_that_sqlite_cannot_open_is_told_as_such(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) < LONGEST_PATH - 100:
        folder /= "x" * 90
    folder.mkdir(parents=True)
    longest = folder / ("y" * (LONGEST_PATH - len(str(folder)) - 1))
    SqliteDatabase.open(longest).close()
    with pytest.raises(DatabaseError, match=f"too long: {LONGEST_PATH + 1} bytes") as caught:
        SqliteDatabase.open(longest.with_name(f"{longest.name}y"))
    assert "--db-path" in caught.value.next_step
