"""The queue: jobs go in, are claimed under a lease, and finish under a fence.

Rules (design §3), each held by a test:

* a job is in the table when :meth:`Queue.enqueue` returned;
* every report of a worker is fenced by ``id AND run AND state = 'running'``;
* every claimed run ends in exactly one ``runs`` row;
* a rescue repeats its predicate in the UPDATE and counts the run;
* time is a parameter of every statement that compares times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from clx.db.clock import now_ms
from clx.db.database import Database
from clx.errors import LostRunError

OnConflict = Literal["raise", "return"]
NO_DEADLINE = 9223372036854775807
_CLAIMED_LAST = 100  # added to the rank of a job that killed its worker twice

_encode = msgspec.json.encode
_decode = msgspec.json.decode

_COLUMNS = (
    "id, type, pool, state, priority, payload, key, run, released, kills, max_runs, not_before, deadline, timeout, "
    "lease_until, worker_id, cancel_requested, progress, result, error, created_at, started_at, finished_at"
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be.

    Attributes:
        type: which kind of worker does it.
        payload: its options, JSON-serialisable.
        pool: which workers may take it.
        key: digest of everything the result depends on; one live job per pool and key.
        priority: 1 to 5, 5 first.
        max_runs: runs it gets before it is failed.
        not_before: earliest claim, milliseconds UTC.
        deadline: jobs with an earlier one are claimed first, milliseconds UTC.
        timeout: milliseconds one run may take.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    pool: str = ""
    key: str | None = None
    priority: int = 3
    max_runs: int = 3
    not_before: int = 0
    deadline: int | None = None
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the job table; times in milliseconds UTC, ``timeout`` in milliseconds."""

    id: int
    type: str
    pool: str
    state: str
    priority: int
    payload: dict[str, Any]
    key: str | None
    run: int
    released: int
    kills: int
    max_runs: int
    not_before: int
    deadline: int | None
    timeout: int | None
    lease_until: int | None
    worker_id: int | None
    cancel_requested: bool
    progress: Any
    result: Any
    error: dict[str, Any] | None
    created_at: int
    started_at: int | None
    finished_at: int | None

    @property
    def is_live(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in {"queued", "running"}


def _job(row: Sequence[Any]) -> Job:
    values = list(row)
    values[5] = _decode(row[5])
    values[12] = None if row[12] == NO_DEADLINE else row[12]
    values[16] = bool(row[16])
    for index in (17, 18, 19):
        values[index] = None if row[index] is None else _decode(row[index])
    return Job(*values)


class JobExistsError(LookupError):
    """A live job with this key exists already; ``job_id`` names it."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} with the same key is queued or running")
        self.job_id = job_id


_INSERT = (
    "INSERT INTO jobs (type, pool, priority, claim_rank, payload, key, max_runs, ready, not_before, deadline, "
    "timeout, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
_LIVE_BY_KEY = "SELECT id FROM jobs WHERE pool = ? AND key = ? AND state IN ('queued', 'running')"
_PROMOTE = "UPDATE jobs SET ready = 1 WHERE state = 'queued' AND ready = 0 AND not_before <= ?"
_CLAIM = f"""
UPDATE jobs SET state = 'running', run = run + 1, worker_id = :worker, lease_until = :until, started_at = :now,
  cancel_requested = 0, progress = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' AND ready = 1 AND pool = :pool AND type = :type
             ORDER BY claim_rank, deadline, id LIMIT :n)
RETURNING {_COLUMNS}"""
_FENCED = "id = :id AND run = :run AND state = 'running'"
_SUCCEED = f"""
UPDATE jobs SET state = 'succeeded', lease_until = NULL, finished_at = :now, result = :result, error = NULL
WHERE {_FENCED} RETURNING worker_id, started_at, key, type"""
_REQUEUE_SET = (
    "state = 'queued', lease_until = NULL, worker_id = NULL, started_at = NULL, progress = NULL, cancel_requested = 0"
)
_RECORD = (
    "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome, error, cause, stderr, peak_memory) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_RUNNING = "SELECT worker_id, started_at, run, released, kills, max_runs, type FROM jobs WHERE "


class Queue:
    """The jobs of one database.

    Args:
        database: an open :class:`~clx.db.database.Database`.

    Every method that compares or stores times takes ``now`` (milliseconds UTC); left out, it is the
    system's clock.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- putting in -------------------------------------------------------------------------------

    def enqueue(self, job: NewJob, *, on_conflict: OnConflict = "return", now: int | None = None) -> int:
        """Store *job* and wake a worker. The job is in the table when this returns.

        Returns:
            Its id; with ``on_conflict="return"`` the id of the live job that has its key already.

        Raises:
            JobExistsError: such a job exists and ``on_conflict="raise"``.
        """
        return self.enqueue_many([job], on_conflict=on_conflict, now=now)[0]

    def enqueue_many(
        self,
        jobs: Iterable[NewJob],
        *,
        batch: int | None = None,
        on_conflict: OnConflict = "return",
        now: int | None = None,
    ) -> list[int]:
        """Store many jobs in one transaction, all or none; *batch* is noted as wanting each of them."""
        todo = list(jobs)
        at = now_ms() if now is None else now

        def body(connection: Any) -> list[int]:
            ids = [self._insert(connection, job, on_conflict, at) for job in todo]
            if batch is not None:
                connection.executemany("INSERT OR IGNORE INTO batch_jobs VALUES (?, ?)", [(batch, id_) for id_ in ids])
            return ids

        ids = self.database.write("enqueue", body)
        for type_ in {job.type for job in todo}:
            self.database.doorbell.ring(type_)
        return ids

    def _insert(self, connection: Any, job: NewJob, on_conflict: OnConflict, now: int) -> int:
        if job.key is not None:
            live = connection.execute(_LIVE_BY_KEY, (job.pool, job.key)).fetchone()
            if live and on_conflict == "raise":
                raise JobExistsError(live[0])
            if live:
                return int(live[0])
        deadline = NO_DEADLINE if job.deadline is None else job.deadline
        ready = int(job.not_before <= now)
        payload = _encode(job.payload).decode()
        values = (job.type, job.pool, job.priority, 5 - job.priority, payload, job.key, job.max_runs, ready)
        return int(connection.execute(_INSERT, (*values, job.not_before, deadline, job.timeout, now)).lastrowid)

    # -- a worker's side --------------------------------------------------------------------------

    def claim(
        self,
        worker_id: int,
        types: Sequence[str],
        *,
        pool: str = "",
        n: int = 1,
        lease: int,
        now: int | None = None,
    ) -> list[Job]:
        """Take up to *n* jobs of *pool*, in claim order: priority, then deadline, then id.

        Args:
            lease: milliseconds until the claim must have been renewed by :meth:`heartbeat`.
        """
        at = now_ms() if now is None else now

        def body(connection: Any) -> list[Job]:
            connection.execute(_PROMOTE, (at,))
            taken: list[Job] = []
            for type_ in types:
                values = {"worker": worker_id, "until": at + lease, "now": at, "pool": pool, "type": type_}
                rows = connection.execute(_CLAIM, {**values, "n": n - len(taken)}).fetchall()
                taken += sorted((_job(row) for row in rows), key=_claim_order)
                if len(taken) >= n:
                    break
            if taken:
                connection.execute(
                    "UPDATE workers SET state = 'busy', job_id = ?, heartbeat_at = ? "
                    "WHERE id = ? AND state IN ('starting', 'idle', 'busy', 'hung')",
                    (taken[0].id, at, worker_id),
                )
            return taken

        if not self._may_claim(types, pool, at):
            return []
        return self.database.write("claim", body)

    def _may_claim(self, types: Sequence[str], pool: str, now: int) -> bool:
        """Whether a claim could find something: a read, so that idle workers never take the write lock."""
        for type_ in types:
            if self.database.read(
                "SELECT 1 FROM jobs WHERE state = 'queued' AND ready = 1 AND pool = ? AND type = ? LIMIT 1",
                (pool, type_),
            ):
                return True
        return bool(
            self.database.read(
                "SELECT 1 FROM jobs WHERE state = 'queued' AND ready = 0 AND not_before <= ? LIMIT 1", (now,)
            )
        )

    def heartbeat(
        self, job_id: int, run: int, *, lease: int, progress: Any = None, now: int | None = None
    ) -> Literal["go on", "cancel"]:
        """Renew the lease of a running job.

        Returns:
            ``"cancel"`` when somebody asked for the job to be cancelled.

        Raises:
            LostRunError: the run is no longer the caller's.
        """
        at = now_ms() if now is None else now
        values: dict[str, Any] = {"id": job_id, "run": run, "until": at + lease}
        sql = f"UPDATE jobs SET lease_until = :until WHERE {_FENCED} RETURNING cancel_requested"
        if progress is not None:
            values["progress"] = _encode(progress).decode()
            sql = sql.replace("SET ", "SET progress = :progress, ")
        found = self.database.write("heartbeat", lambda connection: connection.execute(sql, values).fetchall())
        if not found:
            raise LostRunError(f"Run {run} of job {job_id} is no longer this worker's.")
        return "cancel" if found[0][0] else "go on"

    def finish(
        self,
        job_id: int,
        run: int,
        result: Any = None,
        *,
        peak_memory: int | None = None,
        now: int | None = None,
    ) -> None:
        """Report success; a job with a key leaves its result for whoever asks the same question.

        Raises:
            LostRunError: the run is no longer the caller's; nothing was changed.
        """
        at = now_ms() if now is None else now
        encoded = _encode(result).decode()

        def body(connection: Any) -> None:
            values = {"id": job_id, "run": run, "now": at, "result": encoded}
            rows = connection.execute(_SUCCEED, values).fetchall()
            if not rows:
                raise LostRunError(f"Run {run} of job {job_id} is no longer this worker's; its result was not taken.")
            worker_id, started_at, key, type_ = rows[0]
            _record(connection, job_id, run, worker_id, started_at, at, "succeeded", peak_memory=peak_memory)
            if key is not None:
                connection.execute(
                    "INSERT INTO results VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
                    "SET result = excluded.result, created_at = excluded.created_at",
                    (key, type_, encoded, at),
                )
            _worker_done(connection, worker_id, "jobs_succeeded", at)

        self.database.write("finish", body)
        self.database.doorbell.ring("build")

    def fail(
        self,
        job_id: int,
        run: int,
        error: Mapping[str, Any],
        *,
        retry: bool = False,
        backoff: int = 0,
        stderr: str | None = None,
        peak_memory: int | None = None,
        now: int | None = None,
    ) -> Literal["queued", "failed"]:
        """Report failure.

        Args:
            error: what went wrong, as :meth:`clx.errors.ConversionError.as_dict` gives it.
            retry: whether another run may succeed; it happens only while runs are left.
            backoff: milliseconds before that run.

        Returns:
            The state the job is in now.

        Raises:
            LostRunError: the run is no longer the caller's; nothing was changed.
        """
        at = now_ms() if now is None else now
        encoded = _encode(error).decode()

        def body(connection: Any) -> Literal["queued", "failed"]:
            row = connection.execute(f"{_RUNNING}{_FENCED}", {"id": job_id, "run": run}).fetchone()
            if row is None:
                raise LostRunError(f"Run {run} of job {job_id} is no longer this worker's; its failure was not taken.")
            worker_id, started_at, _run, released, _kills, max_runs, _type = row
            again = retry and run - released < max_runs
            if again:
                connection.execute(
                    f"UPDATE jobs SET {_REQUEUE_SET}, ready = ?, not_before = ?, error = ? WHERE id = ?",
                    (int(backoff <= 0), at + backoff, encoded, job_id),
                )
            else:
                _fail(connection, job_id, encoded, at)
            _record(
                connection, job_id, run, worker_id, started_at, at, "failed",
                error=encoded, stderr=stderr, peak_memory=peak_memory,
            )  # fmt: skip
            _worker_done(connection, worker_id, "jobs_failed", at)
            return "queued" if again else "failed"

        state = self.database.write("fail", body)
        self.database.doorbell.ring("build")
        return state

    def release(self, job_id: int, run: int, *, now: int | None = None) -> None:
        """Hand a running job back uncounted, as a draining worker does.

        Raises:
            LostRunError: the run is no longer the caller's.
        """
        at = now_ms() if now is None else now

        def body(connection: Any) -> str:
            row = connection.execute(f"{_RUNNING}{_FENCED}", {"id": job_id, "run": run}).fetchone()
            if row is None:
                raise LostRunError(f"Run {run} of job {job_id} is no longer this worker's.")
            connection.execute(
                f"UPDATE jobs SET {_REQUEUE_SET}, ready = 1, released = released + 1 WHERE id = ?",
                (job_id,),
            )
            _record(connection, job_id, run, row[0], row[1], at, "released")
            _worker_done(connection, row[0], None, at)
            return str(row[6])

        self.database.doorbell.ring(self.database.write("release", body))

    def end_cancelled(self, job_id: int, run: int, *, now: int | None = None) -> None:
        """Report that a running job stopped because it was told to.

        Raises:
            LostRunError: the run is no longer the caller's.
        """
        at = now_ms() if now is None else now

        def body(connection: Any) -> None:
            row = connection.execute(f"{_RUNNING}{_FENCED}", {"id": job_id, "run": run}).fetchone()
            if row is None:
                raise LostRunError(f"Run {run} of job {job_id} is no longer this worker's.")
            _cancel(connection, job_id, at)
            _record(connection, job_id, run, row[0], row[1], at, "cancelled")
            _worker_done(connection, row[0], None, at)

        self.database.write("end_cancelled", body)
        self.database.doorbell.ring("build")

    # -- everybody else's -------------------------------------------------------------------------

    def cancel(self, job_ids: Sequence[int], *, now: int | None = None) -> list[int]:
        """Cancel queued jobs at once; running ones are told through their next heartbeat.

        Returns:
            The ids that are cancelled now.
        """
        at = now_ms() if now is None else now

        def body(connection: Any) -> list[int]:
            return [id_ for id_ in job_ids if _request_cancel(connection, id_, at)]

        done = self.database.write("cancel", body)
        self.database.doorbell.ring("build")
        return done

    def rescue(self, *, now: int | None = None) -> list[int]:
        """Give every job whose lease is over to another worker, or fail it when its runs are used up.

        Returns:
            The ids of the jobs taken from silent workers.
        """
        at = now_ms() if now is None else now
        overdue = "SELECT id, run FROM jobs WHERE state = 'running' AND lease_until <= ?"
        if not self.database.read(overdue, (at,)):
            return []

        def body(connection: Any) -> list[tuple[int, str]]:
            found = connection.execute(overdue, (at,)).fetchall()
            cause = {"kind": "silent"}
            return [(id_, _rescue(connection, id_, run, cause, None, at)) for id_, run in found]

        return self._rescued(self.database.write("rescue", body))

    def rescue_worker(
        self, worker_id: int, cause: Mapping[str, Any], *, stderr: str | None = None, now: int | None = None
    ) -> list[int]:
        """Give the running jobs of a worker known to be dead to another at once.

        Args:
            cause: how it died: ``{"kind": "signal", "signal": 9}``, ``{"kind": "exit", "code": 1}``, …
            stderr: its last lines.
        """
        at = now_ms() if now is None else now

        def body(connection: Any) -> list[tuple[int, str]]:
            found = connection.execute(
                "SELECT id, run FROM jobs WHERE worker_id = ? AND state = 'running'", (worker_id,)
            ).fetchall()
            return [(id_, _rescue(connection, id_, run, cause, stderr, at)) for id_, run in found]

        return self._rescued(self.database.write("rescue_worker", body))

    def _rescued(self, found: list[tuple[int, str]]) -> list[int]:
        for type_ in {type_ for _, type_ in found}:
            self.database.doorbell.ring(type_)
        if found:
            self.database.doorbell.ring("build")
        return [id_ for id_, _ in found]

    # -- looking ----------------------------------------------------------------------------------

    def get(self, job_id: int) -> Job | None:
        """One job, or None."""
        rows = self.database.read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))
        return _job(rows[0]) if rows else None

    def get_many(self, job_ids: Sequence[int]) -> list[Job]:
        """Those of *job_ids* that exist, by id."""
        ids = _encode(list(job_ids)).decode()
        rows = self.database.read(
            f"SELECT {_COLUMNS} FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (ids,),
        )
        return [_job(row) for row in rows]

    def get_changed(self, job_ids: Sequence[int], running: Collection[int]) -> list[Job]:
        """Those of *job_ids* that are in another state than the caller believes: *running*, the others queued."""
        waiting = _encode([id_ for id_ in job_ids if id_ not in running]).decode()
        rows = self.database.read(
            f"SELECT {_COLUMNS} FROM jobs WHERE "
            "(id IN (SELECT value FROM json_each(:waiting)) AND state <> 'queued') OR "
            "(id IN (SELECT value FROM json_each(:running)) AND state <> 'running') ORDER BY finished_at, id",
            {"waiting": waiting, "running": _encode(list(running)).decode()},
        )
        return [_job(row) for row in rows]

    def runs(self, job_id: int) -> list[dict[str, Any]]:
        """Every ended run of a job, oldest first."""
        names = (
            "run",
            "worker_id",
            "started_at",
            "ended_at",
            "outcome",
            "error",
            "cause",
            "stderr",
            "peak_memory",
        )
        rows = self.database.read(
            f"SELECT {', '.join(names)} FROM runs WHERE job_id = ? ORDER BY run",
            (job_id,),
        )
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for run in found:
            for name in ("error", "cause"):
                run[name] = None if run[name] is None else _decode(run[name])
        return found

    def stats(self, types: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
        """Number of jobs per type and state."""
        rows = self.database.read("SELECT type, state, count(*) FROM jobs GROUP BY type, state")
        found: dict[str, dict[str, int]] = {type_: {} for type_ in types or ()}
        for type_, state, count in rows:
            found.setdefault(type_, {})[state] = count
        return found

    def mean_seconds(self, type_: str, *, last: int = 200) -> float | None:
        """Mean duration of the *last* succeeded runs of a type; None without history."""
        rows = self.database.read(
            "SELECT avg(ended_at - started_at) FROM (SELECT r.ended_at, r.started_at FROM runs r "
            "JOIN jobs j ON j.id = r.job_id WHERE j.type = ? AND r.outcome = 'succeeded' "
            "ORDER BY r.job_id DESC LIMIT ?)",
            (type_, last),
        )
        return None if rows[0][0] is None else rows[0][0] / 1000


def _claim_order(job: Job) -> tuple[int, int, int, int]:
    deadline = NO_DEADLINE if job.deadline is None else job.deadline
    return (int(job.kills >= 2), -job.priority, deadline, job.id)


def _record(
    connection: Any,
    job_id: int,
    run: int,
    worker_id: int,
    started_at: int,
    ended_at: int,
    outcome: str,
    *,
    error: str | None = None,
    cause: str | None = None,
    stderr: str | None = None,
    peak_memory: int | None = None,
) -> None:
    connection.execute(
        _RECORD, (job_id, run, worker_id, started_at, ended_at, outcome, error, cause, stderr, peak_memory)
    )


def _worker_done(connection: Any, worker_id: int, counter: str | None, now: int) -> None:
    counted = f"{counter} = {counter} + 1, " if counter else ""
    connection.execute(
        f"UPDATE workers SET {counted}job_id = NULL, heartbeat_at = ?, "
        "state = CASE WHEN state IN ('busy', 'hung') THEN 'idle' ELSE state END WHERE id = ?",
        (now, worker_id),
    )


def _fail(connection: Any, job_id: int, error: str, now: int) -> None:
    connection.execute(
        "UPDATE jobs SET state = 'failed', lease_until = NULL, finished_at = ?, error = ? WHERE id = ?",
        (now, error, job_id),
    )


def _cancel(connection: Any, job_id: int, now: int) -> None:
    connection.execute(
        "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = ? WHERE id = ?", (now, job_id)
    )


def _request_cancel(connection: Any, job_id: int, now: int) -> bool:
    row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row[0] not in {"queued", "running"}:
        return False
    if row[0] == "queued":
        _cancel(connection, job_id, now)
        return True
    connection.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))
    return False


def _rescue(connection: Any, job_id: int, run: int, cause: Mapping[str, Any], stderr: str | None, now: int) -> str:
    """Take one run from a worker that is gone; returns the job's type."""
    row = connection.execute(f"{_RUNNING}{_FENCED}", {"id": job_id, "run": run}).fetchone()
    worker_id, started_at, _run, released, kills, max_runs, type_ = row
    kills += 1
    if run - released < max_runs:
        # after a first kill the job is retried at once; from the second on it is claimed last
        rank = f", claim_rank = claim_rank + {_CLAIMED_LAST}" if kills == 2 else ""
        connection.execute(
            f"UPDATE jobs SET {_REQUEUE_SET}, ready = 1, kills = ?{rank} WHERE id = ?",
            (kills, job_id),
        )
    else:
        error = {
            "type": "WorkerKilled",
            "message": f"killed its worker {kills} times" if kills > 1 else "killed its worker",
            "next_step": f"See `clx jobs show {job_id}` for the cause of each run.",
            "cause": dict(cause),
        }
        connection.execute("UPDATE jobs SET kills = ? WHERE id = ?", (kills, job_id))
        _fail(connection, job_id, _encode(error).decode(), now)
    _record(
        connection, job_id, run, worker_id, started_at, now, "rescued",
        cause=_encode(cause).decode(), stderr=stderr,
    )  # fmt: skip
    _worker_done(connection, worker_id, "jobs_failed", now)
    return str(type_)
