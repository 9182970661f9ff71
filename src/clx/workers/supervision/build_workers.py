"""The workers of one build: which are needed, which are there, start the difference, watch, stop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from clx import __version__
from clx.commands import on_database
from clx.db.database import Database
from clx.db.workers import WorkerRow
from clx.errors import NoWorkersError, WorkerStartupError
from clx.settings.schema import JobsSettings, Settings
from clx.workers.executors.spec import WorkerSpec
from clx.workers.executors.worker_process import WorkerProcess
from clx.workers.liveness import is_heard, is_serving
from clx.workers.supervision.service_state import state_of, supervisor_lives
from clx.workers.supervision.worker_group import WorkerGroup, start_failure

_REPLACED_IN = 4.0  # seconds a supervisor takes to replace a worker that had not died before


class BuildWorkers(WorkerGroup):
    """Workers that live as long as a build does, or a session of several, which has no batch."""

    def __init__(self, database: Database, settings: Settings, batch: int | None, note: Callable[[str], None]) -> None:
        super().__init__(database, settings, note, batch=batch)
        self._specs: dict[str, WorkerSpec] = {}
        self._auto_start_source = "default"
        self._failures: Counter[str] = Counter()
        self._queued: Mapping[str, int] = {}
        self._missing_since: dict[str, float] = {}
        self._dismissed: list[WorkerProcess] = []

    # -- starting ---------------------------------------------------------------------------------

    def require(self, specs: Iterable[WorkerSpec], auto_start_source: str) -> None:
        """Have at least these workers, counting healthy services of the same pool.

        Args:
            auto_start_source: where it was set whether a build may start workers.

        Raises:
            NoWorkersError: a type has none and none may be started.
        """
        self._specs, self._failures = {spec.type: spec for spec in specs}, Counter()
        self._auto_start_source = auto_start_source
        if told := passed_by(self.table.list(), self._specs.values(), self.settings.jobs, self.database.path):
            self.note(told)
        for spec in self._specs.values():
            serving = self._serving(spec)
            if serving:
                names = ", ".join(f"#{row.id}" for row in serving)
                self.note(f"Using {len(serving)} running {spec.type} worker(s): {names}.")
            self._start_missing(spec, len(serving))

    def _start_missing(self, spec: WorkerSpec, serving: int) -> None:
        """Start what *serving* and the build's own workers leave to be wanted."""
        there = serving + len(self.of(spec.type, spec.pool))
        if there == 0 and spec.count == 0:
            raise NoWorkersError(
                f"The course needs {spec.type} workers, but their number is set to 0 ({spec.config_source}) "
                f"and none is running{self._others(spec)}.",
                f"Raise it: --{spec.type}-workers 1; or start one: {self._by_hand(spec)}",
            )
        if not self.settings.workers.auto_start:
            if there == 0:
                raise NoWorkersError(
                    f"No {spec.type} worker is running{self._others(spec)}, and none may be started "
                    f"(workers.auto_start is off: {self._auto_start_source}).",
                    f"Start one: {self._by_hand(spec)}",
                )
            return
        for _ in range(spec.count - there):
            self.start(spec)

    def _by_hand(self, spec: WorkerSpec) -> str:
        mode = f" --workers {spec.mode}" if spec.mode_source.startswith("--") else ""
        command = on_database("clx start-services", self.database.path)
        return f"{command} --{spec.type}-workers {max(1, spec.count)}{mode}"

    def _others(self, spec: WorkerSpec) -> str:
        """Workers of the type that do run and do not count, each with the reason; empty when there are none."""
        rows = [row for row in self.table.list() if row.type == spec.type and not row.is_gone()]
        now = self.database.clock.now()
        told = _told((why_not(row, spec, self.settings.jobs, now), f"#{row.id}") for row in rows)
        return f" that this build can use ({told})" if told else ""

    def _serving(self, spec: WorkerSpec) -> list[WorkerRow]:
        """Workers that somebody else keeps and that would take the jobs (REQ-5.2)."""
        mine, now, jobs = {worker.worker_id for worker in self.members}, self.database.clock.now(), self.settings.jobs
        return [
            row
            for row in self.table.list()
            if row.key == spec.key and row.batch_id is None and row.id not in mine and is_serving(row, now, jobs)
        ]

    # -- watching ---------------------------------------------------------------------------------

    def dismiss(self, type_: str) -> None:
        """Have the build's own workers of a type end that has no more jobs: their browser or JVM goes now, not last."""
        for worker in self.of(type_):
            if worker.worker_id is not None and worker not in self._dismissed:
                self._dismissed.append(worker)
                self.table.request_stop(worker.worker_id, "no longer needed", grace=0)
                worker.terminate()

    def watch(self, queued: Mapping[str, int]) -> None:
        """Tend the workers; replace those that ended where jobs are *queued* (per type).

        Raises:
            WorkerStartupError: a worker did not start, ``startup_retries`` times in a row.
            NoWorkersError: the services that the build relied on are gone and it may start none.
        """
        self._queued = queued
        self.tend()

    def ended(self, worker: WorkerProcess, _cause: Mapping[str, object], *, well: bool, tail: str) -> None:
        """Replace it while there is work for it; give up on a type whose workers end before their first job."""
        type_ = worker.spawn.type
        if self.had_jobs(worker):
            self._failures.pop(type_, None)
        elif not well:
            self._failures[type_] += 1
        if self._failures[type_] > self.settings.workers.startup_retries:
            raise WorkerStartupError(*start_failure(worker, tail))
        if self._queued.get(type_, 0) > len(self.of(type_)) or worker.worker_id is None:
            self.start(self._specs[type_])

    def sweep(self) -> None:
        """Look after everybody; take over where services have ended in the middle of the build."""
        super().sweep()
        for spec in self._specs.values():
            if self.of(spec.type, spec.pool) or self._serving(spec):
                self._missing_since.pop(spec.type, None)
            elif self._queued.get(spec.type, 0) and not self._is_being_replaced(spec):
                self._start_missing(spec, 0)

    def _is_being_replaced(self, spec: WorkerSpec) -> bool:
        """Whether the services' supervisor is about to start another worker; it is given a moment for that."""
        since = self._missing_since.setdefault(spec.type, time.monotonic())
        if time.monotonic() - since > _REPLACED_IN:
            return False
        state = state_of(self.database.path)
        return (
            state is not None
            and state.grace is None  # nobody has asked for the end of the services
            and any(each.pool == spec.pool and each.count for each in state.wanted)
            and supervisor_lives(state)
        )

    def counts(self) -> dict[str, int]:
        """Live workers per type that serve this build."""
        pools = {spec.pool for spec in self._specs.values()}
        found = dict.fromkeys(self._specs, 0)
        for row in self.table.list():
            if row.pool in pools and row.type in found:
                found[row.type] += 1
        return found


def passed_by(rows: Iterable[WorkerRow], specs: Iterable[WorkerSpec], jobs: JobsSettings, database: Path) -> str:
    """One line on services that were started for such builds and are not used any more; empty when there are none."""
    wanted = {spec.type: spec for spec in specs if not spec.pool.startswith("batch:")}
    reasons: list[tuple[str, str]] = []
    for row in rows:
        spec = wanted.get(row.type)
        if spec is None or row.service is None or row.pool == spec.pool or row.is_gone():
            continue
        if row.mode == spec.mode and (row.image == spec.image or row.version != __version__):
            reasons.append((why_not(row, spec, jobs), f"#{row.id} ({row.type})"))
    return f"Running services are not used: {_told(reasons)}. For new ones type: {anew(database)}" if reasons else ""


def _told(reasons: Iterable[tuple[str, str]]) -> str:
    """Each reason once, with all that it holds for."""
    names: dict[str, list[str]] = {}
    for why, name in reasons:
        names.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())


def anew(path: Path) -> str:
    """What to type to have the services of a database started anew."""
    return f"{on_database('clx stop-services', path)} && {on_database('clx start-services', path)}"


def why_not(row: WorkerRow, spec: WorkerSpec, jobs: JobsSettings | None = None, now: int = 0) -> str:
    """Why a worker that runs would not take the jobs that *spec* is for.

    Args:
        jobs: how long it may be silent; None: its silence does not matter.
        now: milliseconds UTC by the clock of its table.
    """
    if spec.pool.startswith("batch:"):
        return "the build wants new ones (--force-new-workers)"
    if row.batch_id is not None:
        return f"it ends with build {row.batch_id}"
    if row.mode != spec.mode:
        return f"it runs in {row.mode} mode, the build wants {spec.mode}"
    if row.image != spec.image:
        return f"its image is {row.image}, the build wants {spec.image}"
    if row.version != __version__:
        return f"it is of version {row.version}, the build of {__version__}"
    if row.pool != spec.pool and row.elsewhere_too:
        return f"its tools, packages or artifacts, on {row.host}, are other ones"
    if row.pool != spec.pool:
        return "its tools or packages are other ones" if row.image is None else "its image has been made anew since"
    if jobs is not None and not is_heard(row, now, jobs):
        return "it is silent"
    return f"it is {row.state}"
