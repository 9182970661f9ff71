"""``Client``: a queue by the server of another machine, with the verbs, values and errors of ``Queue``."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from clx import __version__
from clx.db.durations import Milliseconds, Seconds, in_ms, in_seconds
from clx.db.models import (
    Job,
    JobState,
    NewJob,
    OnConflict,
    Report,
    Settled,
    Success,
    check_reports,
    new_jobs,
    result_of,
)
from clx.db.queries import LimitState, Paused
from clx.db.validation import check_choice, check_claim, check_id, check_ids, check_keys, check_limit, check_timeout
from clx.errors import LostRunError, QueueError, UnknownJobError
from clx.remote.connection import Connection
from clx.remote.documents import job_document, job_of
from clx.remote.schedules import RemoteSchedules

if TYPE_CHECKING:
    from clx.db.retention import Pruned

_LONGEST_WAIT = 60
"""Seconds that one call waits; who waits longer calls again."""
_AT_ONCE = 10_000
"""Ids and keys that one call names."""
_ON_CONFLICT = ("return", "raise", "replace", "after")
_Ids = msgspec.defstruct("_Ids", [("ids", list[int])])
_Id = msgspec.defstruct("_Id", [("id", int)])
_Jobs = msgspec.defstruct("_Jobs", [("jobs", list[dict[str, Any]])])


class Client:
    """The jobs of one server. Usable from several threads at once.

    It has no ``sql`` and no ``backup``: these are for who has the database at hand.

    Args:
        url: its address, ``http://HOST:PORT``.
        token: what it is shown; None: the variable ``CLX_TOKEN``.
        ca_file: a certificate to trust, where the server's own is not known to the system.
        insecure: whether the token may go unencrypted to another machine.

    Raises:
        UsageError: *url* is no such address, or the token would be read on the way.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        insecure: bool = False,
    ) -> None:
        self._connection = Connection(url, token, ca_file=ca_file, insecure=insecure)
        self._call = self._connection.call
        self._worker: int | None = None

    def close(self) -> None:
        """Hand back what :meth:`claim` took and nobody reported, and close the connections."""
        try:
            if self._worker is not None:
                self._call("DELETE", f"/workers/{self._worker}", dict[str, bool])
        finally:
            self._worker = None
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self.close()

    # -- putting in -----------------------------------------------------------------------------------

    def enqueue(self, job: NewJob, *, on_conflict: OnConflict = "return") -> int:
        """As :meth:`clx.db.jobs.Queue.enqueue`. Not sent again by itself where the answer was lost: give a key."""
        check_choice("on_conflict", on_conflict, _ON_CONFLICT)
        if not isinstance(job, NewJob):
            raise QueueError("A job goes in as a NewJob.", 'Write NewJob("type", {…}); enqueue_many takes several.')
        made = self._call("POST", "/jobs", _Id, body=job_document(job) | _unless("on_conflict", on_conflict, "return"))
        return int(made.id)

    def enqueue_many(
        self, jobs: Iterable[NewJob], *, batch: int | None = None, on_conflict: OnConflict = "return"
    ) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.enqueue_many`; at most 10,000 jobs, for they go in together."""
        check_choice("on_conflict", on_conflict, _ON_CONFLICT)
        body = {"jobs": [job_document(job) for job in new_jobs(jobs)], "batch": batch, "on_conflict": on_conflict}
        return list(self._call("POST", "/jobs/many", _Ids, body=body).ids)

    def enqueue_batch(self, jobs: Iterable[NewJob], callback: NewJob, *, name: str = "") -> tuple[int, list[int]]:
        """As :meth:`clx.db.jobs.Queue.enqueue_batch`."""
        body = {"jobs": [job_document(job) for job in new_jobs(jobs)], "callback": job_document(callback), "name": name}
        made = self._call("POST", "/batches", dict[str, Any], body=body)
        return made["batch"], made["ids"]

    # -- looking --------------------------------------------------------------------------------------

    def get(self, job_id: int) -> Job | None:
        """As :meth:`clx.db.jobs.Queue.get`."""
        check_id(job_id)
        try:
            return job_of(self._call("GET", f"/jobs/{job_id}", dict[str, Any])) if job_id > 0 else None
        except UnknownJobError:
            return None

    def get_many(self, job_ids: Sequence[int]) -> list[Job]:
        """As :meth:`clx.db.jobs.Queue.get_many`."""
        check_ids(job_ids)
        return [job for part in _parts(job_ids) for job in self._jobs("POST", "/jobs/get", body={"ids": part})]

    def search(
        self,
        *,
        type: str | None = None,  # noqa: A002
        pool: str | None = None,
        state: JobState | Collection[JobState] | None = None,
        key: str | None = None,
        batch: int | None = None,
        worker: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """As :meth:`clx.db.jobs.Queue.search`."""
        check_limit(limit)
        states = None if state is None else [state] if isinstance(state, str) else list(state)
        if states == []:
            return []
        query = {"type": type, "pool": pool, "state": states, "key": key, "batch": batch, "worker": worker}
        found: list[Job] = []
        while len(found) < limit:
            size = min(limit - len(found), _AT_ONCE)
            page = self._jobs("GET", "/jobs", query={**query, "before": before, "limit": size})
            found += page
            if len(page) < size:
                break
            before = page[-1].id
        return found

    def runs(self, job_id: int) -> list[dict[str, Any]]:
        """As :meth:`clx.db.jobs.Queue.runs`."""
        return list(self._history(job_id, "runs"))

    def needs(self, job_id: int) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.needs`."""
        return list(self._history(job_id, "needs"))

    def _history(self, job_id: int, what: str) -> Any:
        try:
            return self._call("GET", f"/jobs/{job_id}/runs", dict[str, Any])[what]
        except UnknownJobError:
            return []

    def stats(self, types: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
        """As :meth:`clx.db.jobs.Queue.stats`."""
        found: dict[str, dict[str, int]] = self._call("GET", "/stats", dict[str, Any])["types"]
        return {type_: {} for type_ in types or ()} | found

    def results(self, keys: Sequence[str], *, type: str | None = None) -> dict[str, Any]:  # noqa: A002
        """As :meth:`clx.db.jobs.Queue.results`."""
        check_keys(keys)
        found: dict[str, Any] = {}
        for part in _parts(keys):
            body = {"keys": part, "type": type}
            found |= self._call("POST", "/results", dict[str, Any], body=body)["results"]
        return found

    def result(self, job_id: int, timeout: Seconds | None = None) -> Any:
        """As :meth:`clx.db.jobs.Queue.result`."""
        check_id(job_id)
        found = self.wait([job_id], timeout=timeout)
        return result_of(job_id, found[0] if found else None)

    def wait(self, job_ids: Sequence[int], *, timeout: Seconds | None = None) -> list[Job]:
        """As :meth:`clx.db.jobs.Queue.wait`; one call lasts a minute at most, and is followed by another."""
        check_ids(job_ids)
        timeout = in_seconds(timeout)
        check_timeout(timeout)
        ends_at = None if timeout is None else time.monotonic() + timeout
        for part in _parts(job_ids):
            live: list[int] = part
            while live:
                left = _LONGEST_WAIT if ends_at is None else min(_LONGEST_WAIT, max(0.0, ends_at - time.monotonic()))
                body = {"ids": live, "timeout": left}
                live = [job.id for job in self._jobs("POST", "/jobs/wait", body=body, wait=left) if job.is_live]
                if ends_at is not None and time.monotonic() >= ends_at:
                    break
        return self.get_many(job_ids)

    # -- changing -------------------------------------------------------------------------------------

    def cancel(self, job_ids: Sequence[int]) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.cancel`."""
        return self._change("/jobs/cancel", job_ids)

    def retry(self, job_ids: Sequence[int]) -> list[int]:
        """As :meth:`clx.db.jobs.Queue.retry`; 10,000 at a time, each of which is all or none."""
        return self._change("/jobs/retry", job_ids)

    def pause(self, type: str, pool: str = "") -> bool:  # noqa: A002
        """As :meth:`clx.db.jobs.Queue.pause`."""
        return bool(self._call("POST", "/pause", dict[str, bool], body={"type": type, "pool": pool})["changed"])

    def resume(self, type: str, pool: str = "") -> bool:  # noqa: A002
        """As :meth:`clx.db.jobs.Queue.resume`."""
        return bool(self._call("POST", "/resume", dict[str, bool], body={"type": type, "pool": pool})["changed"])

    def paused(self) -> list[Paused]:
        """As :meth:`clx.db.jobs.Queue.paused`."""
        return [Paused(**each) for each in self._call("GET", "/paused", dict[str, Any])["paused"]]

    def set_limit(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: Milliseconds | None = None,
    ) -> None:
        """As :meth:`clx.db.jobs.Queue.set_limit`."""
        body = {"name": name, "concurrency": concurrency, "rate": rate, "per": in_ms(per)}
        self._call("POST", "/limits", dict[str, bool], body=body)

    def limits(self) -> list[LimitState]:
        """As :meth:`clx.db.jobs.Queue.limits`."""
        return [LimitState(**each) for each in self._call("GET", "/limits", dict[str, Any])["limits"]]

    def prune(self, **days: float | timedelta) -> Pruned:
        """As :meth:`clx.db.jobs.Queue.prune`: needs a token of the role admin. Calls until all is done."""
        from clx.db.retention import Policy, Pruned

        kept = asdict(Policy.of(days))
        body: dict[str, Any] = {name: kept[name] for name in days}
        removed = Pruned()
        while True:
            done = self._call("POST", "/prune", dict[str, Any], body=body)
            body["after"] = done.pop("after")
            removed = Pruned(**{name: done[name] + count for name, count in asdict(removed).items()})
            if body["after"] is None:
                return removed

    def _change(self, path: str, job_ids: Sequence[int]) -> list[int]:
        check_ids(job_ids)
        return [id_ for part in _parts(job_ids) for id_ in self._call("POST", path, _Ids, body={"ids": part}).ids]

    @property
    def schedules(self) -> RemoteSchedules:
        """As :attr:`clx.db.jobs.Queue.schedules`, but for ``counts`` and ``fire_due``."""
        return RemoteSchedules(self._connection)

    # -- a worker's side ------------------------------------------------------------------------------

    def claim(
        self,
        types: Sequence[str],
        n: int = 1,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: Milliseconds = 30_000,
    ) -> list[Job]:
        """As :meth:`clx.db.jobs.Queue.claim`; the first one registers this process as a worker there."""
        return self.settle((), types, n, worker=worker, pool=pool, lease=lease).claimed

    def settle(
        self,
        reports: Sequence[Report],
        types: Sequence[str] = (),
        n: int = 0,
        *,
        worker: int | None = None,
        pool: str = "",
        lease: Milliseconds = 30_000,
    ) -> Settled:
        """As :meth:`clx.db.jobs.Queue.settle`."""
        lease = in_ms(lease)
        check_claim(types, n, lease, pool)
        told = [_report(each) for each in check_reports(reports)]
        worker = self._me(types, pool) if worker is None else worker
        body = {"worker": worker, "reports": told, "types": list(types), "n": n, "pool": pool, "lease": lease}
        done = self._call("POST", "/settle", dict[str, Any], body=body)
        lost = {(job_id, run) for job_id, run in done["lost"]}
        return Settled(
            [job_of(each) for each in done["jobs"]], [each for each in reports if (each.job_id, each.run) in lost]
        )

    def finish(self, job_id: int, run: int, result: Any = None, *, peak_memory: int | None = None) -> None:
        """As :meth:`clx.db.jobs.Queue.finish`."""
        if self.settle([Success(job_id, run, result, peak_memory)]).lost:
            raise _lost(job_id, run)

    def release(self, job_id: int, run: int, *, delay: Milliseconds = 0) -> None:
        """As :meth:`clx.db.jobs.Queue.release`."""
        body = {"run": run, "delay": in_ms(delay)}
        if not self._call("POST", f"/jobs/{job_id}/release", dict[str, bool], body=body)["changed"]:
            raise _lost(job_id, run)

    def heartbeat(
        self, job_id: int, run: int, *, lease: Milliseconds | None = None, progress: Any = None
    ) -> Literal["go on", "cancel"]:
        """As :meth:`clx.db.jobs.Queue.heartbeat`."""
        body = {"run": run, "lease": in_ms(lease), "progress": progress}
        answer = self._call("POST", f"/jobs/{job_id}/heartbeat", dict[str, str], body=body)["answer"]
        return "cancel" if answer == "cancel" else "go on"

    def _me(self, types: Sequence[str], pool: str) -> int:
        if self._worker is None:
            import platform

            told = {"type": ",".join(types) or "any", "pool": pool, "host": platform.node(), "pid": os.getpid()}
            made = self._call("POST", "/workers", _Id, body={**told, "version": __version__})
            self._worker = int(made.id)
        return self._worker

    def _jobs(self, method: str, path: str, **more: Any) -> list[Job]:
        return [job_of(each) for each in self._call(method, path, _Jobs, **more).jobs]


def _lost(job_id: int, run: int) -> LostRunError:
    return LostRunError(f"Run {run} of job {job_id} is no longer this worker's; its report was not taken.")


def _unless(name: str, value: Any, usual: Any) -> dict[str, Any]:
    return {} if value == usual else {name: value}


def _report(report: Report) -> dict[str, Any]:
    outcome = "success" if isinstance(report, Success) else "failure"
    told = {field.name: getattr(report, field.name) for field in fields(report)}
    return {"outcome": outcome, **told}


def _parts(values: Collection[Any]) -> Iterator[list[Any]]:
    """*values* in parts that one call takes."""
    listed = list(dict.fromkeys(values))
    for first in range(0, len(listed), _AT_ONCE):
        yield listed[first : first + _AT_ONCE]
