"""What removes a build's containers when the build cannot: a process that outlives it, and the next command.

A build starts one reaper, which holds the other end of a pipe. However the build goes, the pipe reaches its
end, and the reaper removes what carries the build's label, marks their workers dead and goes. Should the reaper be
killed too, a note in the state directory says that something may be left, and the next command that looks finds it.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from clx.db.apart import identity, state_directory
from clx.db.database import Database
from clx.db.identity import is_gone, is_of_an_earlier_boot, process_identity
from clx.db.workers import WorkerTable
from clx.errors import ClxError, EngineError
from clx.platforms import system
from clx.regular import read_regular
from clx.settings.owners import is_own
from clx.workers.executors.docker.engine import connect, engine_errors
from clx.workers.executors.docker.network import drop_network
from clx.workers.executors.spec import Spawn
from clx.workers.liveness import CONTAINER_REMOVED, mark_dead

WORKER_LABEL = "clx.worker"
DATABASE_LABEL = "clx.db"
BATCH_LABEL = "clx.batch"
SERVICE_LABEL = "clx.service"
OWNER_LABEL = "clx.owner"
STARTER_LABEL = "clx.starter"
"""The process that made the container of a service, which outlives it."""
_ROUNDS = 5
_PAUSE = 0.5

_DONE = b"done"
_ENDS_WITHIN = 30.0


@dataclass
class _Reaper:
    """A reaper of this process, and how many workers of this process have not been closed yet."""

    process: subprocess.Popen[bytes]
    workers: int = 0


_reapers: dict[tuple[Path, str], _Reaper] = {}
_starting = threading.Lock()


class Note(msgspec.Struct, frozen=True):
    """What a reaper has to know: kept in the state directory while its owner may have containers."""

    owner: str
    database: str
    network: str


def database_label(database: Path) -> str:
    """What stands for *database* in labels, by whatever path it is named."""
    return sha256(identity(database).encode()).hexdigest()[:16]


def labels_of_owner(database: Path) -> dict[str, str]:
    """The labels of what must not outlive this process."""
    return {DATABASE_LABEL: database_label(database), OWNER_LABEL: process_identity()}


def labels_of(spawn: Spawn) -> dict[str, str]:
    """The labels of a worker's container."""
    found = {WORKER_LABEL: spawn.type, DATABASE_LABEL: database_label(spawn.database)}
    if spawn.batch is not None:
        found[BATCH_LABEL] = str(spawn.batch)
    if spawn.service is not None:
        found[SERVICE_LABEL] = spawn.service
    found[OWNER_LABEL if spawn.service is None else STARTER_LABEL] = process_identity()
    return found


def start_reaper(database: Path, network: str) -> None:
    """Have a reaper of this process for one more worker, or one look, on *database* and *network*."""
    with _starting:
        running = _reapers.get((database, network))
        if running is None:
            running = _reapers[database, network] = _Reaper(_launch(database, network))
        elif running.process.poll() is not None:
            _forget(running)
            running.process = _launch(database, network)
        running.workers += 1


def _launch(database: Path, network: str) -> subprocess.Popen[bytes]:
    note = Note(process_identity(), str(database), network)
    encoded = msgspec.json.encode(note)
    path = _note_path(database, note)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded)
    command = [sys.executable, "-P", "-m", "clx.workers.executors.docker.reaper", encoded.decode()]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        creationflags=system.OWN_CONSOLE,
    )


def worker_closed(database: Path, network: str) -> None:
    """A worker for which :func:`start_reaper` was called is gone. The reaper stays, for its replacement."""
    with _starting:
        _reapers[database, network].workers -= 1


def dismiss_idle_reapers() -> None:
    """End this process's reapers of databases on which it has no worker any more."""
    with _starting:
        busy = {database for (database, _), reaper in _reapers.items() if reaper.workers}
        for key, reaper in list(_reapers.items()):
            if key[0] not in busy:
                del _reapers[key]
                _forget(reaper)


def _forget(reaper: _Reaper) -> None:
    """Tell it that all is done, and see it end: one that looked later would meet the next workers."""
    assert reaper.process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        reaper.process.stdin.write(_DONE)
        reaper.process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        reaper.process.wait(_ENDS_WITHIN)
    reaper.process.kill()
    reaper.process.wait()


def sweep_abandoned(database: Path) -> list[str]:
    """Remove what builds left whose process is gone, and whose reaper was killed too; returns the containers' names."""
    removed: list[str] = []
    for path in _notes(database).glob("*.json"):
        if not is_own(path):  # another user's containers are theirs to remove
            continue
        try:
            note, written = msgspec.json.decode(read_regular(path), type=Note), path.stat().st_mtime
        except (OSError, msgspec.DecodeError):
            continue
        if is_gone(note.owner) or is_of_an_earlier_boot(note.owner, platform.node(), int(written * 1000)):
            removed += reap(note)
    return removed


def reap(note: Note) -> list[str]:
    """Remove the containers of the note's owner, their rows and the network if empty; returns the containers' names."""
    with closing(connect()) as client, engine_errors("remove the containers of an ended build"):
        found = remove_labelled(client, {OWNER_LABEL: note.owner, DATABASE_LABEL: database_label(Path(note.database))})
        drop_network(client, note.network)
    mark_removed(Path(note.database), [container.id for container in found])
    if not found:  # else one may be left that could not be removed: there is another look
        _note_path(Path(note.database), note).unlink(missing_ok=True)
    return [container.name for container in found]


def remove_labelled(client: Any, labels: dict[str, str]) -> list[Any]:
    """Remove every container, running or not, that carries all *labels*; returns them."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    found = list(client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))
    remove_all(found)
    return found


def remove_all(containers: list[Any]) -> None:
    """Remove these; one that somebody else removes at this moment is none the less gone."""
    for container in containers:
        with contextlib.suppress(EngineError), engine_errors():
            container.remove(force=True, v=True)


def mark_removed(database: Path, containers: list[str]) -> None:
    """Mark dead the workers of containers that were removed, and give their jobs to others."""
    if containers and database.exists():
        with Database.open(database, journal_mode="keep") as opened:
            rows = WorkerTable(opened).list()
            mark_dead(opened, [(row, CONTAINER_REMOVED) for row in rows if row.container_id in containers])


def _notes(database: Path) -> Path:
    return state_directory(database.absolute()) / "containers"


def _note_path(database: Path, note: Note) -> Path:
    return _notes(database) / f"{sha256(msgspec.json.encode(note)).hexdigest()[:16]}.json"


def main(encoded: str) -> None:
    """Wait until the owner is gone or done, then look; and again, for a container that was just being made."""
    note = msgspec.json.decode(encoded, type=Note)
    done = sys.stdin.buffer.read() == _DONE
    for attempt in range(_ROUNDS):
        with contextlib.suppress(ClxError):
            if not reap(note) and attempt > 0:
                return
        if done:
            return
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main(sys.argv[1])
