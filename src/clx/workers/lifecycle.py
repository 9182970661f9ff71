"""The workers of one build: which are needed, which are there, start the difference, watch, stop.

Single-threaded: the build's event loop selects on :meth:`BuildWorkers.descriptors` and calls
:meth:`BuildWorkers.tend`, which notices deaths, rescues jobs and starts replacements.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import NoWorkersError, WorkerStartupError
from clx.settings.schema import Settings
from clx.workers.executors import direct
from clx.workers.executors.base import Handle, Spawn
from clx.workers.identity import is_gone, is_ours_to_judge

log = logging.getLogger("clx.build")

_SWEEP = 1.0
_CRASHES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Need:
    """Workers of one type that a build wants.

    Attributes:
        count: how many.
        pool: the pool its jobs are in.
        config_source: where *count* came from.
        mode: ``direct`` or ``docker``.
        image: the container image; docker only.
    """

    type: str
    count: int
    pool: str
    config_source: str
    mode: str = "direct"
    image: str | None = None


def strike_off_dead(database: Database, *, spare: Collection[int | None] = ()) -> list[int]:
    """Strike off workers of this machine that are gone, and rescue their jobs.

    Args:
        spare: workers this process started: it reaps them and knows how they ended.

    Returns:
        The ids of the workers struck off.
    """
    table, queue = WorkerTable(database), Queue(database)
    gone = [row for row in table.list() if row.mode == "direct" and row.id not in spare and is_gone(row.identity)]
    for row in gone:
        queue.rescue_worker(row.id, {"kind": "gone"})
        table.end(row.id, "its process is gone", dead=True)
    return [row.id for row in gone]


class BuildWorkers:
    """Workers that live as long as a build does.

    Args:
        database: the job table.
        settings: what workers are started with.
        batch: the build's batch.
        note: called with one line for each thing worth telling the user.
    """

    def __init__(self, database: Database, settings: Settings, batch: int, note: Callable[[str], None]) -> None:
        self._database = database
        self._settings = settings
        self._batch = batch
        self._note = note
        self._queue = Queue(database)
        self._table = WorkerTable(database)
        self._mine: list[Handle] = []
        self._watched: dict[int, WorkerRow] = {}
        self._needs: dict[str, Need] = {}
        self._failures: dict[str, int] = {}
        self._started = 0
        self._next_sweep = 0.0
        self._stopping = False

    # -- starting ---------------------------------------------------------------------------------

    def require(self, needs: Iterable[Need]) -> None:
        """Have at least these workers, counting healthy services of the same pool.

        Raises:
            NoWorkersError: a type has none and none may be started.
        """
        for need in needs:
            self._needs[need.type] = need
            serving = self._serving(need)
            missing = need.count - len(serving) - sum(1 for worker in self._mine if worker.spawn.type == need.type)
            if serving:
                names = ", ".join(f"#{row.id}" for row in serving)
                self._note(f"Using {len(serving)} running {need.type} worker(s): {names}.")
            if missing > 0 and not self._settings.workers.auto_start:
                if serving:
                    continue
                raise NoWorkersError(
                    f"No {need.type} worker is running and workers.auto_start is off.",
                    f"Start one: clx start-services --db-path {self._database.path}",
                )
            for _ in range(missing):
                self._start(need)

    def _serving(self, need: Need) -> list[WorkerRow]:
        fresh = time.time() * 1000 - self._settings.jobs.lease * 1000
        return [
            row
            for row in self._table.list()
            if row.type == need.type
            and row.pool == need.pool
            and row.batch_id is None
            and row.state in {"idle", "busy"}
            and row.heartbeat_at >= fresh
            and not is_gone(row.identity)
        ]

    def _start(self, need: Need) -> None:
        spawn = Spawn(
            type=need.type,
            mode=need.mode,
            database=self._database.path,
            pool=need.pool,
            settings=self._settings,
            image=need.image,
            batch=self._batch,
            config_source=need.config_source,
        )
        self._started += 1
        self._mine.append(direct.start(spawn, self._database.state_dir, number=self._started))
        log.info("starting a %s worker (%s), settings from %s", need.type, need.mode, need.config_source)

    # -- watching ---------------------------------------------------------------------------------

    def descriptors(self) -> list[int]:
        """What becomes readable when a worker of this machine ends."""
        return [fd for worker in self._mine if (fd := worker.descriptor()) >= 0] + list(self._watched)

    def tend(self, queued: Mapping[str, int]) -> None:
        """Notice registrations and deaths, rescue jobs, start replacements where jobs are *queued*.

        Raises:
            WorkerStartupError: a worker did not start, ``startup_retries`` times in a row.
        """
        self._note_registrations()
        for worker in [worker for worker in self._mine if not worker.is_alive()]:
            self._bury(worker, queued)
        self._check_startup()
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP
            self._sweep()

    def _note_registrations(self) -> None:
        waiting = [worker for worker in self._mine if worker.worker_id is None]
        if not waiting:
            return
        rows = self._table.list(live=False, batch=self._batch)
        for worker in waiting:
            row = next((row for row in rows if worker.is_row(row)), None)
            if row is not None:
                worker.worker_id = row.id
                self._failures.pop(worker.spawn.type, None)

    def _bury(self, worker: Handle, queued: Mapping[str, int]) -> None:
        """Account for a worker that ended, and replace it while there is work for it."""
        if worker.worker_id is None:
            self._note_registrations()
        self._mine.remove(worker)
        tail, type_ = worker.tail(), worker.spawn.type
        clean = worker.ended_well()
        worker.close()
        if worker.worker_id is not None:
            cause = worker.cause()
            rescued = self._queue.rescue_worker(worker.worker_id, cause, stderr=tail or None)
            ended = self._table.end(worker.worker_id, f"ended: {cause}", dead=True)
            if ended and not self._stopping:
                self._note(f"A {type_} worker died ({_tell(cause)}); " + _rescue_told(rescued))
        if self._stopping:
            return
        if not clean:
            self._failures[type_] = self._failures.get(type_, 0) + 1
        limit = self._settings.workers.startup_retries if worker.worker_id is None else _CRASHES_IN_A_ROW
        if self._failures.get(type_, 0) > limit:
            raise WorkerStartupError(
                f"The {type_} worker did not start ({_tell(worker.cause())}): {_last_line(tail)}",
                f"Its log is {worker.log}. Check the tools with `clx doctor`.",
            )
        if queued.get(type_, 0) > self._living(type_) or worker.worker_id is None:
            self._start(self._needs[type_])

    def _living(self, type_: str) -> int:
        return sum(1 for worker in self._mine if worker.spawn.type == type_)

    def _check_startup(self) -> None:
        limit = self._settings.workers.startup_timeout
        for worker in self._mine:
            if worker.worker_id is None and time.monotonic() - worker.started > limit:
                log.warning("a %s worker did not register within %s s", worker.spawn.type, limit)
                worker.kill()

    def _sweep(self) -> None:
        """Watch the other workers of this machine too, and rescue what silent ones left."""
        mine = {worker.worker_id for worker in self._mine}
        for fd, row in list(self._watched.items()):
            if is_gone(row.identity):
                os.close(fd)
                del self._watched[fd]
        strike_off_dead(self._database, spare=mine)
        known = {row.id for row in self._watched.values()}
        for row in self._table.list():
            if row.id in mine or row.id in known or not is_ours_to_judge(row.identity) or is_gone(row.identity):
                continue
            if hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    self._watched[os.pidfd_open(row.pid)] = row
        self._queue.rescue()

    def counts(self) -> dict[str, int]:
        """Live workers per type that serve this build."""
        pools = {need.pool for need in self._needs.values()}
        found = dict.fromkeys(self._needs, 0)
        for row in self._table.list():
            if row.pool in pools and row.type in found:
                found[row.type] += 1
        return found

    # -- stopping ---------------------------------------------------------------------------------

    def stop(self, *, grace: float) -> None:
        """End the build's own workers: asked first, killed after *grace* seconds. Idempotent."""
        self._stopping = True
        for worker in self._mine:
            worker.terminate()
        deadline = time.monotonic() + grace
        for worker in self._mine:
            if not worker.wait(deadline - time.monotonic()):
                worker.kill()
        for worker in list(self._mine):
            self._bury(worker, {})
        for fd in self._watched:
            os.close(fd)
        self._watched.clear()


def _tell(cause: Mapping[str, object]) -> str:
    return str(cause["signal"]) if cause.get("kind") == "signal" else f"exit code {cause.get('code')}"


def _rescue_told(rescued: list[int]) -> str:
    return f"job {', '.join(map(str, rescued))} is given to another." if rescued else "it had no job."


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "it said nothing"
