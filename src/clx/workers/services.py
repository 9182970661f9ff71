"""Persistent workers: started once, kept by a supervisor, used by every build on their database (REQ-3).

``<state directory>/worker-state.json`` says which workers are wanted and which process supervises them.
Two locks: ``services`` is held by a command from its first look to its last, so that two commands do
not undo each other's work; ``services-state`` only while the file is read and written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clx.db.clock import now_ms
from clx.db.database import Database, state_directory
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import UsageError, WorkerStartupError
from clx.settings.resolve import Resolved
from clx.settings.schema import Settings
from clx.workers.contained import strike_off_ended
from clx.workers.crew import last_line, strike_off_dead
from clx.workers.identity import foreign_owner, is_gone, is_ours_to_judge, kill_group, open_process, send_signal
from clx.workers.kept import Wanted, wanted_of
from clx.workers.needs import configured_needs
from clx.workers.readiness import require_ready, settings_for
from clx.workers.service_state import (
    STATE_FILE,
    ServiceState,
    is_of,
    locked,
    read_state,
    state_of,
    supervisor_lives,
    update_state,
)

SERVICE = "services"
"""What service workers name as the service they belong to, and the doorbell of their supervisor."""
_LOOK = 0.2
_launched: list[subprocess.Popen[bytes]] = []  # kept until they end, so that a long-lived caller reaps them
_SUPERVISOR_STOPS_IN = 5.0  # seconds beyond the workers' time before the supervisor counts as hung


# -- starting -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """What ``start_services`` found and did.

    Attributes:
        workers: every service worker there is now.
        new: ids of those that were started.
        supervised: whether a supervisor was running already.
    """

    workers: list[WorkerRow]
    new: list[int]
    supervised: bool


def wanted_workers(resolved: Resolved, database: Path) -> list[Wanted]:
    """The service workers that the settings ask for.

    Raises:
        UsageError: every count is 0.
        SettingsError: docker mode without an image.
        EngineError: an image cannot be had.
    """
    needs = configured_needs(resolved)
    if not needs:
        raise UsageError("Every worker count is 0: there is nothing to start.", "Ask for some: --notebook-workers 1")
    return wanted_of(needs, settings_for(resolved, database))


def start_services(
    database: Database, wanted: Sequence[Wanted], note: Callable[[str], None], *, foreground: bool = False
) -> Started:
    """Have at least the *wanted* workers as services; returns once all have registered.

    Args:
        note: told what the user should know.
        foreground: only prepare: the calling process is about to become the supervisor.

    Raises:
        ToolMissingError: a type that would run here lacks a tool.
        EngineError: the container engine or an image is not there.
        WorkerStartupError: they do not start; whatever this call had started is ended again.
    """
    images = {each.type: each.image if each.mode == "docker" else None for each in wanted}
    require_ready(database, images, wanted[0].settings, note)
    with locked(database.state_dir, "services"):
        strike_off_dead(database)
        strike_off_ended(database, wanted[0].settings.jobs)
        _refuse_beside_another(database)
        before, old = service_workers(database), state_of(database.path)
        supervised = supervisor_lives(old)
        if foreground and supervised:
            raise UsageError(
                f"Services are running on {database.path} already.", f"Stop them: {stop_command(database.path)}"
            )
        known = old.wanted if old and supervised else _of_living(old, before)
        state = ServiceState(
            str(database.path),
            supervisor=old.supervisor if old and supervised else "",
            wanted=_merged(known, wanted),
            workers=old.workers if old else [],
            started_at=now_ms(),
        )
        update_state(database.state_dir, lambda _: state)
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


def _refuse_beside_another(database: Database) -> None:
    """One state directory serves one database's services: its files and locks are theirs.

    Raises:
        UsageError: services of another database run from this one's state directory.
    """
    state = read_state(database.state_dir)
    if state is None or is_of(state, database.path):
        return
    if supervisor_lives(state) or any(_lives(each) for each in state.workers):
        raise UsageError(
            f"Services of another database run from {database.state_dir}: {state.database}.",
            f"Put {database.path.name} into a directory of its own, or type: {stop_command(Path(state.database))}",
        )


def _of_living(old: ServiceState | None, living: Sequence[WorkerRow]) -> list[Wanted]:
    """What workers whose supervisor is gone still are; a count from before a reboot means nothing."""
    found = []
    for each in old.wanted if old else ():
        count = sum(1 for row in living if (row.type, row.pool) == each.key)
        if count:
            found.append(msgspec.structs.replace(each, count=count))
    return found


def _merged(known: Sequence[Wanted], wanted: Sequence[Wanted]) -> list[Wanted]:
    """Both, where they are of one kind the larger number."""
    found = {each.key: each for each in known}
    for each in wanted:
        have = found.get(each.key)
        found[each.key] = each if have is None or have.count < each.count else have
    return list(found.values())


def launch_supervisor(database: Database) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives this process and its terminal."""
    log = supervisor_log(database.state_dir)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "clx.workers.supervisor", str(database.path)]
    with log.open("ab") as stream:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd=database.state_dir,
        )
    _launched[:] = [each for each in _launched if each.poll() is None] + [child]
    return child


def supervisor_log(state_dir: Path) -> Path:
    """Where a supervisor's own output goes."""
    return state_dir / "logs" / "supervisor.log"


def _start(database: Database, state: ServiceState, child: subprocess.Popen[bytes] | None) -> None:
    """Wait until every wanted worker has registered."""
    workers = next(iter(state.wanted)).settings.workers
    deadline = time.monotonic() + workers.startup_timeout * (workers.startup_retries + 1) + _SUPERVISOR_STOPS_IN
    database.doorbell.ring(SERVICE)
    table = WorkerTable(database)
    with database.doorbell.listen("build") as bell:
        while not _complete(state.wanted, service_workers(database)):
            for _action, detail in table.events(0, action="startup_failed", after=state.started_at):
                raise WorkerStartupError(detail["fact"], detail["next_step"])
            if child is not None and child.poll() is not None and not supervisor_lives(read_state(database.state_dir)):
                raise WorkerStartupError(
                    f"The supervisor ended with code {child.returncode}: {_last_words(database.state_dir)}",
                    f"Its log is {supervisor_log(database.state_dir)}.",
                )
            if time.monotonic() > deadline:
                raise WorkerStartupError(
                    f"Not every worker registered within {workers.startup_timeout:g} s.",
                    f"Their logs are in {database.state_dir / 'logs'}. Check the tools with `clx doctor`.",
                )
            _wait(bell.fileno())
            bell.silence()


def _wait(descriptor: int) -> None:
    import select

    select.select([descriptor] if descriptor >= 0 else [], [], [], _LOOK)


def _last_words(state_dir: Path) -> str:
    with contextlib.suppress(OSError):
        return last_line(supervisor_log(state_dir).read_text(encoding="utf-8", errors="replace")[-4000:])
    return "it said nothing"


def _complete(wanted: Sequence[Wanted], there: Sequence[WorkerRow]) -> bool:
    return all(sum(1 for row in there if (row.type, row.pool) == each.key) >= each.count for each in wanted)


def service_workers(database: Database) -> list[WorkerRow]:
    """The live service workers that take jobs."""
    return [
        row
        for row in WorkerTable(database).list()
        if row.service is not None and row.state != "stopping" and not is_gone(row.identity)
    ]


def _undo(database: Database, old: ServiceState | None) -> None:
    """Leave what was there before: nothing, or the workers of *old*."""
    if old is None:
        _stop(database, grace=1.0)
        return

    def undone(state: ServiceState | None) -> ServiceState:
        now = state or old
        return msgspec.structs.replace(old, supervisor=now.supervisor, workers=now.workers)

    update_state(database.state_dir, undone)
    database.doorbell.ring(SERVICE)


# -- stopping -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stopped:
    """What ``stop_services`` did.

    Attributes:
        workers: how many were ended.
        left: workers of other machines that are not this one's to end.
    """

    workers: int = 0
    left: list[WorkerRow] = field(default_factory=list)


def stop_services(database: Database, *, timeout: float) -> Stopped:
    """End the supervisor and every service worker; safe to call again and when nothing runs.

    Args:
        timeout: seconds workers have to finish their jobs; then the jobs are handed back, uncounted.

    Raises:
        UsageError: they are another user's; nothing was stopped.
    """
    with locked(database.state_dir, "services"):
        return _stop(database, grace=timeout)


def _stop(database: Database, *, grace: float) -> Stopped:
    from clx.workers.supervisor import end_services

    before, state = service_workers(database), state_of(database.path)
    _refuse_another_users(database.path, state, before)
    settings = _end_supervisors(database.path, grace)
    left = end_services(database, settings, grace=grace)
    _end_processes(state.workers if state else [], 0.0)  # those that a file of the same name before this one knew
    _forget(database.path)
    return Stopped(len(before) - len(left), left)


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
        living = [each for each in {state.supervisor, *state.workers} if _lives(each)]
        settings = _end_supervisors(database, timeout)
        _end_processes(state.workers, timeout)
        if any(each.mode == "docker" for each in state.wanted):
            from clx.workers.executors.docker_orphans import remove_services

            living += remove_services(Path(state.database), settings)
        _forget(database)
        return len(living)


def _refuse_another_users(database: Path, state: ServiceState | None, rows: Sequence[WorkerRow] = ()) -> None:
    """See that this user may end what there is, before anything is ended.

    Raises:
        UsageError: it is another user's.
    """
    identities = [state.supervisor, *state.workers] if state else []
    for identity in [*identities, *(row.identity for row in rows)]:
        if owner := foreign_owner(identity):
            raise UsageError(
                f"The services of {database} run as {owner}; only that user can stop them.",
                f"Type: sudo -u {owner} {stop_command(database)}",
            )


def _lives(identity: str) -> bool:
    return is_ours_to_judge(identity) and not is_gone(identity)


def _end_processes(identities: Sequence[str], grace: float) -> None:
    """End worker processes that no row leads to: SIGTERM, after *grace* and a moment SIGKILL."""
    living = [each for each in identities if _lives(each)]
    for each in living:
        send_signal(each, signal.SIGTERM)
    deadline = time.monotonic() + grace + 1.0
    while any(_lives(each) for each in living) and time.monotonic() < deadline:
        time.sleep(_LOOK / 4)
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
    deadline = time.monotonic() + _SUPERVISOR_STOPS_IN
    while True:
        state = read_state(state_dir)
        if state is not None and not is_of(state, database):
            return settings
        settings = state.wanted[0].settings if state and state.wanted else settings
        if state is not None and supervisor_lives(state):
            update_state(state_dir, lambda now: now and msgspec.structs.replace(now, grace=grace))
            _end_supervisor(state.supervisor, grace + _SUPERVISOR_STOPS_IN)
        with locked(state_dir, "supervisor", wait=False) as nobody:
            if nobody or time.monotonic() > deadline:
                return settings
        time.sleep(_LOOK / 4)


def _end_supervisor(identity: str, seconds: float) -> None:
    """SIGTERM, then SIGKILL when it has not ended in time."""
    import select

    descriptor = open_process(identity)
    send_signal(identity, signal.SIGTERM)
    try:
        deadline = time.monotonic() + seconds
        while not is_gone(identity) and time.monotonic() < deadline:
            select.select([descriptor] if descriptor >= 0 else [], [], [], _LOOK)
        if not is_gone(identity):
            send_signal(identity, signal.SIGKILL)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def stop_command(path: Path) -> str:
    """What to type to stop the services of a database."""
    return f"clx stop-services --db-path {shlex.quote(str(path))}"


# -- which databases have services, per user -----------------------------------------------------


def _notes() -> Path:
    import platformdirs

    return platformdirs.user_state_path("clx", appauthor=False) / "services"


def _note_path(database: Path) -> Path:
    return _notes() / f"{hashlib.sha256(str(database).encode()).hexdigest()[:16]}.json"


def note_for_user(database: Path) -> None:
    """Remember that this database has services, so that other directories' commands can name it."""
    with contextlib.suppress(OSError):
        path = _note_path(database)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({"database": str(database)}))


def forget_for_user(database: Path) -> None:
    """The services of this database are gone."""
    with contextlib.suppress(OSError):
        _note_path(database).unlink(missing_ok=True)


def databases_with_services() -> list[Path]:
    """Databases of this user whose supervisor runs on this machine; notes of others are removed."""
    found = []
    folder = _notes()
    for note in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            database = Path(msgspec.json.decode(note.read_bytes(), type=dict[str, str])["database"])
        except (OSError, msgspec.DecodeError, KeyError):
            continue
        if supervisor_lives(state_of(database)):
            found.append(database)
        else:
            with contextlib.suppress(OSError):
                note.unlink()
    return found
