"""The local engine with a job table: results of tasks are looked up and kept there, and what is missing runs here."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import msgspec

from clx.db.jobs import Failure, Job, Queue, Success
from clx.db.leases import beat_of
from clx.db.worker_side import DEFAULT_LEASE
from clx.errors import ClxError, LostRunError, RoutineError
from clx.routines.codecs.canonical import Files
from clx.routines.failures import described, wrapped
from clx.routines.here import HereEngine
from clx.routines.performing import arguments_of, call_of, job_of, kept_result, outcome, result_text
from clx.routines.routine import Call, Routine

LOCAL = "local"
"""The pool of calls that the programs which make them do themselves."""
_LOOK_AGAIN = 1.0
"""Seconds until it is looked whether somebody who died has left the job of a twin."""


class KeptEngine(HereEngine):
    """The same, with the results of tasks looked up in a job table, and kept there.

    A task is a job all the same, which this process claims itself: whoever asks for the same meanwhile waits for it.

    Args:
        queue: whose table.
        files: where large values are.
    """

    def __init__(self, queue: Queue, files: Files) -> None:
        self._queue = queue
        self._files = files
        self._heart = _Heart(queue)

    async def run(self, call: Call[Any]) -> Any:
        routine = call.routine
        if not routine.is_task or not routine.options.cache:
            return await super().run(call)
        arguments = arguments_of(call, self._files)
        found = kept_result(self._queue, call, arguments, self._files) if routine.is_cached else None
        if found is not None:
            return found[0]
        return await self._made(routine, self._queue.enqueue(job_of(routine, arguments, LOCAL)))

    def at_once(self, call: Call[Any]) -> tuple[Any] | None:
        """The kept result of a task."""
        if not call.routine.is_cached:
            return None
        return kept_result(self._queue, call, arguments_of(call, self._files), self._files)

    async def _made(self, routine: Routine[..., Any], job_id: int) -> Any:
        """Do the job, or wait for whoever does it."""
        while True:
            for job in self._queue.claim([routine.id], 1, pool=LOCAL):
                value, error = await self._do(routine, job)
                if job.id == job_id:
                    if error is not None:
                        raise error
                    return value
            (now,) = self._queue.get_many([job_id])
            if not now.is_live:
                return outcome(routine, now, self._files)
            self._queue.database.let_go()  # a thread of its own looks meanwhile
            await self._queue.wait_async([job_id], timeout=_LOOK_AGAIN)

    async def _do(self, routine: Routine[..., Any], job: Job) -> tuple[Any, RoutineError | None]:
        """Do one job and report it; returns its value, or what it raised."""
        value, failed = None, None
        with self._heart.beating(job):
            try:
                value = await super().run(call_of(routine, job.payload, self._files))
                text = result_text(routine, value, self._files)
                report: Success | Failure = Success(job.id, job.run, msgspec.Raw(text))
            except Exception as error:
                failed = error if isinstance(error, RoutineError) else wrapped(error, routine.id)
                report = Failure(job.id, job.run, described(failed, routine.id))
            except BaseException:  # Ctrl-C: somebody else may have it
                with suppress(ClxError):
                    self._queue.release(job.id, job.run)
                raise
            self._queue.settle([report])
        return value, failed


class _Heart:
    """Renews the leases of what this process does itself; a thread once there is something."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._held: set[tuple[int, int]] = set()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def beating(self, job: Job) -> _Beating:
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="clx-lease", daemon=True)
            self._thread.start()
        return _Beating(self._held, (job.id, job.run))

    def _beat(self) -> None:
        while True:
            self._changed.wait(beat_of(DEFAULT_LEASE))
            for job_id, run in list(self._held):
                try:
                    self._queue.heartbeat(job_id, run)
                except LostRunError:
                    self._held.discard((job_id, run))
                except ClxError:
                    continue


class _Beating:
    def __init__(self, held: set[tuple[int, int]], key: tuple[int, int]) -> None:
        self._held, self._key = held, key

    def __enter__(self) -> None:
        self._held.add(self._key)

    def __exit__(self, *_exc: object) -> None:
        self._held.discard(self._key)
