"""A PostgreSQL of the benchmark's own: default settings, a socket of its own, gone afterwards."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = "apt-get install postgresql"
USER = "bench"
TEMPORARY = "/var/tmp"
"""On a disk, where /tmp may be memory."""


def programs() -> Path | None:
    """Where `initdb` is; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """A running cluster."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._numbers = itertools.count(1)
        told = subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, text=True)
        self.version = told.stdout.split()[2]

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"bench{next(self._numbers)}"
        subprocess.run([self._binaries / "createdb", "-h", self._folder, "-U", USER, name], check=True)
        return f"postgresql://{USER}@/{name}?host={self._folder}"


@contextmanager
def server() -> Iterator[Server | None]:
    """A cluster for the time of the block; None where PostgreSQL is not installed."""
    binaries = programs()
    if binaries is None:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=TEMPORARY) as name:
        folder, data = Path(name), Path(name) / "data"
        command = _unprivileged(folder)
        _run([*command, binaries / "initdb", "-D", data, "-U", USER, "-A", "trust"])
        control = [*command, binaries / "pg_ctl", "-D", data, "-w"]
        _run([*control, "-l", folder / "log", "-o", f"-c listen_addresses='' -k {folder}", "start"])
        try:
            yield Server(binaries, folder)
        finally:
            _run([*control, "-m", "fast", "stop"])


def _unprivileged(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root: what runs a command as somebody else, to whom *folder* then belongs."""
    if os.geteuid():
        return []
    users = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in users else "nobody"
    shutil.chown(folder, user)
    return ["runuser", "-u", user, "--"]


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
