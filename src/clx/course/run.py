"""Running the jobs of a build: queue them, keep workers, publish as results arrive, until all have ended."""

from __future__ import annotations

import os
import platform
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.course.display import Display, Progress, TypeProgress
from clx.course.plan import PlannedJob
from clx.course.report import Failure
from clx.course.session import Session, SupersededError
from clx.db.batches import BatchTable
from clx.db.doorbell import Bell
from clx.db.identity import is_gone, process_identity
from clx.db.jobs import Job, NewJob, Queue
from clx.db.leases import beat_of
from clx.db.sqlite.database import Database
from clx.jobtypes.registry import pool_name
from clx.settings.resolve import Resolved
from clx.workers.executors.docker.containers import mark_ended
from clx.workers.executors.spec import WorkerSpec
from clx.workers.liveness import mark_lost
from clx.workers.logs import logged
from clx.workers.process.seal import sealed
from clx.workers.supervision.build_workers import BuildWorkers
from clx.workers.supervision.checks import require_ready, settings_for
from clx.workers.supervision.configured_workers import spec_of

_BEAT = 0.5
_SHOWN_EVERY = 0.1
_STOP_GRACE = 2.0

Publish = Callable[[PlannedJob, dict[str, Any]], dict[str, Any] | None]
"""Publishes the result of a job; returns the error for which it may not be published."""


class JobRunner:
    """Runs planned jobs on workers.

    Args:
        database: the job table.
        resolved: settings with their origins.
        store: where inputs go and outputs come from.
        root: the course root.
        display: is told what happens.
        session: what several builds share; None for a build of its own.
    """

    def __init__(
        self,
        database: Database,
        resolved: Resolved,
        store: ArtifactStore,
        root: Path,
        display: Display,
        session: Session | None = None,
    ) -> None:
        self._database = database
        self._resolved = resolved
        self._settings = settings_for(resolved, database.path)
        self._store = store
        self._root = root
        self._display = display
        self._session = session
        self._queue = Queue(database)
        self._batches = BatchTable(database)
        self._lease = int(resolved.settings.jobs.lease * 1000)
        self._why: Mapping[str, str] = {}
        self._failures: list[tuple[PlannedJob, dict[str, Any]]] = []

    def run(
        self,
        name: str,
        jobs: list[PlannedJob],
        publish: Publish,
        *,
        why: Mapping[str, str],
        fail_fast: bool,
        new_workers: bool,
    ) -> list[tuple[PlannedJob, dict[str, Any]]]:
        """Run *jobs* to their end; returns those that failed with their errors.

        Args:
            why: by label, why each job runs; kept with it for ``clx jobs show``.

        Raises:
            ToolMissingError: a tool for one of the types is not there; nothing was queued.
            EngineError: the container engine or an image is not there; nothing was queued.
            WorkerStartupError: workers do not start.
        """
        self._why = why
        with self._resolved.blamed():
            require_ready(self._database, self._images(jobs), self._settings, self._display.note)
        mark_lost(self._database)  # the silent are judged by sweeps: just now the table may have been locked
        mark_ended(self._database, self._settings.jobs)
        batch = self._batches.open(
            name, host=platform.node(), pid=os.getpid(), identity=process_identity(), lease=self._lease
        )
        with logged(self._database.state_dir, self._settings.logging.level, batch=batch):
            self._run(batch, jobs, publish, fail_fast=fail_fast, new_workers=new_workers)
        return self._failures

    def _run(self, batch: int, jobs: list[PlannedJob], publish: Publish, *, fail_fast: bool, new_workers: bool) -> None:
        workers = self._workers(batch)
        done = superseded = False
        try:
            with self._database.doorbell.listen("build") as bell:
                pools = self._pools(jobs, f"batch:{batch}" if new_workers else None)
                workers.require(self._needs(jobs, pools), str(self._resolved.origin("workers.auto_start")))
                outstanding = self._enqueue(batch, jobs, pools)
                self._batches.sweep(
                    is_gone, spare=[batch]
                )  # only now: what a killed build had under way goes on for this one
                if self._session is not None:
                    self._session.close_given_up()
                self._loop(batch, outstanding, workers, bell, publish, fail_fast=fail_fast)
            done = True
        except SupersededError:
            superseded = True
            raise
        finally:
            if superseded and self._session is not None:
                self._session.give_up(batch)
            else:
                self._batches.close(batch, abandoned=not done)
            if self._session is None:
                workers.stop(grace=_STOP_GRACE if not done or fail_fast else self._settings.workers.grace_period)

    def _workers(self, batch: int) -> BuildWorkers:
        if self._session is not None:
            return self._session.workers(self._database, self._settings, self._display.note)
        return BuildWorkers(self._database, self._settings, batch, self._display.note)

    def _stop_if_superseded(self, batch: int, outstanding: dict[int, PlannedJob]) -> None:
        """Give the build up when its sources have changed; what the edit made pointless is cancelled at once."""
        pointless = self._session.pointless(outstanding.values()) if self._session is not None else None
        if pointless is not None:
            keys = {job.key for job in pointless}
            self._batches.cancel(batch, [id_ for id_, job in outstanding.items() if job.key in keys])
            raise SupersededError("The sources have changed: building again.")

    # -- before -----------------------------------------------------------------------------------

    def _images(self, jobs: list[PlannedJob]) -> dict[str, str | None]:
        """Container image per job type, None for subprocesses; says which images nobody has named."""
        workers = [self._resolved.worker(type_) for type_ in sorted({job.type for job in jobs})]
        own = [each.image for each in workers if each.mode == "docker" and each.image_origin.kind == "default"]
        if own:
            self._display.note(f"Workers run in this version's own images: {', '.join(map(str, own))}.")
        return {worker.type: worker.image if worker.mode == "docker" else None for worker in workers}

    def _pools(self, jobs: list[PlannedJob], own: str | None) -> dict[str, str]:
        return {
            job.type: own or pool_name(self._resolved.worker(job.type).mode, job.tools)
            for job in {job.type: job for job in jobs}.values()
        }

    def _needs(self, jobs: list[PlannedJob], pools: dict[str, str]) -> list[WorkerSpec]:
        """Only the types the jobs need, never more workers than jobs (REQ-1.1)."""
        needs = []
        tools = {job.type: job.tools for job in jobs}
        for type_, pool in pools.items():
            worker = self._resolved.worker(type_)
            count = min(worker.count, sum(1 for job in jobs if job.type == type_))
            spec = spec_of(worker, self._settings, tools[type_])
            needs.append(msgspec.structs.replace(spec, count=count, pool=pool))
        return needs

    def _enqueue(self, batch: int, jobs: list[PlannedJob], pools: dict[str, str]) -> dict[int, PlannedJob]:
        for path, digest in {file for job in jobs for file in job.files}:
            self._store.put_file(self._root / path, digest)
        timeout = int(self._settings.jobs.timeout * 1000)
        new = [
            NewJob(
                job.type,
                sealed(self._database, job.type, pools[job.type], self._payload(job)),
                pool=pools[job.type],
                key=job.key,
                priority=job.priority,
                max_runs=self._settings.jobs.max_runs,
                timeout=timeout,
            )
            for job in jobs
        ]
        return dict(zip(self._queue.enqueue_many(new, batch=batch), jobs, strict=True))

    def _payload(self, job: PlannedJob) -> dict[str, Any]:
        """With what does not change a job's result, and so is no part of its key: a bound, and why it runs."""
        limits = {"cell_timeout": self._settings.notebook.cell_timeout} if job.type == "notebook" else {}
        return {**job.payload, "files": job.files, **limits, "why": self._why.get(job.label, "")}

    # -- while ------------------------------------------------------------------------------------

    def _loop(
        self,
        batch: int,
        outstanding: dict[int, PlannedJob],
        workers: BuildWorkers,
        bell: Bell,
        publish: Publish,
        *,
        fail_fast: bool,
    ) -> None:
        means = {job.type: self._queue.mean_seconds(job.type) for job in outstanding.values()}
        progress = Progress({type_: TypeProgress(type_, mean_seconds=mean) for type_, mean in means.items()})
        for job in outstanding.values():
            progress.types[job.type].queued += 1
        self._display.started(progress)
        next_renewal, next_shown = time.monotonic(), 0.0
        running: set[int] = set()
        while outstanding:
            bell.silence()
            self._collect(outstanding, running, progress, publish)
            if self._failures and fail_fast:
                return
            self._stop_if_superseded(batch, outstanding)
            workers.watch({type_: each.queued for type_, each in progress.types.items()})
            now = time.monotonic()
            if now >= next_renewal:
                next_renewal = now + beat_of(self._lease)
                self._batches.renew(batch, lease=self._lease)
            if now >= next_shown:
                next_shown = now + _SHOWN_EVERY
                for type_, count in workers.counts().items():
                    progress.types[type_].workers = count
                self._display.tick(progress)
            if outstanding:
                waiting = [*workers.descriptors(), *([bell.fileno()] if bell.fileno() >= 0 else [])]
                select.select(waiting, [], [], _BEAT if bell.fileno() >= 0 else 0.05)
        self._display.tick(progress)

    def _collect(
        self, outstanding: dict[int, PlannedJob], running: set[int], progress: Progress, publish: Publish
    ) -> None:
        """Take note of every job whose state has changed."""
        for row in self._queue.get_changed(list(outstanding), running):
            job, numbers = outstanding[row.id], progress.types[row.type]
            if row.state == "running":
                running.add(row.id)
                numbers.queued, numbers.running = numbers.queued - 1, numbers.running + 1
                self._display.job_started(job.label, {"job": row.id, "type": row.type, "worker": row.worker_id})
                continue
            if row.id in running:
                running.discard(row.id)
                numbers.running -= 1
            else:
                numbers.queued -= 1
            if row.state == "queued":
                numbers.queued += 1
                continue
            del outstanding[row.id]
            self._ended(row, job, numbers, publish)

    def _ended(self, row: Job, job: PlannedJob, numbers: TypeProgress, publish: Publish) -> None:
        refusal = publish(job, row.result) if row.state == "succeeded" else None
        if row.state == "succeeded" and refusal is None:
            numbers.done += 1
            seconds = ((row.finished_at or 0) - (row.started_at or 0)) / 1000
            numbers.add_duration(seconds)
            fields = {"job": row.id, "type": row.type, "seconds": seconds}
            self._display.job_done(job.label, fields)
            return
        error = refusal or row.error or {}
        if row.state == "cancelled":
            error = {"type": "Cancelled", "message": "The job was cancelled.", "next_step": "Build again to run it."}
        numbers.failed += 1
        self._failures.append((job, error))
        self._display.job_failed(Failure(job.type, job.source, job.task, error))
