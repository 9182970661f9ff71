"""Running the jobs of a build: queue them, keep workers, publish as results arrive, until all have ended."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.course.display import Display, Progress, TypeProgress
from clx.course.plan import PlannedJob
from clx.course.report import FailedOutput
from clx.course.session import Session, SupersededError
from clx.db.batches import BatchTable
from clx.db.database import Database
from clx.db.doorbell import Bell
from clx.db.identity import is_gone, process_identity
from clx.db.jobs import Job, NewJob, Queue
from clx.db.leases import beat_of
from clx.errors import ArtifactMissingError
from clx.jobtypes.registry import JOB_TYPES
from clx.platforms import system
from clx.settings.resolve import Resolved
from clx.workers.executors.docker.containers import mark_ended
from clx.workers.executors.spec import WorkerSpec, images_of
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
    """Runs planned jobs of the course in *root* on workers: those of a session, or its own.

    Attributes:
        absent: those that failed because an artifact was nowhere; no failure of theirs is told.
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
        self._publish: Publish = lambda *_: None
        self._why: Mapping[str, str] = {}
        self._fail_fast = False
        self._failures: list[tuple[PlannedJob, dict[str, Any]]] = []
        self._makes_again = False
        self.absent: list[PlannedJob] = []

    def run(
        self,
        name: str,
        jobs: list[PlannedJob],
        publish: Publish,
        *,
        why: Mapping[str, str],
        fail_fast: bool,
        new_workers: bool,
        makes_again: bool = False,
    ) -> list[tuple[PlannedJob, dict[str, Any]]]:
        """Run *jobs* to their end; returns those that failed with their errors.

        Args:
            why: by label, why each job runs; kept with it for ``clx jobs show``.
            makes_again: whether jobs that lack an artifact are kept in :attr:`absent` instead.

        Raises:
            ToolMissingError: a tool for one of the types is not there; nothing was queued.
            EngineError: the container engine or an image is not there; nothing was queued.
            WorkerStartupError: workers do not start.
        """
        self._publish, self._why, self._fail_fast, self._makes_again = publish, why, fail_fast, makes_again
        specs = self._specs(jobs)
        with self._resolved.blamed():
            require_ready(self._database, images_of(specs), self._settings, self._display.note)
        mark_lost(self._database)  # the silent are judged by sweeps: just now the table may have been locked
        mark_ended(self._database, self._settings.jobs)
        batch = self._batches.open(
            name, host=platform.node(), pid=os.getpid(), identity=process_identity(), lease=self._lease
        )
        if new_workers:
            specs = [msgspec.structs.replace(spec, pool=f"batch:{batch}") for spec in specs]
        with logged(self._database.state.path, self._settings.logging.level, batch=batch):
            self._run(batch, jobs, specs)
        return self._failures

    def _run(self, batch: int, jobs: list[PlannedJob], specs: list[WorkerSpec]) -> None:
        workers = self._workers(batch)
        done = superseded = False
        try:
            with self._database.doorbell.listen("build") as bell:
                workers.require(specs, str(self._resolved.origin("workers.auto_start")))
                outstanding = self._enqueue(batch, jobs, {spec.type: spec.pool for spec in specs})
                # only now: what a killed build had under way goes on for this one
                self._batches.sweep(is_gone, spare=[batch])
                if self._session is not None:
                    self._session.close_given_up()
                self._loop(batch, outstanding, workers, bell)
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
                workers.stop(grace=_STOP_GRACE if not done or self._fail_fast else self._settings.workers.grace_period)

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

    def _specs(self, jobs: list[PlannedJob]) -> list[WorkerSpec]:
        """Only the types the jobs need, never more workers than jobs (REQ-1.1); says which images nobody has named."""
        numbers = self._worth_starting(jobs)
        tools = {job.type: job.tools for job in jobs}
        workers = [self._resolved.worker(type_) for type_ in numbers]
        if own := {w.type: w.image for w in workers if w.mode == "docker" and w.image_origin.kind == "default"}:
            images = ", ".join(str(own[type_]) for type_ in sorted(own))
            self._display.note(f"Workers run in this version's own images: {images}.")
        specs = [spec_of(worker, self._settings, self._database.path, tools[worker.type]) for worker in workers]
        return [msgspec.structs.replace(spec, count=min(spec.count, numbers[spec.type])) for spec in specs]

    def _worth_starting(self, jobs: list[PlannedJob]) -> Counter[str]:
        """For how many workers of each type there is work.

        What of a deck is written as it stands is done sooner than a worker starts: it needs none beside the one that
        runs the deck's code. The workers of a session stay, and so are worth it.
        """
        if self._session is not None:
            return Counter(job.type for job in jobs)
        return Counter(type_ for type_, *_ in {(job.type, job.source, job.payload.get("lang")) for job in jobs})

    def _enqueue(self, batch: int, jobs: list[PlannedJob], pools: dict[str, str]) -> dict[int, PlannedJob]:
        for path, digest in {file for job in jobs for file in job.files}:
            self._store.put_file(self._root / path, digest)
        self._store.share(digest for job in jobs for _, digest in (*job.files, *job.made))
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
        limits = JOB_TYPES[job.type].limits(self._settings)
        return {**job.payload, "files": [*job.files, *job.made], **limits, "why": self._why.get(job.label, "")}

    # -- while ------------------------------------------------------------------------------------

    def _loop(self, batch: int, outstanding: dict[int, PlannedJob], workers: BuildWorkers, bell: Bell) -> None:
        means = {job.type: self._queue.mean_seconds(job.type) for job in outstanding.values()}
        progress = Progress({type_: TypeProgress(type_, mean_seconds=mean) for type_, mean in means.items()})
        for job in outstanding.values():
            progress.types[job.type].queued += 1
        self._display.started(progress)
        next_renewal, next_shown = time.monotonic(), 0.0
        running: set[int] = set()
        while outstanding:
            bell.silence()
            self._collect(outstanding, running, progress)
            if self._failures and self._fail_fast:
                return
            self._stop_if_superseded(batch, outstanding)
            workers.watch({type_: each.queued for type_, each in progress.types.items()})
            if outstanding and self._session is None:  # in a session the next build may need them
                for type_ in progress.types.keys() - {job.type for job in outstanding.values()}:
                    workers.dismiss(type_)
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
                system.wait_readable(waiting, _BEAT if bell.fileno() >= 0 else 0.05)
        self._display.tick(progress)

    def _collect(self, outstanding: dict[int, PlannedJob], running: set[int], progress: Progress) -> None:
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
            else:
                del outstanding[row.id]
                self._ended(row, job, numbers)

    def _ended(self, row: Job, job: PlannedJob, numbers: TypeProgress) -> None:
        refusal = self._publish(job, row.result) if row.state == "succeeded" else None
        if row.state == "succeeded" and refusal is None:
            numbers.done += 1
            seconds = ((row.finished_at or 0) - (row.started_at or 0)) / 1000
            numbers.add_duration(seconds)
            self._display.job_done(job.label, {"job": row.id, "type": row.type, "seconds": seconds})
            return
        error = refusal or row.error or {}
        if self._makes_again and error.get("type") == ArtifactMissingError.__name__:
            self.absent.append(job)
            return
        if row.state == "cancelled":
            error = {"type": "Cancelled", "message": "The job was cancelled.", "next_step": "Build again to run it."}
        numbers.failed += 1
        self._failures.append((job, error))
        self._display.job_failed(FailedOutput(job.type, job.source, job.task, error))
