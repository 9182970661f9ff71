"""How persistent workers are ended (REQ-3.5): with their job table, or by the state file alone where it is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clx.db.apart import state_directory
from clx.db.sqlite.database import Database
from clx.db.workers import WorkerRow
from clx.errors import DatabaseBusyError, DatabaseError, EngineError, StartupError, UsageError
from clx.settings.schema import Settings
from clx.workers.supervision.crew import strike_off_dead
from clx.workers.supervision.identity import (
    foreign_owner,
    is_gone,
    is_worker_of,
    kill_group,
    may_be_ended,
    open_process,
    pid_of,
    process_identity,
    send_signal,
)
from clx.workers.supervision.service_notes import forget_for_user
from clx.workers.supervision.service_state import (
    STATE_FILE,
    ServiceState,
    is_of,
    lives,
    locked,
    read_state,
    service_workers,
    state_of,
    stop_command,
    supervisor_lives,
    supervisor_log,
    update_state,
)
from clx.workers.supervision.supervisor import end_services

SUPERVISOR_STOPS_IN = 5.0
"""Seconds beyond the workers' time before the supervisor counts as hung."""
_LOOK = 0.05


@dataclass(slots=True)
class Stopped:
    """What ``stop_services`` did.

    Attributes:
        workers: how many were ended.
        left: workers of other machines that are not this one's to end.
        supervisor: whether there was a supervisor to end.
        containers: names of containers that were left of earlier workers and are removed.
    """

    workers: int = 0
    left: list[WorkerRow] = field(default_factory=list)
    supervisor: bool = False
    containers: list[str] = field(default_factory=list)


def stop_services(database: Database, *, timeout: float) -> Stopped:
    """End the supervisor and every service worker; safe to call again and when nothing runs.

    Args:
        timeout: seconds workers have to finish their jobs; then the jobs are handed back, uncounted.

    Raises:
        UsageError: they are another user's; nothing was stopped.
        DatabaseBusyError: the database is locked: their jobs could not be handed back, so nothing was stopped. Where
            it was locked only while they ended, all have ended; the next call writes that down.
    """
    database.require_writable()
    with locked(database.state_dir, "services"):
        return end_all(database, grace=timeout)


def end_all(database: Database, *, grace: float) -> Stopped:
    """What :func:`stop_services` does, for who holds the lock ``services`` already.

    Raises:
        EngineError: the supervisor was ended, and its containers cannot be reached; the state file stays.
    """
    before, state = service_workers(database), state_of(database.path)
    _refuse_another_users(database.path, state, before)
    supervised = supervisor_lives(state)
    settings = _end_supervisors(database.path, grace)
    try:
        left = end_services(database, settings, grace=grace)
    except DatabaseBusyError:
        if state is not None:
            _end_named(database.path, state, settings, 0.0)
        raise
    # those that a file of the same name before this one knew, and those that have not registered yet
    _end_processes([*(state.workers if state else []), *unregistered(database.path)], 0.0)
    strike_off_dead(database)
    containers = _remove_containers(database.path, state, settings)
    _forget(database.path)
    return Stopped(len(before) - len(left), left, supervised, containers)


def _remove_containers(database: Path, state: ServiceState | None, settings: Settings) -> list[str]:
    """Remove what is left of services in containers, also one that started after its supervisor had ended.

    Raises:
        EngineError: the engine does not answer.
    """
    if state is None or all(each.mode != "docker" for each in state.wanted):
        return []
    from clx.workers.executors.docker.orphans import remove_services

    try:
        return remove_services(database, settings)
    except StartupError as error:
        known = msgspec.structs.replace(state, supervisor="", workers=[], grace=None)
        update_state(state_directory(database), lambda now: now or known)  # by which the next call knows of them
        raise EngineError(
            f"The supervisor has ended, but whether containers of its workers are left cannot be seen: {error.fact}",
            f"When the engine answers again, type: {stop_command(database)}",
        ) from error


def unregistered(database: Path) -> list[str]:
    """Service workers of *database* by their command line, whether or not they have a row; none of another user's."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "--service" in (process.info["cmdline"] or ()):
            identity = process_identity(process.pid)
            if is_worker_of(identity, database) and not foreign_owner(identity):
                found.append(identity)
    return found


def stop_without_database(database: Path, *, timeout: float) -> int | None:
    """End services whose job table is gone or cannot be read; all that is needed is the state file.

    Args:
        database: where the job table was.
        timeout: seconds workers have to end.

    Returns:
        How many workers and supervisors were ended; None when no state file tells of any.
    """
    state_dir = state_directory(database)
    if not (state_dir / STATE_FILE).exists():
        return None
    with locked(state_dir, "services"):
        state = state_of(database)
        if state is None:
            if read_state(state_dir) is None:  # damaged
                _forget(database)
            return None
        _refuse_another_users(database, state)
        living = [each for each in {state.supervisor, *state.workers} if lives(each)]
        settings = _end_supervisors(database, timeout)
        living += _end_named(Path(state.database), state, settings, timeout)
        _forget(database)
        return len(living)


def _end_named(database: Path, state: ServiceState, settings: Settings, grace: float) -> list[str]:
    """End the workers that the state file leads to, without the job table; returns the containers among them."""
    _end_processes([*state.workers, *unregistered(database)], grace)
    if all(each.mode != "docker" for each in state.wanted):
        return []
    from clx.workers.executors.docker.orphans import remove_services

    return remove_services(database, settings)


def require_no_services(database: Path) -> None:
    """See that a job table that is not there has no services that still run.

    Raises:
        DatabaseError: it was removed under them; names them and how to end them.
    """
    state = state_of(database)
    living = [each for each in (state.supervisor, *state.workers) if lives(each)] if state else []
    if living:
        pids = ", ".join(str(pid_of(each)) for each in living)
        raise DatabaseError(
            f"The database {database} was removed, but its services still run: pid {pids}.",
            f"End them: {stop_command(database)}",
        )


def _refuse_another_users(database: Path, state: ServiceState | None, rows: Sequence[WorkerRow] = ()) -> None:
    """See that this user may end what there is, before anything is ended.

    Raises:
        UsageError: it is another user's.
    """
    identities = [state.supervisor, *state.workers] if state else []
    for identity in [*identities, *(row.identity for row in rows if may_be_ended(row.identity, database))]:
        if owner := foreign_owner(identity):
            raise UsageError(
                f"The services of {database} run as {owner}; only that user can stop them.",
                f"Type: sudo -u {owner} {stop_command(database)}",
            )


def _end_processes(identities: Sequence[str], grace: float) -> None:
    """End worker processes that no row leads to: SIGTERM, after *grace* and a moment SIGKILL."""
    living = [each for each in identities if lives(each)]
    for each in living:
        send_signal(each, signal.SIGTERM)
    deadline = time.monotonic() + grace + 1.0
    while any(lives(each) for each in living) and time.monotonic() < deadline:
        time.sleep(_LOOK)
    for each in living:
        kill_group(each)


def _forget(database: Path) -> None:
    """Remove what told of services of *database*."""
    state_dir = state_directory(database)
    if update_state(state_dir, lambda now: None if is_of(now, database) else now) is None:
        supervisor_log(state_dir).unlink(missing_ok=True)
    forget_for_user(database)


def _end_supervisors(database: Path, grace: float) -> Settings:
    """End the supervisor, also one that is just starting; returns the settings it worked with."""
    settings, state_dir = Settings(), state_directory(database)
    deadline = time.monotonic() + SUPERVISOR_STOPS_IN
    while True:
        state = read_state(state_dir)
        if state is not None and not is_of(state, database):
            return settings
        settings = state.wanted[0].settings if state and state.wanted else settings
        if state is not None and supervisor_lives(state):
            update_state(state_dir, lambda now: now and msgspec.structs.replace(now, grace=grace))
            _end_supervisor(state.supervisor, grace + SUPERVISOR_STOPS_IN)
        with locked(state_dir, "supervisor", wait=False) as nobody:
            if nobody or time.monotonic() > deadline:
                return settings
        time.sleep(_LOOK)


def _end_supervisor(identity: str, seconds: float) -> None:
    """SIGTERM, then SIGKILL when it has not ended in time."""
    import select

    descriptor = open_process(identity)
    send_signal(identity, signal.SIGTERM)
    send_signal(identity, signal.SIGCONT)  # one that was stopped would hear of nothing
    try:
        deadline = time.monotonic() + seconds
        while not is_gone(identity) and time.monotonic() < deadline:
            select.select([descriptor] if descriptor >= 0 else [], [], [], 4 * _LOOK)
        if not is_gone(identity):
            send_signal(identity, signal.SIGKILL)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
