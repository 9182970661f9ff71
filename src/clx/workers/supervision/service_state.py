"""``worker-state.json``: which service workers are wanted, who supervises them, and which processes they are.

With it services can be ended though their database is gone. A state directory serves one database's services at a
time; the file says whose. A note per user says which databases have services, so that commands in other directories
can name them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import platformdirs

from clx.commands import database_name, on_database
from clx.db.apart import identity, name_of, state_directory
from clx.db.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import DatabaseError, UntrustedError, UsageError
from clx.jobtypes.registry import JOB_TYPES
from clx.platforms import system
from clx.regular import read_regular, replace_text
from clx.settings.owners import is_own, require_own
from clx.workers.executors.spec import WorkerSpec, count_by_type
from clx.workers.liveness import is_within_reach
from clx.workers.processes import lives, pid_of

STATE_FILE = "worker-state.json"
SERVICE = "services"
"""What service workers name as the service they belong to, and the doorbell of their supervisor."""


class ServiceState(msgspec.Struct):
    """What ``worker-state.json`` holds."""

    database: str
    supervisor: str = ""
    """Identity of the supervisor; empty before it has started."""
    wanted: list[WorkerSpec] = msgspec.field(default_factory=list)
    workers: list[str] = msgspec.field(default_factory=list)
    """Identities of the worker processes of this machine that the supervisor keeps."""
    grace: float | None = None
    """Seconds that workers have to finish, once somebody has asked for the end."""
    started_at: int = 0
    """When somebody last asked for services; milliseconds UTC."""
    answered: int = 0
    """The ``started_at`` that the supervisor has taken notice of."""
    version: int = 1


def read_state(state_dir: Path) -> ServiceState | None:
    """What the file says; None when there is none, or it is damaged or not to be believed, and so of no use.

    It names processes that are ended: what others can write must not. A supervisor then writes what it knows.
    """
    path = state_dir / STATE_FILE
    if not is_own(path):
        return None
    try:
        return msgspec.json.decode(read_regular(path), type=ServiceState)
    except (OSError, msgspec.DecodeError):
        return None


def update_state(state_dir: Path, change: Callable[[ServiceState | None], ServiceState | None]) -> ServiceState | None:
    """Replace the file by what *change* makes of it, None for none; readers never see half of it."""
    path = state_dir / STATE_FILE
    with locked(state_dir, "services-state"):
        state = change(read_state(state_dir))
        if state is None:
            path.unlink(missing_ok=True)
            return None
        replace_text(path, msgspec.json.format(msgspec.json.encode(state), indent=2).decode(), denied=0o022)
        return state


def _open_own(path: Path) -> BinaryIO:
    """Open a file to write that only its owner may write, whatever the umask, and that is no link to another."""
    flags = system.NO_LINK | system.NO_WAIT | system.BINARY  # nor waits for who reads from a pipe
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644), "wb")


@contextlib.contextmanager
def locked(state_dir: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock that ends with this process; gives false when it is held and *wait* is false."""

    folder = state_dir / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _open_own(folder / name)
    except OSError as error:
        raise DatabaseError(
            f"The state directory of the database cannot be written: {error.filename}: {error.strerror}.",
            "Make it writable, or work as the user whose it is.",
        ) from error
    with file as stream:
        yield system.lock(stream.fileno(), wait=wait)


def is_of(state: ServiceState | None, database: Path) -> bool:
    """Whether the file was written for *database*, by whatever path it was named."""
    return state is not None and identity(state.database) == identity(database)


def state_of(database: Path) -> ServiceState | None:
    """The state of the services of *database*; None when it has none.

    Raises:
        UntrustedError: the file is somebody else's, or others may write it.
    """
    state_dir = state_directory(database)
    require_own(state_dir / STATE_FILE)
    state = read_state(state_dir)
    return state if is_of(state, database) else None


def supervisor_lives(state: ServiceState | None) -> bool:
    """Whether the supervisor named in the state runs on this machine; false after a reboot."""
    return state is not None and lives(state.supervisor)


def supervisor_log(state_dir: Path) -> Path:
    """Where a supervisor's own output goes."""
    return state_dir / "logs" / "supervisor.log"


def service_workers(database: Database) -> list[WorkerRow]:
    """The live service workers that take jobs, without those of other machines: each keeps its own."""
    return [
        row
        for row in WorkerTable(database).list()
        if row.service is not None
        and row.state != "stopping"
        and not row.is_gone()
        and (not row.elsewhere_too or is_within_reach(row))
    ]


def unkept_workers(database: Database) -> list[WorkerRow]:
    """Service workers that nobody keeps or knows how to end: no supervisor lives, and no state file tells of them.

    None while a command starts or stops services.
    """
    if state_of(database.path) is not None:
        return []
    rows = [row for row in service_workers(database) if is_within_reach(row)]
    if not rows:
        return []
    with (
        contextlib.suppress(DatabaseError),  # where nobody may write they are another user's to end
        locked(database.state.path, "services", wait=False) as free,
        locked(database.state.path, "supervisor", wait=False) as alone,
    ):
        return rows if free and alone else []
    return []


def refuse_beside_another(database: Path) -> None:
    """One state directory serves one database's services: its files and locks are theirs.

    Raises:
        UsageError: services of another database run from this one's state directory.
    """
    state_dir = state_directory(database)
    state = read_state(state_dir)
    if state is None or is_of(state, database):
        return
    if supervisor_lives(state) or any(lives(each) for each in state.workers):
        raise UsageError(
            f"Services of another database run from {state_dir}: {state.database}.",
            f"Put {database.name} into a directory of its own, or type: {stop_command(Path(state.database))}",
        )


def require_no_services(database: Path) -> None:
    """See that a job table that is not there was not removed under services that still run."""
    state = state_of(database)
    living = [each for each in (state.supervisor, *state.workers) if lives(each)] if state else []
    if living:
        pids = ", ".join(str(pid_of(each)) for each in living)
        raise DatabaseError(
            f"The database {database_name(database)} was removed, but its services still run: pid {pids}.",
            f"End them: {stop_command(database)}",
        )


def start_command(state: ServiceState) -> str:
    """What to type to have the services of *state* again: the same workers, whatever the settings say by now."""
    counts = dict.fromkeys(JOB_TYPES, 0) | count_by_type(state.wanted)
    options = "".join(f" --{type_}-workers {count}" for type_, count in counts.items())
    contained = bool(state.wanted) and all(each.mode == "docker" for each in state.wanted)
    mode = " --workers docker" if contained else ""
    return f"{on_database('clx start-services', state.database)}{options}{mode}"


def stop_command(path: Path) -> str:
    """What to type to stop the services of a database."""
    return on_database("clx stop-services", path)


# -- notes for the user ----------------------------------------------------------------------------


def _notes() -> Path:
    return platformdirs.user_state_path("clx", appauthor=False) / "services"


def _note_path(database: Path) -> Path:
    """One note per file, by whatever path it is named."""
    return _notes() / f"{hashlib.sha256(identity(database).encode()).hexdigest()[:16]}.json"


def note_for_user(database: Path) -> None:
    """Remember that this database has services, so that other directories' commands can name it."""
    with contextlib.suppress(OSError):
        path = _note_path(database)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({"database": str(name_of(database))}))


def forget_for_user(database: Path) -> None:
    """The services of this database are gone."""
    with contextlib.suppress(OSError):
        _note_path(database).unlink(missing_ok=True)


def databases_with_services() -> list[Path]:
    """Databases of this user whose supervisor runs on this machine; notes of others are removed."""
    found = []
    for note in sorted(_notes().glob("*.json")):
        try:
            database = Path(msgspec.json.decode(read_regular(note), type=dict[str, str])["database"])
        except (OSError, msgspec.DecodeError, KeyError):
            continue
        try:
            state = state_of(database)
        except UntrustedError:  # told by whatever command is about it
            continue
        if supervisor_lives(state):
            found.append(database)
        else:
            with contextlib.suppress(OSError):
                note.unlink()
    return found
