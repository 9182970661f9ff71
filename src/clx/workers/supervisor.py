"""The process that keeps persistent workers: starts what is wanted, replaces what dies, ends them all on SIGTERM.

``python -m clx.workers.supervisor DATABASE``. It holds no jobs and no state of its own: killed, it leaves
its workers working, and the next one adopts them. A worker that died is replaced at once the first time
and after growing pauses from then on; when one kind dies :data:`CRASH_LIMIT` times within
:data:`CRASH_WINDOW` seconds, no more of it is started.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from clx.db.database import Database
from clx.db.workers import WorkerRow
from clx.errors import EXIT_DONE, ClxError, DatabaseBusyError, DatabaseFullError, WorkerStartupError
from clx.settings.schema import Settings
from clx.workers import executors
from clx.workers.crew import Crew, last_line, strike_off_dead, tell
from clx.workers.executors.base import Handle, Spawn
from clx.workers.identity import is_ours_to_judge, process_identity
from clx.workers.logs import logged
from clx.workers.services import (
    SERVICE,
    ServiceState,
    Wanted,
    forget_for_user,
    locked,
    read_state,
    service_workers,
    supervisor_lives,
    update_state,
)

log = logging.getLogger("clx.supervisor")

CRASH_WINDOW = 60.0
"""Seconds over which crashes of one kind of worker are counted."""
CRASH_LIMIT = 10
"""Crashes in that time after which no more workers of that kind are started."""
_LONGEST_PAUSE = 30.0
_BEAT = 1.0

Key = tuple[str, str]


class ServiceCrew(Crew):
    """Service workers: as many of each kind as are wanted.

    Attributes:
        wanted: what is to be there.
        lowered: kinds of which somebody stopped a worker on purpose, and how many.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database, settings, log.warning, service=SERVICE, lifeline=False)
        self.wanted: dict[Key, Wanted] = {}
        self.lowered: dict[Key, int] = {}
        self._crashes: dict[Key, deque[float]] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._surplus: set[int] = set()

    def adopt(self, rows: Sequence[WorkerRow]) -> None:
        """Answer for workers that another process started."""
        mine = {worker.worker_id for worker in self.members}
        for row in rows:
            if row.id not in mine:
                spawn = Spawn(
                    row.type, row.mode, self.database.path, row.pool, self.settings, row.image, service=row.service
                )
                lease = self.settings.jobs.lease
                self.members.append(executors.adopt(row, spawn, self.table, silent_after=lease))

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Have these from now on. Asking again lifts the pause after crashes."""
        self.wanted = {each.key: each for each in wanted}
        self._not_before.clear()
        self._failures.clear()

    def reconcile(self) -> None:
        """Start what is missing and may be started now; ask surplus workers to end, the newest first."""
        for key, each in self.wanted.items():
            there = [worker for worker in self.of(*key) if worker.worker_id not in self._surplus]
            if time.monotonic() >= self._not_before.get(key, 0.0):
                for _ in range(each.count - len(there)):
                    self.start(each.need, each.settings)
            for worker in there[each.count :] if each.count < len(there) else ():
                self._end_surplus(worker, each.settings.workers.grace_period)

    def _end_surplus(self, worker: Handle, grace: float) -> None:
        if worker.worker_id is None:
            return
        self._surplus.add(worker.worker_id)
        until = int((time.time() + grace) * 1000)
        self.table.request_stop(worker.worker_id, "no longer wanted", until=until)
        worker.terminate()

    def next_start(self) -> float | None:
        """When a pause ends, on the monotonic clock; None while there is none."""
        now = time.monotonic()
        return min((moment for moment in self._not_before.values() if moment > now), default=None)

    def ended(self, worker: Handle, *, well: bool, tail: str) -> None:
        """Decide when it is replaced, if at all."""
        key = (worker.spawn.type, worker.spawn.pool)
        if worker.worker_id in self._surplus:
            self._surplus.discard(worker.worker_id)
        elif worker.worker_id is None:
            self._failed_to_start(key, worker, tail)
        elif self.table.stop_request(worker.worker_id) is not None:
            self._lower(key)
        elif not well:
            self._crashed(key, worker, tail)

    def _lower(self, key: Key) -> None:
        """Somebody stopped a worker on purpose: one less is wanted."""
        self.lowered[key] = self.lowered.get(key, 0) + 1
        each = self.wanted.get(key)
        if each is not None:
            self.wanted[key] = msgspec.structs.replace(each, count=max(0, each.count - 1))

    def _failed_to_start(self, key: Key, worker: Handle, tail: str) -> None:
        self._failures[key] = self._failures.get(key, 0) + 1
        retries = self.settings.workers.startup_retries
        cause = f"The {key[0]} worker did not start ({tell(worker.cause())}): {last_line(tail)}"
        log.warning("%s", cause, extra={"action": "worker_not_started", "type": key[0], "stderr": tail})
        if self._failures[key] > retries:
            self._give_up(key, cause, f"Its log is {worker.log}. Check the tools with `clx doctor`.")
        else:
            self._not_before[key] = time.monotonic() + 0.1 * 2 ** self._failures[key]

    def _crashed(self, key: Key, worker: Handle, tail: str) -> None:
        now = time.monotonic()
        crashes = self._crashes.setdefault(key, deque())
        crashes.append(now)
        while crashes[0] < now - CRASH_WINDOW:
            crashes.popleft()
        if len(crashes) >= CRASH_LIMIT:
            fact = f"The {key[0]} workers died {len(crashes)} times in {CRASH_WINDOW:g} s, last: {last_line(tail)}"
            self._give_up(key, fact, f"See `clx workers logs {worker.worker_id}`; then start the services again.")
        elif len(crashes) > 1:
            self._not_before[key] = now + min(_LONGEST_PAUSE, 0.25 * 2 ** (len(crashes) - 1))

    def _give_up(self, key: Key, fact: str, next_step: str) -> None:
        """Start no more of this kind until somebody asks again."""
        log.error("%s", fact, extra={"action": "gave_up", "type": key[0]})
        self.table.note(0, "startup_failed", {"type": key[0], "pool": key[1], "fact": fact, "next_step": next_step})
        self._not_before[key] = float("inf")


class Supervisor:
    """One supervisor process.

    Args:
        database: the job table.
        state: what is wanted.
    """

    def __init__(self, database: Database, state: ServiceState) -> None:
        self._database = database
        self._settings = state.wanted[0].settings
        self._crew = ServiceCrew(database, self._settings)
        self._crew.adopt(service_workers(database))
        self._state = state
        self._crew.want(state.wanted)
        self._asked_to_end = ""

    def run(self) -> None:
        """Keep the workers until SIGTERM or SIGINT, then end them."""
        with _signals(self._end) as wake, self._database.doorbell.listen(SERVICE) as bell:
            log.info("supervisor started for %s", self._database.path, extra={"action": "supervisor_started"})
            while not self._asked_to_end and self._database.is_in_place():
                bell.silence()
                try:
                    self.run_once()
                except (DatabaseBusyError, DatabaseFullError) as error:
                    log.warning("%s", error.fact)
                self._wait(wake, bell.fileno())
            self._finish()

    def _end(self, number: int, _frame: object) -> None:
        self._asked_to_end = signal.Signals(number).name

    def run_once(self) -> None:
        """Look once: what is wanted, who lives, what is to be started."""
        state = read_state(self._database.state_dir)
        if state is None:  # somebody removed the file; without it nobody finds this process
            state = update_state(self._database.state_dir, lambda now: now or self._state)
        if state is not None and (state.started_at, state.wanted) != (self._state.started_at, self._state.wanted):
            self._state = state
            self._crew.want(state.wanted)
        self._crew.tend()
        self._crew.reconcile()
        self._save_lowered()

    def _save_lowered(self) -> None:
        """Write down that less is wanted because somebody stopped workers on purpose."""
        lowered, self._crew.lowered = self._crew.lowered, {}
        if not lowered:
            return

        def lower(state: ServiceState | None) -> ServiceState:
            found = state or self._state
            wanted = [
                msgspec.structs.replace(each, count=max(0, each.count - lowered.get(each.key, 0)))
                for each in found.wanted
            ]
            return msgspec.structs.replace(found, wanted=wanted)

        self._state = update_state(self._database.state_dir, lower) or self._state

    def _wait(self, wake: socket.socket, bell: int) -> None:
        pause_ends = self._crew.next_start()
        seconds = _BEAT if pause_ends is None else min(_BEAT, max(0.0, pause_ends - time.monotonic()))
        waiting = [wake.fileno(), *self._crew.descriptors(), *([bell] if bell >= 0 else [])]
        if wake.fileno() in select.select(waiting, [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                wake.recv(64)

    def _finish(self) -> None:
        """End every worker within the time asked for, and leave nothing behind."""
        state = read_state(self._database.state_dir)
        grace = self._settings.workers.grace_period if state is None or state.grace is None else state.grace
        reason = f"services were stopped ({self._asked_to_end or 'the database is gone'})"
        self._crew.stop(grace=grace, reason=reason)
        if self._database.is_in_place():
            update_state(self._database.state_dir, lambda _: None)
        forget_for_user(self._database.path)
        log.info("supervisor ended", extra={"action": "supervisor_stopped"})


@contextlib.contextmanager
def _signals(handler: object) -> Iterator[socket.socket]:
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
    strike_off_dead(database, lease=settings.jobs.lease)
    crew = ServiceCrew(database, settings)
    rows = [row for row in crew.table.list() if row.service is not None]
    mine = [row for row in rows if row.mode == "docker" or is_ours_to_judge(row.identity)]
    crew.adopt(mine)
    crew.stop(grace=grace, reason="services were stopped")
    for row in mine:
        crew.table.end(row.id, "services were stopped")
    return [row for row in rows if row not in mine]


def supervise(path: Path) -> int:
    """Be the supervisor of a database until told to end; returns the exit code."""
    with Database.open(path) as database, locked(database.state_dir, "supervisor", wait=False) as alone:
        if not alone:
            raise WorkerStartupError(
                f"Another supervisor serves {path}.", f"Stop it: clx stop-services --db-path {path}"
            )
        state = update_state(database.state_dir, _sign)
        if state is not None and state.wanted:
            with logged(database.state_dir, state.wanted[0].settings.logging.level):
                Supervisor(database, state).run()
    return EXIT_DONE


def _sign(state: ServiceState | None) -> ServiceState | None:
    """Enter this process as the supervisor, unless another lives."""
    if state is None or supervisor_lives(state):
        return state
    return msgspec.structs.replace(state, supervisor=process_identity())


def main() -> None:
    """Entry point of ``python -m clx.workers.supervisor DATABASE``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        code = supervise(Path(sys.argv[1]))
    except ClxError as error:
        os.write(2, f"{error}\n".encode())
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
