"""The process that keeps persistent workers: starts what is wanted, replaces what dies, ends them all on SIGTERM.

``python -m clx.workers.supervision.supervisor DATABASE``. It holds no jobs and no state of its own: killed, it leaves
its workers working, and the next one takes them over. Who is replaced and when:
:mod:`clx.workers.supervision.restart_policy`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import replace

from clx.commands import database_name
from clx.db.database import Database
from clx.db.identity import process_identity
from clx.db.workers import WorkerRow
from clx.errors import EXIT_DONE, PASSING, ClxError, DatabaseError, WorkerStartupError
from clx.platforms import system
from clx.settings.schema import Settings
from clx.workers.executors.docker.containers import remove_of_missing, remove_orphans
from clx.workers.executors.spec import WorkerSpec
from clx.workers.liveness import is_within_reach, mark_lost
from clx.workers.logs import logged
from clx.workers.process.directories import remove_work_of_services
from clx.workers.supervision.pruning import DailyPruning
from clx.workers.supervision.restart_policy import RestartingGroup
from clx.workers.supervision.server_process import ServerProcess
from clx.workers.supervision.service_state import (
    SERVICE,
    ServiceState,
    forget_for_user,
    locked,
    read_state,
    service_workers,
    stop_command,
    supervisor_lives,
    update_state,
)

log = logging.getLogger("clx.supervisor")

_BEAT = 1.0


class Supervisor:
    """One supervisor process."""

    def __init__(self, database: Database, state: ServiceState) -> None:
        self._database = database
        self._settings = state.wanted[0].settings
        self._group = RestartingGroup(database, self._settings, log.warning, service=SERVICE)
        self._group.attach(service_workers(database))
        self._server = ServerProcess(database, self._settings.server)
        self._state = state
        self._group.want(state.wanted)
        self._asked_to_end = ""
        self._pruning = DailyPruning(database, wanted=self._settings.jobs.prune)

    def run(self) -> None:
        """Keep the workers until SIGTERM or SIGINT, then end them."""
        with heeding(self._end) as wake, self._database.doorbell.listen(SERVICE) as bell:
            log.info("supervisor started for %s", self._database.name, extra={"action": "supervisor_started"})
            while not self._asked_to_end and self._database.is_in_place():
                bell.silence()
                try:
                    self.run_once()
                except PASSING as error:
                    log.warning("%s", error.fact)
                except (DatabaseError, OSError):  # its files are removed at this moment, one after the other
                    if self._database.is_in_place():
                        raise
                self._wait(wake, bell.fileno())
            self._finish()

    def _end(self, number: int, _frame: object) -> None:
        self._asked_to_end = signal.Signals(number).name

    def run_once(self) -> None:
        """Look once: what is wanted, who lives, what is to be started."""
        state = read_state(self._database.state.path)
        if state is None:  # somebody removed the file; without it nobody finds this process
            state = update_state(self._database.state.path, lambda now: now or self._state)
        if state is not None and (state.started_at, state.wanted) != (self._state.started_at, self._state.wanted):
            self._state = state
            self._group.want(state.wanted)
            if state.wanted:
                self._server.settings = state.wanted[0].settings.server
            self._answer()
        self._group.tend()
        self._group.reconcile()
        self._server.tend()
        self._save_lowered()
        self._save_workers()
        self._pruning.look()

    def _answer(self) -> None:
        """Let the command that asked know that somebody listens, before anything that may take long."""
        asked = self._state.started_at
        update_state(self._database.state.path, lambda now: now and replace(now, answered=asked))

    def _save_lowered(self) -> None:
        """Write down that less is wanted because somebody stopped workers on purpose."""
        lowered, self._group.lowered = self._group.lowered, Counter()

        def lower(each: WorkerSpec) -> WorkerSpec:
            return replace(each, count=max(0, each.count - lowered[each.key]))

        if lowered:
            self._change(lambda state: replace(state, wanted=[lower(each) for each in state.wanted]))

    def _change(self, change: Callable[[ServiceState], ServiceState]) -> None:
        """Change what this process knows and its file says; one that somebody has removed is written anew.

        What a command has written there meanwhile is not taken for known: the next look notices it.
        """
        self._state = change(self._state)
        update_state(self._database.state.path, lambda now: self._state if now is None else change(now))

    def _save_workers(self) -> None:
        """Write down which processes there are, so that they are found without the database too."""
        there = [worker.identity for worker in self._group.members if worker.identity]
        if there != self._state.workers:
            self._change(lambda state: replace(state, workers=there))

    def _wait(self, wake: socket.socket, bell: int) -> None:
        pause_ends = self._group.next_start()
        seconds = _BEAT if pause_ends is None else min(_BEAT, max(0.0, pause_ends - time.monotonic()))
        waiting = [wake.fileno(), *self._group.descriptors(), *([bell] if bell >= 0 else [])]
        if wake.fileno() in system.wait_readable(waiting, seconds):
            with contextlib.suppress(BlockingIOError):
                wake.recv(64)

    def _finish(self) -> None:
        """End every worker within the time asked for, and leave nothing behind."""
        state, me = read_state(self._database.state.path), process_identity()
        grace = self._settings.workers.grace_period if state is None or state.grace is None else state.grace
        self._server.stop()
        reason = f"services were stopped ({self._asked_to_end or 'the database is gone'})"
        self._pruning.end(0.5)
        try:
            self._group.stop(grace=grace, reason=reason)
        except (DatabaseError, OSError) as error:
            if self._database.is_in_place():
                raise
            log.warning("workers could not be ended in order: %s", error)
        if not self._database.path.exists() and any(each.mode == "docker" for each in self._state.wanted):
            remove_of_missing(self._database.path, self._settings)
        if read_state(self._database.state.path) is not None:  # else its directory is gone too
            update_state(self._database.state.path, lambda now: now if now and now.supervisor != me else None)
        forget_for_user(self._database.path)
        log.info("supervisor ended", extra={"action": "supervisor_stopped"})


@contextlib.contextmanager
def heeding(handler: object) -> Iterator[socket.socket]:
    """Call *handler* on SIGTERM and SIGINT; the socket becomes readable then, so that a wait ends at once."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}  # type: ignore[arg-type]
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, old in before.items():
            signal.signal(number, old)
        wake.close()
        woken.close()


def end_services(database: Database, settings: Settings, *, grace: float) -> list[WorkerRow]:
    """End every service worker that no supervisor has ended; returns those that are another machine's."""
    mark_lost(database, settings.jobs)
    group = RestartingGroup(database, settings, log.warning, service=SERVICE)
    rows = [row for row in group.table.list() if row.service is not None]
    mine = [row for row in rows if is_within_reach(row)]
    group.attach(mine)
    group.stop(grace=grace, reason="services were stopped")
    remove_orphans(database, settings)
    remove_work_of_services(database)
    return [row for row in rows if row not in mine]


def supervise(path: Path) -> int:
    """Be the supervisor of a database until told to end; returns the exit code."""
    with (
        Database.open(path, journal_mode="keep") as database,
        locked(database.state.path, "supervisor", wait=False) as alone,
    ):
        if not alone:
            raise WorkerStartupError(
                f"Another supervisor serves {database_name(path)}.", f"Stop it: {stop_command(path)}"
            )
        state = update_state(database.state.path, _sign)
        if state is not None and state.wanted:
            with logged(database.state.path, state.wanted[0].settings.logging.level):
                Supervisor(database, state).run()
    return EXIT_DONE


def _sign(state: ServiceState | None) -> ServiceState | None:
    """Enter this process as the supervisor, unless another lives."""
    if state is None or supervisor_lives(state):
        return state
    return replace(state, supervisor=process_identity())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        code = supervise(Path(sys.argv[1]))
    except ClxError as error:
        os.write(2, f"{error}\n".encode())
        code = error.exit_code
    sys.exit(code)
