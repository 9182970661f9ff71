"""A server of the tests' own: Debian's programs in a directory that is thrown away, reached by a socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.tools import require

_FAST = (
    "deadlock_timeout=50ms",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "shared_buffers=32MB",
    "max_connections=300",
)


def programs() -> Path | None:
    """Where Debian and others keep the programs of the newest server that is installed; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """A server in a directory.

    Args:
        folder: where; short, because its socket lies in it.
        settings: of the server, beside those that make it quick.
    """

    def __init__(self, folder: Path, settings: tuple[str, ...] = _FAST) -> None:
        self.folder = folder
        self._bin = programs()
        self._settings = settings
        # a server refuses to be root's
        self._as = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def make(self) -> None:
        """Make an empty one."""
        self.folder.chmod(0o700)
        if self._as is not None:
            os.chown(self.folder, self._as.pw_uid, self._as.pw_gid)
        self._run("initdb", "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--auth=trust",
                  "--username=clx", "-D", str(self.folder / "data"))  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c {each}" for each in (*self._settings, "listen_addresses=''")]
        options.append(f"-k {self.folder}")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o",
                  " ".join(options), "start")  # fmt: skip

    def stop(self, how: str = "immediate") -> None:
        """End it."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", how, "stop")

    @property
    def pid(self) -> int:
        """Its first process."""
        return int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://clx@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement finds, by a connection of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        assert self._bin is not None
        user = {} if self._as is None else {"user": self._as.pw_uid, "group": self._as.pw_gid, "extra_groups": []}
        done = subprocess.run([str(self._bin / program), *arguments], cwd=self.folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.STDOUT, **user)  # type: ignore[call-overload]  # fmt: skip
        log = self.folder / "log"
        assert done.returncode == 0, (program, log.read_text(encoding="utf-8") if log.exists() else "")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server for all tests of a session."""
    require("postgres")
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name:
        found = Server(Path(name))
        found.make()
        found.start()
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="session")
def tables(server: Server) -> str:
    """The name of a database with the tables, to be copied or emptied."""
    from clx.db.jobs import Queue

    server.execute("CREATE DATABASE clx_template")
    with Queue.open(server.url("clx_template")):
        pass
    return "clx_template"


@pytest.fixture(scope="session")
def shared_database(server: Server, tables: str) -> str:
    """The name of one database that is emptied for each test."""
    server.execute(f"CREATE DATABASE shared TEMPLATE {tables}")
    return "shared"


@pytest.fixture
def postgresql(server: Server, shared_database: str) -> str:
    """The URL of an empty job table; what was in it before is removed."""
    with psycopg.connect(server.url(shared_database), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = [row[0] for row in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'clx' AND tablename <> 'alembic_version'"
        ).fetchall()]  # fmt: skip
        filled = [name for name in names if connection.execute(f"SELECT 1 FROM clx.{name} LIMIT 1").fetchone()]
        for name in filled:
            connection.execute(f"DELETE FROM clx.{name}")
        for (name,) in connection.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'clx'").fetchall():
            connection.execute(f"SELECT setval('clx.{name}', 1, false)")
    return server.url(shared_database)
