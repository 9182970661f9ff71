"""The workers that one process answers for: started, watched, buried, replaced, stopped.

What builds, services and :class:`~clx.workers.supervision.pool_manager.WorkerPoolManager` share. Single-threaded: the
owner's event loop selects on :meth:`WorkerGroup.descriptors` and calls :meth:`WorkerGroup.tend`, which notices
registrations and deaths and gives the jobs of the dead to others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping

from clx.db.database import Database
from clx.db.identity import is_gone
from clx.db.jobs import Queue
from clx.db.mark_dead import mark_worker_dead
from clx.db.schedules.sweep import Sweep
from clx.db.workers import WorkerRow, WorkerTable
from clx.platforms import system
from clx.settings.schema import Settings
from clx.workers.executors.spec import WorkerSpec, spawn_of
from clx.workers.executors.start import start
from clx.workers.executors.worker_process import NOT_STARTED, WorkerProcess
from clx.workers.liveness import BEATS_OVERDUE, is_heard, mark_lost
from clx.workers.process.directories import remove_work
from clx.workers.processes import lives

log = logging.getLogger("clx.workers")

_SWEEP = 1.0
_PAUSED = 5.0  # seconds between two sweeps from which on this process itself was held up
HAND_BACK = 1.0
"""Seconds beyond its time that a worker has to hand its job back."""


class WorkerGroup:
    """Workers of one owner. Subclasses decide who is replaced.

    Args:
        note: called with one line for each thing worth telling the user.
        batch: the batch that the workers belong to.
        service: the service that they belong to; others end when this process is gone.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        note: Callable[[str], None],
        *,
        batch: int | None = None,
        service: str | None = None,
    ) -> None:
        self.database = database
        self.settings = settings
        self.note = note
        self.members: list[WorkerProcess] = []
        self.table = WorkerTable(database)
        self.queue = Queue(database)
        self._schedules = Sweep(database)
        self._batch = batch
        self._service = service
        self._rows_before = self.table.newest_id()
        self._watched: dict[int, WorkerRow] = {}
        self._next_sweep = 0.0
        self._swept_at = database.clock.now()
        self._spare_silent_until = 0
        self._stopping = False

    # -- starting ---------------------------------------------------------------------------------

    def start(self, spec: WorkerSpec) -> WorkerProcess:
        """Start one worker."""
        spawn = spawn_of(spec, self.database.path, batch=self._batch, service=self._service)
        worker = start(spawn, self.database.state.path)
        self.members.append(worker)
        log.info(
            "starting a %s worker (%s), settings from %s", spec.type, spec.mode, spec.source,
            extra={"action": "worker_starting", "type": spec.type, "mode": spec.mode},
        )  # fmt: skip
        return worker

    def of(self, type_: str, pool: str | None = None) -> list[WorkerProcess]:
        """The members of one type, and of one pool where it is given."""
        return [each for each in self.members if each.spawn.type == type_ and pool in (None, each.spawn.pool)]

    # -- watching ---------------------------------------------------------------------------------

    def descriptors(self) -> list[int]:
        """What becomes readable when a worker of this machine ends."""
        return [fd for worker in self.members if (fd := worker.descriptor) >= 0] + list(self._watched)

    def tend(self) -> None:
        """Notice registrations and deaths; once a second look after everybody else on this machine too."""
        self._note_registrations()
        for worker in [worker for worker in self.members if not worker.is_alive()]:
            self._bury(worker)
        self._check_startup()
        if self._somebody_ended() or time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP
            self.sweep()

    def _note_registrations(self) -> None:
        waiting = [worker for worker in self.members if worker.worker_id is None]
        if not waiting:
            return
        rows = self.table.list(live=False, after=self._rows_before)
        for worker in waiting:
            row = next((row for row in rows if worker.is_row(row)), None)
            if row is not None:
                worker.worker_id = row.id

    def _bury(self, worker: WorkerProcess, *, killed: bool = False) -> None:
        """Account for a member that ended, or was *killed* because it did not end in time."""
        if worker.worker_id is None:
            self._note_registrations()
        self.members.remove(worker)
        tail, cause, well = worker.tail(), worker.cause(), worker.ended_well()
        worker.close()
        if worker.worker_id is not None:
            self._rescue(worker, cause, tail, "did not end in time and was killed" if killed else "")
        if not self._stopping:
            self.ended(worker, cause, well=well, tail=tail)

    def _rescue(self, worker: WorkerProcess, cause: Mapping[str, object], tail: str, how: str) -> None:
        worker_id, type_ = worker.worker_id, worker.spawn.type
        assert worker_id is not None
        if self._stopping:
            self.queue.release_worker(worker_id)
        rescued = self.queue.rescue_worker(worker_id, cause, stderr=tail or None)
        died = self.table.end(worker_id, how or f"ended: {tell(cause)}", dead=True)
        remove_work(self.database, worker_id)
        if not died:
            return
        log.warning(
            "worker %s %s", worker_id, how or f"died: {tell(cause)}",
            extra={"action": "worker_dead", "worker": worker_id, "type": type_, "cause": cause, "stderr": tail},
        )  # fmt: skip
        if not self._stopping:
            self.note(f"A {type_} worker died ({tell(cause)}); " + _rescue_told(rescued))

    def ended(self, worker: WorkerProcess, cause: Mapping[str, object], *, well: bool, tail: str) -> None:
        """A member has ended, *well* or not, and is buried."""

    def had_jobs(self, worker: WorkerProcess) -> bool:
        """Whether a member that ended had come as far as its first job."""
        row = self.table.get(worker.worker_id) if worker.worker_id is not None else None
        return row is not None and row.jobs_succeeded + row.jobs_failed > 0

    def _check_startup(self) -> None:
        limit = self.settings.workers.startup_timeout
        for worker in self.members:
            if worker.worker_id is None and time.monotonic() - worker.started > limit:
                log.warning("a %s worker did not register within %s s", worker.spawn.type, limit)
                worker.kill()

    def _somebody_ended(self) -> bool:
        return bool(self._watched and system.wait_readable(self._watched, 0))

    def sweep(self) -> None:
        """Watch the other workers of this machine too, rescue what silent ones left, fire schedules that are due."""
        mine = {worker.worker_id for worker in self.members}
        for fd, row in list(self._watched.items()):
            if is_gone(row.identity):
                os.close(fd)
                del self._watched[fd]
        trusted = self._is_silence_telling()
        mark_lost(self.database, self.settings.jobs if trusted else None, spare=mine)
        if trusted:
            self._end_silent()
        else:
            self.queue.distrust_leases()
        known = {row.id for row in self._watched.values()}
        for row in self.table.list():
            if system.HAS_PIDFDS and row.id not in mine | known and lives(row.identity):
                with contextlib.suppress(OSError):
                    self._watched[system.open_process(row.pid)] = row
        self.queue.rescue()
        self._schedules.fire_due()

    def _is_silence_telling(self) -> bool:
        """Whether who has been silent for a lease is to blame for it.

        After this process itself was suspended, the clock jumped, or somebody kept the table locked, workers get a
        lease to speak up first. Whether it is locked is tried as soon as one of them has missed a beat.
        """
        lease = int(self.settings.jobs.lease * 1000)
        latest = [row.heartbeat_at for row in self.table.list()]  # without a write-ahead log even this may have to wait
        missed = self.database.clock.now() - int(BEATS_OVERDUE * 1000 * self.settings.jobs.heartbeat)
        locked = any(beat < missed for beat in latest) and not self.queue.takes_writes()
        now = self.database.clock.now()
        if locked or now - self._swept_at > max(lease / 2, _PAUSED * 1000):
            self._spare_silent_until = now + lease
        self._swept_at = now
        return now >= self._spare_silent_until

    def _end_silent(self) -> None:
        """Kill members that have been silent for a whole lease: nobody gets their work out of them."""
        jobs = self.settings.jobs
        silent = {row.id: row for row in self.table.list() if not is_heard(row, self.database.clock.now(), jobs)}
        for worker in self.members:
            row = silent.get(worker.worker_id or 0)
            if row is None:
                continue
            self.note(f"The {row.type} worker #{row.id} has been silent for {jobs.lease:g} s; it is ended.")
            mark_worker_dead(self.database, row.id, {"kind": "silent"}, "it was silent")
            worker.kill()

    # -- stopping ---------------------------------------------------------------------------------

    def stop(self, *, grace: float, reason: str = "no longer needed") -> None:
        """End every member: asked to finish within *grace* seconds, killed soon after. Idempotent.

        A worker hands its job back when the time is over; one that does not even do that is killed and
        its job handed back for it, uncounted.
        """
        self._stopping = True
        self._note_registrations()
        for worker in self.members:
            if worker.worker_id is not None:
                self.table.request_stop(worker.worker_id, reason, grace=grace)
            worker.terminate()
        deadline = time.monotonic() + grace + HAND_BACK
        late = [worker for worker in self.members if not worker.wait(deadline - time.monotonic())]
        for worker in late:
            worker.kill()
        for worker in list(self.members):
            self._bury(worker, killed=worker in late)
        self.release()

    def release(self) -> None:
        """Forget everybody without ending anybody."""
        for fd in self._watched:
            os.close(fd)
        self._watched.clear()
        self.members.clear()


def tell(cause: Mapping[str, object]) -> str:
    """How a worker ended, in words."""
    match cause.get("kind"):
        case "signal":
            return f"{cause['signal']}{', probably out of memory' if cause.get('memory') else ''}"
        case "oom":
            return f"out of memory, limit {cause.get('limit') or 'that of the machine'}"
        case "engine":
            return str(cause["message"])
        case "gone":
            return "its process is gone"
    return f"exit code {cause.get('code')}"


def start_failure(worker: WorkerProcess, tail: str) -> tuple[str, str]:
    """Why a worker did not start, and the next step, by the last lines of its output."""
    cause, type_ = worker.cause(), worker.spawn.type
    if cause == NOT_STARTED:  # its tail is what the engine said and the next step, a line each
        fact, _, next_step = tail.partition("\n")
        return f"The {type_} worker did not start. {fact}", next_step
    of_docker = worker.spawn.mode == "docker"
    check = "what containers need with `clx docker check`" if of_docker else "the tools with `clx doctor`"
    fact = f"The {type_} worker did not start ({tell(cause)}): {last_line(tail)}"
    return fact, f"Its log is {worker.log}. Check {check}."


def _rescue_told(rescued: list[int]) -> str:
    return f"job {', '.join(map(str, rescued))} is given to another." if rescued else "it had no job."


def last_line(text: str) -> str:
    """The last line of *text*, for a message."""
    return text.splitlines()[-1] if text else "it said nothing"


def last_error(text: str) -> tuple[str, str]:
    """The last error of *text* as our commands write them, fact and next step; without one its last line."""
    _, found, said = f"\n{text}".rpartition("\nError: ")
    fact, _, step = said.strip().partition("\n")
    return (fact, step.replace("\n", " ")) if found else (last_line(text), "")
