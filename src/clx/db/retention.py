"""What is kept, and for how long: rows of the past are removed by an explicit policy, live ones never.

Kept whatever their age: jobs that wait or run, jobs a live batch wants, workers that live or hold a job.
A batch whose owner is gone is not live: it is ended first, and what only it wanted is cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import timedelta
from typing import Any

from clx.db.batches import BatchTable
from clx.db.database import Database
from clx.db.identity import is_gone
from clx.db.validation import check_choice
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000
_STRIDE = 2000
"""Ids looked at in one transaction, so that workers wait for milliseconds only."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Days after which rows go.

    Attributes:
        succeeded: jobs that succeeded, with their runs, since they ended.
        failed: jobs that failed or were cancelled, since they ended; what became of times of schedules.
        workers: workers, their events, and batches, since they ended.
        results: results of keyed jobs, since they were last used.

    Raises:
        QueueError: a value is no number of days.
    """

    succeeded: float = 30
    failed: float = 90
    workers: float = 30
    results: float = 180

    @classmethod
    def of(cls, days: Mapping[str, float | timedelta]) -> Policy:
        """A policy with some days that are not the usual ones.

        Raises:
            QueueError: a name is none of a policy's, or a value is no number of days.
        """
        for name in days:
            check_choice("What is kept", name, [each.name for each in fields(cls)])
        return cls(**{name: _in_days(value) for name, value in days.items()})

    def __post_init__(self) -> None:
        for days in astuple(self):
            if not isinstance(days, int | float) or not math.isfinite(days) or days < 0:
                raise QueueError(f"Nothing can be kept for {days!r} days.", "Give a number from 0.")


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows were removed, and how many batches whose owner is gone were ended (``abandoned``)."""

    jobs: int = 0
    workers: int = 0
    events: int = 0
    batches: int = 0
    results: int = 0
    fires: int = 0
    abandoned: int = 0


def _in_days(value: float | timedelta) -> float:
    return value / timedelta(days=1) if isinstance(value, timedelta) else value


_OLD_JOBS = """
DELETE FROM jobs WHERE id > :after AND id <= :upto AND (
    (state = 'succeeded' AND finished_at < :succeeded) OR (state IN ('failed', 'cancelled') AND finished_at < :failed))
  AND NOT EXISTS (SELECT 1 FROM batch_jobs w JOIN batches b ON b.id = w.batch_id
                  WHERE w.job_id = jobs.id AND b.state = 'live')
  AND NOT EXISTS (SELECT 1 FROM dependencies d JOIN jobs j ON j.id = d.job_id
                  WHERE d.needs_id = jobs.id AND (j.state IN ('queued', 'running')
                    OR (jobs.state <> 'succeeded' AND j.state <> 'succeeded' AND j.finished_at >= :failed)))"""
"""One that did not succeed stays as long as what it took down with it, which may be tried again."""
_NEXT_IDS = "SELECT max(id) FROM (SELECT id FROM jobs WHERE id > ? ORDER BY id LIMIT ?) AS next"
_OLD_WORKERS = """
DELETE FROM workers WHERE id IN (SELECT id FROM workers WHERE ended_at < :cutoff
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND worker_id = workers.id) LIMIT :stride)"""
_OLD_EVENTS = """
DELETE FROM worker_events WHERE id IN (SELECT id FROM worker_events WHERE at < :cutoff
  AND worker_id NOT IN (SELECT id FROM workers WHERE ended_at IS NULL) LIMIT :stride)"""
_OLD_BATCHES = """
DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE finished_at < :cutoff AND NOT EXISTS
  (SELECT 1 FROM batch_jobs w JOIN jobs j ON j.id = w.job_id
   WHERE w.batch_id = batches.id AND j.state IN ('queued', 'running')) LIMIT :stride)"""
_OLD_KEYS = """
DELETE FROM recent_keys WHERE (key, type, pool) IN (SELECT key, type, pool FROM recent_keys
  WHERE unique_until < :cutoff LIMIT :stride)"""
_OLD_RESULTS = """
DELETE FROM results WHERE (key, type) IN (SELECT key, type FROM results WHERE used_at < :cutoff
  AND key NOT IN (SELECT key FROM outputs) LIMIT :stride)"""

_OLD_FIRES = """
DELETE FROM fires WHERE (schedule, fire_at) IN (SELECT f.schedule, f.fire_at FROM fires f WHERE f.fired_at < :cutoff
  AND f.fire_at < (SELECT max(latest.fire_at) FROM fires latest WHERE latest.schedule = f.schedule)
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = f.job_id AND j.state IN ('queued', 'running')) LIMIT :stride)"""


def prune(database: Database, policy: Policy, *, is_over: Callable[[], bool] = lambda: False) -> Pruned:
    """Remove what *policy* does not keep, in small transactions; safe beside running builds.

    Args:
        is_over: asked between them whether to end.
    """
    at = database.clock.now()
    abandoned = len(BatchTable(database).sweep(is_gone))
    jobs = _prune_jobs(database, policy, at, is_over)
    if is_over():
        return Pruned(jobs=jobs, abandoned=abandoned)
    _prune_all(database, _OLD_KEYS, at)

    fired = int(at - policy.failed * _DAY)
    ended, unused = int(at - policy.workers * _DAY), int(at - policy.results * _DAY)
    return Pruned(
        jobs=jobs,
        results=_prune_all(database, _OLD_RESULTS, unused),
        batches=_prune_all(database, _OLD_BATCHES, ended),
        workers=_prune_all(database, _OLD_WORKERS, ended),
        events=_prune_all(database, _OLD_EVENTS, ended),
        fires=_prune_all(database, _OLD_FIRES, fired),
        abandoned=abandoned,
    )


def _prune_all(database: Database, delete: str, cutoff: int) -> int:
    """Everything that *delete* finds, a stride at a time."""
    removed, params = 0, {"cutoff": cutoff, "stride": _STRIDE}
    while found := database.write("prune_rest", lambda connection: connection.execute(delete, params).rowcount):
        removed += found
    return removed


def _prune_jobs(database: Database, policy: Policy, now: int, is_over: Callable[[], bool]) -> int:
    limits = {"succeeded": int(now - policy.succeeded * _DAY), "failed": int(now - policy.failed * _DAY)}
    removed, after = 0, -(2**63)
    # by the ids there are: one that another program chose may lie 2^62 ahead of the others
    while not is_over() and (upto := database.read(_NEXT_IDS, (after, _STRIDE))[0][0]) is not None:
        removed += _prune_window(database, {**limits, "after": after, "upto": upto})
        after = upto
    return removed


def _prune_window(database: Database, window: dict[str, int]) -> int:
    return int(database.write("prune_jobs", lambda connection: connection.execute(_OLD_JOBS, window).rowcount))


def named_text(database: Database) -> list[str]:
    """Every text in the tables that may name an artifact: payloads and results of jobs, results, published files,
    jobs of schedules, long outputs of runs.

    What is named here must stay in the store.
    """
    queries = (
        "SELECT payload FROM jobs WHERE state IN ('queued', 'running')",
        "SELECT result FROM jobs WHERE result IS NOT NULL",
        "SELECT result FROM results",
        "SELECT digest FROM outputs",
        "SELECT job FROM schedules",
        "SELECT stderr FROM runs WHERE stderr LIKE '(the whole output, %'",  # clx.workers.run_logs
    )
    return [_text(row[0]) for query in queries for row in database.read(query)]


def _text(value: Any) -> str:
    """What other programs wrote may name one too."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
