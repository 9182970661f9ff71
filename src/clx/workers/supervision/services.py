"""Persistent workers: started once, kept by a supervisor, used by every build on their database (REQ-3), and ended.

``<state directory>/worker-state.json`` says which workers are wanted and which process supervises them.
Two locks: ``services`` is held by a command from its first look to its last, so that two commands do
not undo each other's work; ``services-state`` only while the file is read and written.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from clx.commands import database_name
from clx.db.apart import state_directory
from clx.db.database import Database
from clx.db.identity import process_identity, this_machine
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import DatabaseBusyError, EngineError, StartupError, UsageError, WorkerStartupError
from clx.platforms import system
from clx.settings.resolve import Resolved
from clx.settings.schema import Settings
from clx.workers.executors.docker.containers import mark_ended, remove_services
from clx.workers.executors.spec import WorkerSpec, are_there, images_of
from clx.workers.executors.worker_process import tail_of
from clx.workers.liveness import is_within_reach, mark_lost
from clx.workers.process.limits import not_started, require_files
from clx.workers.processes import (
    LOOK,
    end_processes,
    foreign_owner,
    is_stopped,
    is_worker_of,
    lives,
    may_be_ended,
    pid_of,
    send_signal,
)
from clx.workers.supervision.checks import require_ready, settings_for
from clx.workers.supervision.configured_workers import configured_workers
from clx.workers.supervision.registration import await_registration
from clx.workers.supervision.service_state import (
    SERVICE,
    STATE_FILE,
    ServiceState,
    forget_for_user,
    is_of,
    locked,
    note_for_user,
    read_state,
    refuse_beside_another,
    service_workers,
    state_of,
    stop_command,
    supervisor_lives,
    supervisor_log,
    update_state,
)
from clx.workers.supervision.supervisor import end_services
from clx.workers.supervision.worker_group import HAND_BACK, last_error

SUPERVISOR_STOPS_IN = 5.0
"""Seconds beyond the workers' time before the supervisor counts as hung."""
_ANSWERS_IN = 15.0
"""Seconds a supervisor has to take notice: starting containers can keep it that long."""
_PROBE = 3.0
"""Seconds between two looks whether the database can be written while workers are awaited."""
_launched: list[subprocess.Popen[bytes]] = []  # kept until they end, so that a long-lived caller reaps them


@dataclass(frozen=True, slots=True)
class Started:
    """What ``start_services`` found and did."""

    workers: list[WorkerRow]
    """Every service worker there is now."""
    new: list[int]
    """Ids of those that were started."""
    supervised: bool
    """Whether a supervisor was running already."""

    @property
    def replaced(self) -> bool:
        """Whether the supervisor of workers that ran already was gone, so that another keeps them now."""
        return not self.supervised and len(self.new) < len(self.workers)


def wanted_workers(resolved: Resolved, database: Path) -> list[WorkerSpec]:
    """The service workers that the settings ask for.

    Raises:
        UsageError: every count is 0.
        SettingsError: docker mode without an image.
        EngineError: an image cannot be had.
    """
    found = configured_workers(resolved, settings_for(resolved, database), database)
    if not found:
        raise UsageError("Every worker count is 0: there is nothing to start.", "Ask for some: --notebook-workers 1")
    return found


def start_services(
    database: Database, wanted: Sequence[WorkerSpec], note: Callable[[str], None], *, foreground: bool = False
) -> Started:
    """Have at least the *wanted* workers as services; returns once all have registered.

    Args:
        foreground: only prepare: the calling process is about to become the supervisor.

    Raises:
        ToolMissingError: a type that would run here lacks a tool.
        EngineError: the container engine or an image is not there.
        WorkerStartupError: they do not start, or the supervisor there is does not answer; whatever this call had
            started is ended again.
        DatabaseBusyError: the database is locked, so that no worker could register.
    """
    database.require_writable()
    require_files({mode: sum(each.count for each in wanted if each.mode == mode) for mode in ("direct", "docker")})
    require_ready(database, images_of(wanted), wanted[0].settings, note)
    with locked(database.state.path, "services"):
        mark_lost(database)
        mark_ended(database, wanted[0].settings.jobs)
        refuse_beside_another(database.path)
        before, old = service_workers(database), state_of(database.path)
        state = _with(wanted, database, old, before, foreground=foreground)
        supervised = bool(state.supervisor)
        update_state(database.state.path, lambda _: state)
        note_for_user(database.path)
        if foreground:
            return Started(before, [], supervised)
        try:
            _start(database, state, None if supervised else launch_supervisor(database))
        except BaseException:
            _undo(database, old if supervised else None)
            raise
        there = service_workers(database)
        known_ids = {row.id for row in before}
        return Started(there, [row.id for row in there if row.id not in known_ids], supervised)


def _with(
    wanted: Sequence[WorkerSpec],
    database: Database,
    old: ServiceState | None,
    before: Sequence[WorkerRow],
    *,
    foreground: bool,
) -> ServiceState:
    """What is to be there when the *wanted* workers join what the state file and the table know of."""
    supervised = supervisor_lives(old)
    if old is not None and is_stopped(old.supervisor):
        raise _no_answer(old, "is stopped")
    if foreground and supervised:
        raise UsageError(
            f"Services are running on {database.name} already.", f"Stop them: {stop_command(database.path)}"
        )
    return ServiceState(
        str(database.path),
        supervisor=old.supervisor if old and supervised else "",
        wanted=_merged(old.wanted if old and supervised else _of_living(old, before), wanted),
        workers=old.workers if old else [],
        started_at=database.clock.now(),
    )


def _of_living(old: ServiceState | None, living: Sequence[WorkerRow]) -> list[WorkerSpec]:
    """What workers whose supervisor is gone still are; a count from before a reboot means nothing."""
    there = Counter(row.key for row in living)
    return [replace(each, count=there[each.key]) for each in (old.wanted if old else ()) if there[each.key]]


def _merged(known: Sequence[WorkerSpec], wanted: Sequence[WorkerSpec]) -> list[WorkerSpec]:
    """Both, where they are of one kind the larger number."""
    found = {each.key: each for each in known}
    found |= {each.key: max(found.get(each.key, each), each, key=lambda spec: spec.count) for each in wanted}
    return list(found.values())


def launch_supervisor(database: Database) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives this process and its terminal."""
    log = supervisor_log(database.state.path)
    command = [sys.executable, "-P", "-m", "clx.workers.supervision.supervisor", str(database.path)]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
                creationflags=system.OWN_CONSOLE,
                cwd=database.state.path,
            )  # fmt: skip
    except OSError as error:
        raise not_started(error, "supervisor") from error
    _launched[:] = [each for each in _launched if each.poll() is None] + [child]
    return child


def _start(database: Database, state: ServiceState, child: subprocess.Popen[bytes] | None) -> None:
    """Wait until every wanted worker has registered, and a supervisor that was started has taken over."""
    probed = 0.0

    def look(waited: float) -> bool:
        nonlocal probed
        if are_there(state.wanted, (row.key for row in service_workers(database))) and (
            child is None or supervisor_lives(read_state(database.state.path))
        ):
            return True
        for _action, detail in WorkerTable(database).events(0, action="startup_failed", after=state.started_at):
            if detail.get("machine", this_machine()) != this_machine():
                continue
            raise WorkerStartupError(str(detail.get("fact")), str(detail.get("next_step") or ""))
        if waited > probed + _PROBE:
            database.require_writable()
            probed = waited
        _require_supervisor(database, state, child, waited)
        return False

    database.doorbell.ring(SERVICE)
    workers, advice = state.wanted[0].settings.workers, " Check the tools with `clx doctor`."
    await_registration(database, workers, look, longer=SUPERVISOR_STOPS_IN, advice=advice)


def _require_supervisor(
    database: Database, state: ServiceState, child: subprocess.Popen[bytes] | None, waited: float
) -> None:
    """See that the supervisor works, and takes notice in time: the *child* that was started, or one that ran before."""
    now = read_state(database.state.path)
    if child is not None:
        if child.poll() is not None and not supervisor_lives(now):
            log = supervisor_log(database.state.path)
            fact, step = last_error(tail_of(log))
            raise WorkerStartupError(
                f"The supervisor ended with code {child.returncode}: {fact}", f"{step} Its log is {log}.".lstrip()
            )
    elif now is not None and supervisor_lives(now):
        if is_stopped(now.supervisor):
            raise _no_answer(now, "is stopped")
        if waited > _ANSWERS_IN and now.answered < state.started_at:
            raise _no_answer(now, f"has not answered for {waited:.0f} s")


def _no_answer(state: ServiceState, how: str) -> WorkerStartupError:
    pid, path = pid_of(state.supervisor), Path(state.database)
    go_on = f"Let it go on: kill -CONT {pid}; or end" if how == "is stopped" else "End"
    return WorkerStartupError(
        f"The supervisor of the services on {database_name(path)}, pid {pid}, {how}.",
        f"{go_on} all of them: {stop_command(path)}",
    )


def _undo(database: Database, old: ServiceState | None) -> None:
    """Leave what was there before: nothing, or the workers of *old*."""
    if old is None:
        with contextlib.suppress(EngineError):  # what was to be started has failed for a reason of its own
            end_all(database, grace=1.0)
        return

    def undone(state: ServiceState | None) -> ServiceState:
        now = state or old
        return replace(old, supervisor=now.supervisor, workers=now.workers)

    update_state(database.state.path, undone)
    database.doorbell.ring(SERVICE)


# -- ending ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stopped:
    """What ``stop_services`` did."""

    workers: int
    """How many were ended."""
    left: list[WorkerRow]
    """Workers of other machines that are not this one's to end."""
    supervisor: bool
    """Whether there was a supervisor to end."""
    containers: list[str]
    """Names of containers that were left of earlier workers and are removed."""


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
    with locked(database.state.path, "services"):
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
    end_processes([*(state.workers if state else []), *unregistered(database.path)], HAND_BACK)
    mark_lost(database)
    containers = _remove_containers(database.path, state, settings)
    if not _forget(database.path):  # one that a killed command had launched took over meanwhile
        end_all(database, grace=grace)
    ended = sum(is_within_reach(row) for row in before)
    return Stopped(ended, left, supervised, containers)


def _remove_containers(database: Path, state: ServiceState | None, settings: Settings) -> list[str]:
    """Remove what is left of services in containers, also one that started after its supervisor had ended."""
    try:
        return _remove_named(database, state, settings)
    except StartupError as error:
        assert state is not None
        known = replace(state, supervisor="", workers=[], grace=None)
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
    end_processes([*state.workers, *unregistered(database)], grace + HAND_BACK)
    return _remove_named(database, state, settings)


def _remove_named(database: Path, state: ServiceState | None, settings: Settings) -> list[str]:
    """Remove the containers of services, where the state file tells of any."""
    if state is None or all(each.mode != "docker" for each in state.wanted):
        return []
    return remove_services(database, settings)


def _refuse_another_users(database: Path, state: ServiceState | None, rows: Sequence[WorkerRow] = ()) -> None:
    """See that this user may end what there is, before anything is ended."""
    identities = [state.supervisor, *state.workers] if state else []
    for identity in [*identities, *(row.identity for row in rows if may_be_ended(row.identity, database))]:
        if owner := foreign_owner(identity):
            raise UsageError(
                f"The services of {database_name(database)} run as {owner}; only that user can stop them.",
                f"Type: sudo -u {owner} {stop_command(database)}",
            )


def _forget(database: Path) -> bool:
    """Remove what told of services of *database*; false, and nothing done, where a supervisor has just begun."""
    state_dir = state_directory(database)
    left = update_state(state_dir, lambda now: now if supervisor_lives(now) or not is_of(now, database) else None)
    if is_of(left, database):
        return False
    if left is None:
        supervisor_log(state_dir).unlink(missing_ok=True)
    forget_for_user(database)
    return True


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
            update_state(state_dir, lambda now: now and replace(now, grace=grace))
            # alone: in a shell's pipeline it shares its group with others
            end_processes(
                [state.supervisor], grace + SUPERVISOR_STOPS_IN, lambda identity: send_signal(identity, system.KILL)
            )
        with locked(state_dir, "supervisor", wait=False) as nobody:
            if nobody or time.monotonic() > deadline:
                return settings
        time.sleep(LOOK)
