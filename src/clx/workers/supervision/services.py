"""Persistent workers: started once, kept by a supervisor, used by every build on their database (REQ-3).

``<state directory>/worker-state.json`` says which workers are wanted and which process supervises them.
Two locks: ``services`` is held by a command from its first look to its last, so that two commands do
not undo each other's work; ``services-state`` only while the file is read and written.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clx.db.apart import state_directory
from clx.db.clock import now_ms
from clx.db.sqlite.database import Database
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import EngineError, UsageError, WorkerStartupError
from clx.settings.resolve import Resolved
from clx.workers.process.limits import not_started, require_files
from clx.workers.supervision.contained import strike_off_ended
from clx.workers.supervision.crew import last_line, strike_off_dead
from clx.workers.supervision.identity import (
    is_stopped,
    pid_of,
)
from clx.workers.supervision.kept import Wanted, wanted_of
from clx.workers.supervision.needs import configured_needs
from clx.workers.supervision.readiness import require_ready, settings_for
from clx.workers.supervision.service_notes import note_for_user
from clx.workers.supervision.service_state import (
    SERVICE,
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
from clx.workers.supervision.service_stop import SUPERVISOR_STOPS_IN, end_all

_LOOK = 0.2
_launched: list[subprocess.Popen[bytes]] = []  # kept until they end, so that a long-lived caller reaps them
_ANSWERS_IN = 15.0  # seconds a supervisor has to take notice: starting containers can keep it that long
_PROBE = 3.0  # seconds between two looks whether the database can be written while workers are awaited


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

    @property
    def replaced(self) -> bool:
        """Whether the supervisor of workers that ran already was gone, so that another keeps them now."""
        return not self.supervised and len(self.new) < len(self.workers)


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
        WorkerStartupError: they do not start, or the supervisor there is does not answer; whatever this call had
            started is ended again.
        DatabaseBusyError: the database is locked, so that no worker could register.
    """
    database.require_writable()
    require_files({mode: sum(each.count for each in wanted if each.mode == mode) for mode in ("direct", "docker")})
    images = {each.type: each.image if each.mode == "docker" else None for each in wanted}
    require_ready(database, images, wanted[0].settings, note)
    with locked(database.state_dir, "services"):
        strike_off_dead(database)
        strike_off_ended(database, wanted[0].settings.jobs)
        refuse_beside_another(database.path)
        before, old = service_workers(database), state_of(database.path)
        state = _with(wanted, database, old, before, foreground=foreground)
        supervised = bool(state.supervisor)
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


def _with(
    wanted: Sequence[Wanted],
    database: Database,
    old: ServiceState | None,
    before: Sequence[WorkerRow],
    *,
    foreground: bool,
) -> ServiceState:
    """What is to be there when the *wanted* workers join what the state file and the table know of.

    Raises:
        UsageError: the calling process is about to become the supervisor, and there is one.
        WorkerStartupError: the supervisor there is does not answer.
    """
    supervised = supervisor_lives(old)
    if old is not None and is_stopped(old.supervisor):
        raise _no_answer(old, "is stopped")
    if foreground and supervised:
        raise UsageError(
            f"Services are running on {database.path} already.", f"Stop them: {stop_command(database.path)}"
        )
    return ServiceState(
        str(database.path),
        supervisor=old.supervisor if old and supervised else "",
        wanted=_merged(old.wanted if old and supervised else _of_living(old, before), wanted),
        workers=old.workers if old else [],
        started_at=now_ms(),
    )


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
    """Start a supervisor that outlives this process and its terminal.

    Raises:
        WorkerStartupError: the system does not let it.
    """
    log = supervisor_log(database.state_dir)
    command = [sys.executable, "-P", "-m", "clx.workers.supervision.supervisor", str(database.path)]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                cwd=database.state_dir,
            )
    except OSError as error:
        raise not_started(error, "supervisor") from error
    _launched[:] = [each for each in _launched if each.poll() is None] + [child]
    return child


def _start(database: Database, state: ServiceState, child: subprocess.Popen[bytes] | None) -> None:
    """Wait until every wanted worker has registered, and a supervisor that was started has taken over."""
    workers = next(iter(state.wanted)).settings.workers
    limit = workers.startup_timeout * (workers.startup_retries + 1) + SUPERVISOR_STOPS_IN
    began, probed = time.monotonic(), time.monotonic()
    database.doorbell.ring(SERVICE)
    with database.doorbell.listen("build") as bell:
        while not _complete(state.wanted, service_workers(database)) or not (
            child is None or supervisor_lives(read_state(database.state_dir))
        ):
            for _action, detail in WorkerTable(database).events(0, action="startup_failed", after=state.started_at):
                raise WorkerStartupError(str(detail.get("fact")), str(detail.get("next_step") or ""))
            if time.monotonic() > probed + _PROBE:
                database.require_writable()
                probed = time.monotonic()
            _require_supervisor(database, state, child, time.monotonic() - began)
            if time.monotonic() > began + limit:
                raise WorkerStartupError(
                    f"Not every worker registered within {limit:g} s.",
                    f"Their logs are in {database.state_dir / 'logs'}. Check the tools with `clx doctor`.",
                )
            _wait(bell.fileno())
            bell.silence()


def _require_supervisor(
    database: Database, state: ServiceState, child: subprocess.Popen[bytes] | None, waited: float
) -> None:
    """See that the supervisor works: the *child* that was started for it, or one that ran already.

    Raises:
        WorkerStartupError: it ended, or has not taken notice within the time it has.
    """
    now = read_state(database.state_dir)
    if child is not None:
        if child.poll() is not None and not supervisor_lives(now):
            raise WorkerStartupError(
                f"The supervisor ended with code {child.returncode}: {_last_words(database.state_dir)}",
                f"Its log is {supervisor_log(database.state_dir)}.",
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
        f"The supervisor of the services on {path}, pid {pid}, {how}.", f"{go_on} all of them: {stop_command(path)}"
    )


def _wait(descriptor: int) -> None:
    import select

    select.select([descriptor] if descriptor >= 0 else [], [], [], _LOOK)


def _last_words(state_dir: Path) -> str:
    with contextlib.suppress(OSError):
        return last_line(supervisor_log(state_dir).read_text(encoding="utf-8", errors="replace")[-4000:])
    return "it said nothing"


def _complete(wanted: Sequence[Wanted], there: Sequence[WorkerRow]) -> bool:
    return all(sum(1 for row in there if (row.type, row.pool) == each.key) >= each.count for each in wanted)


def _undo(database: Database, old: ServiceState | None) -> None:
    """Leave what was there before: nothing, or the workers of *old*."""
    if old is None:
        with contextlib.suppress(EngineError):  # what was to be started has failed for a reason of its own
            end_all(database, grace=1.0)
        return

    def undone(state: ServiceState | None) -> ServiceState:
        now = state or old
        return msgspec.structs.replace(old, supervisor=now.supervisor, workers=now.workers)

    update_state(database.state_dir, undone)
    database.doorbell.ring(SERVICE)
