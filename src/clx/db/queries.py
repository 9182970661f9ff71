"""Looking at jobs without changing any: what every reader of the table shares."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, get_args

from clx.db import statements as sql
from clx.db.database import Database
from clx.db.dialect import among
from clx.db.models import Job, JobState, encode, job_from_row, told_or_shown
from clx.db.odd_rows import Reader
from clx.db.validation import check_choice, check_id, check_ids, check_keys, check_limit, check_search

_RUN_NAMES = (
    "run", "worker_id", "started_at", "ended_at", "outcome", "error", "cause", "stderr", "peak_memory",
)  # fmt: skip
_RUN = Reader.of("runs", _RUN_NAMES)
_PAUSED = Reader.of("paused", ("type", "pool", "paused_at"))
_LIMIT = Reader(*(f"limits.{name}" for name in ("name", "concurrency", "rate", "period")), "jobs.run", "jobs.run")
_COUNTED = Reader("jobs.type", "jobs.state", "jobs.run")
_RUNS = f"SELECT {', '.join(_RUN_NAMES)} FROM runs WHERE job_id = ? ORDER BY run"
_LIVE = {"queued", "running"}
_BADLY = {"failed", "cancelled"}
_FEW = 10_000
"""Queued jobs that are sorted; where there are more, the newest are near the end of the table."""
_MEAN = (
    "SELECT avg(ended_at - started_at) FROM (SELECT r.ended_at, r.started_at FROM runs r "
    "JOIN jobs j ON j.id = r.job_id WHERE j.type = ? AND r.outcome = 'succeeded' "
    "ORDER BY r.job_id DESC LIMIT ?) AS newest"
)


class Paused(NamedTuple):
    """A type of jobs that nobody claims until it is resumed; ``paused_at`` in milliseconds UTC."""

    type: str
    pool: str
    paused_at: int


class LimitState(NamedTuple):
    """A limit: what it allows (``period`` in milliseconds), how many jobs of it run, how many it holds back."""

    name: str
    concurrency: int | None
    rate: int | None
    period: int | None
    running: int
    held: int


class Lookup:
    """Readers of the jobs of one database.

    Args:
        database: an open :class:`~clx.db.database.Database`.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, job_id: int) -> Job | None:
        """One job, or None.

        Raises:
            QueueError: *job_id* is no id.
        """
        check_id(job_id)
        rows = self.database.read(f"{sql.SELECT} WHERE id = ?", (job_id,))
        return job_from_row(rows[0]) if rows else None

    def get_many(self, job_ids: Sequence[int]) -> list[Job]:
        """Those of *job_ids* that exist, by id.

        Raises:
            QueueError: *job_ids* is no list of ids.
        """
        check_ids(job_ids)
        return [
            job_from_row(row) for row in self.database.read(self.database.sql.by_ids, {"ids": encode(list(job_ids))})
        ]

    def get_changed(self, job_ids: Sequence[int], running: Collection[int]) -> list[Job]:
        """Those of *job_ids* that are in another state than the caller believes: *running*, the others queued."""
        waiting = encode([id_ for id_ in job_ids if id_ not in running])
        rows = self.database.read(self.database.sql.changed, {"waiting": waiting, "running": encode(list(running))})
        return [job_from_row(row) for row in rows]

    def live_among(self, job_ids: Sequence[int]) -> list[int]:
        """Those of *job_ids* that still wait or run."""
        return [row[0] for row in self.database.read(self.database.sql.live_among, {"ids": encode(list(job_ids))})]

    def ended_among(self, job_ids: Sequence[int]) -> list[Job]:
        """Those of *job_ids* that have ended."""
        rows = self.database.read(self.database.sql.ended_among, {"ids": encode(list(job_ids))})
        return [job_from_row(row) for row in rows]

    def next_due(self) -> int | None:
        """When the next delayed job can be claimed, milliseconds UTC; None where none is delayed."""
        due = self.database.read(sql.NEXT_DUE)[0][0]
        return due if isinstance(due, int) else None  # else another program wrote it

    def search(
        self,
        *,
        type: str | None = None,  # noqa: A002  (the vocabulary's word)
        pool: str | None = None,
        state: JobState | Collection[JobState] | None = None,
        key: str | None = None,
        batch: int | None = None,
        worker: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Jobs that fit everything given, newest first.

        Args:
            batch: only jobs this batch wants.
            worker: only jobs this worker has now or ended last.
            before: only ids below this one; pass the last id seen to get the next page.
            limit: how many at most.

        Raises:
            QueueError: a state is none, or the limit is no number.
        """
        check_limit(limit)
        check_search({"type": type, "pool": pool, "key": key}, {"batch": batch, "worker": worker, "before": before})
        states = None if state is None else _states(state)
        for each in states or ():
            check_choice("A state", each, get_args(JobState))
        params: dict[str, Any] = {
            "type": type, "pool": pool, "key": key, "worker": worker, "batch": batch, "before": before,
        }  # fmt: skip
        where = {
            "type": "type = :type",
            "pool": "pool = :pool",
            "key": "key = :key",
            "worker": "worker_id = :worker",
            "batch": "id IN (SELECT job_id FROM batch_jobs WHERE batch_id = :batch)",
            "before": "id < :before",
        }
        given = {name: value for name, value in params.items() if value is not None}
        conditions = " AND ".join(where[name] for name in given) or "true"
        parts = [
            f"SELECT * FROM ({sql.SELECT} {part} AND {conditions} ORDER BY id DESC LIMIT :limit) AS part"
            for part in self.parts(states, has_key=key is not None)
        ]
        if not parts:  # of no state
            return []
        rows = self.database.read(
            f"{' UNION ALL '.join(parts)} ORDER BY id DESC LIMIT :limit", {**given, "limit": limit}
        )
        return [job_from_row(row) for row in rows]

    def parts(self, states: Collection[str] | None, *, has_key: bool) -> list[str]:
        """The table in parts that an index each can serve; of a long table few rows live, and few ended badly."""
        known = self.database.sql
        chosen = set(get_args(JobState) if states is None else states)
        live, badly = chosen & _LIVE, chosen & _BADLY
        if has_key:
            ended = chosen - live
            parts = [f"{part} AND {among(live)}" for part in (known.live_key, known.behind)] if live else []
            return parts + ([f"{known.ended_key} AND {among(ended)}"] if ended else [])
        if states is None:
            return ["WHERE true"]
        if "succeeded" in chosen:  # most have, so the newest are found soon
            return [f"WHERE {among(chosen)}"]
        parts = [f"{known.aside} AND {among(badly)}"] if badly else []
        if "queued" in live and self.database.read(known.queued_at_most, {"most": _FEW})[0][0] < _FEW:
            return [*parts, *known.queued, *([known.running] if "running" in live else [])]
        return parts + ([known.running] if live == {"running"} else [f"WHERE {among(live)}"] if live else [])

    def runs(self, job_id: int) -> list[dict[str, Any]]:
        """Every ended run of a job, oldest first; times in milliseconds UTC, memory in bytes."""
        check_id(job_id)
        rows = self.database.read(_RUNS, (job_id,))
        found = [dict(zip(_RUN_NAMES, _RUN.read(row)[0], strict=True)) for row in rows]
        for run in found:
            for name in ("error", "cause"):
                run[name] = told_or_shown(run[name])
        return found

    def needs(self, job_id: int) -> list[int]:
        """The jobs that must have succeeded before this one can be claimed."""
        check_id(job_id)
        rows = self.database.read(sql.NEEDS, (job_id,))
        return [row[0] for row in rows]

    def batch_of(self, job_id: int) -> int | None:
        """The newest batch that has not ended and waits for a job, or None."""
        found = self.database.read(sql.BATCH_OF, (job_id,))[0][0]
        return None if found is None else int(found)

    def is_held(self, job_id: int) -> bool:
        """Whether a job could be claimed but for its limit."""
        return bool(self.database.read(sql.IS_HELD, (job_id,)))

    def paused(self) -> list[Paused]:
        """Types of jobs that nobody claims at the moment."""
        return [Paused._make(_PAUSED.read(row)[0]) for row in self.database.read(sql.PAUSED)]

    def limits(self) -> list[LimitState]:
        """Every limit that is set, by name, and how many jobs of it run and are held back."""
        return [LimitState._make(_LIMIT.read(row)[0]) for row in self.database.read(sql.LIMITS)]

    def results(self, keys: Sequence[str], *, type: str | None = None) -> dict[str, Any]:  # noqa: A002
        """Kept results of those *keys* that have one, of whichever pool; asking keeps them from being pruned.

        Args:
            type: of which jobs; needed only where jobs of several types share a key.

        Raises:
            QueueError: *keys* is no list of keys, or jobs of several types have one of them.
        """
        from clx.db.results import find_results

        check_keys(keys)
        check_search({"type": type}, {})
        return find_results(self.database, keys, type)

    def stats(self, types: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
        """Number of jobs per type and state."""
        rows = self.database.read(self.database.sql.counts)
        found: dict[str, dict[str, int]] = {type_: {} for type_ in types or ()}
        for type_, state, count in (_COUNTED.read(row)[0] for row in rows):
            found.setdefault(type_, {})[state] = count
        return found

    def mean_seconds(self, type_: str, *, last: int = 200) -> float | None:
        """Mean duration of the *last* succeeded runs of a type; None without history."""
        mean = self.database.read(_MEAN, (type_, last))[0][0]
        return None if mean is None else mean / 1000


def _states(given: JobState | Collection[JobState]) -> list[JobState]:
    """One state, or several; anything else is looked at by who takes it."""
    if isinstance(given, str) or not isinstance(given, Collection):
        return [given]
    return list(given)
