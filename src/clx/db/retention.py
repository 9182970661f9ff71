"""What is kept, and for how long: rows of the past are removed by an explicit policy, live ones never.

Kept whatever their age: jobs that wait or run, jobs a live batch wants or a live workflow has called, workers
that live or hold a job.
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
from clx.db.works.statements import NAMING
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000
_STRIDE = 2000
"""Ids looked at in one transaction, so that workers wait for milliseconds only."""
LOWEST = -(2**63)
"""Below every id."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Days after which rows go.

    Attributes:
        succeeded: jobs that succeeded, with their runs, since they ended.
        failed: jobs that failed or were cancelled, since they ended; what became of times of schedules.
        workers: workers, their events, and batches, since they ended; logs of requests for models.
        results: results of keyed jobs, since they were last used; routines that no worker has any more.
        works: works, since they ended; they are kept to be searched. Those whose results are locked stay for good.

    Raises:
        QueueError: a value is no number of days.
    """

    succeeded: float = 30
    failed: float = 90
    workers: float = 30
    results: float = 180
    works: float = 36_500

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
DELETE FROM jobs WHERE id > :after AND id <= :upto AND
  CASE WHEN EXISTS (SELECT 1 FROM works w WHERE w.job_id = jobs.id) THEN finished_at < :works
    AND NOT EXISTS (SELECT 1 FROM works w WHERE w.job_id = jobs.id AND w.locked = 1)
  ELSE (state = 'succeeded' AND finished_at < :succeeded)
    OR (state IN ('failed', 'cancelled') AND finished_at < :failed) END
  AND NOT EXISTS (SELECT 1 FROM batch_jobs w JOIN batches b ON b.id = w.batch_id
                  WHERE w.job_id = jobs.id AND b.state = 'live')
  AND NOT EXISTS (SELECT 1 FROM calls c JOIN jobs p ON p.id = c.parent_id
                  WHERE c.job_id = jobs.id AND p.state IN ('queued', 'running'))
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

_OLD_ROUTINES = """
DELETE FROM routines WHERE id IN (SELECT id FROM routines WHERE seen_at < :cutoff LIMIT :stride)"""
_OLD_REQUESTS = """
DELETE FROM serving_requests WHERE (server, number) IN (SELECT server, number FROM serving_requests
  WHERE arrived_at < :cutoff LIMIT :stride)"""
_OLD_ACTIONS = """
DELETE FROM serving_actions WHERE (server, number) IN (SELECT server, number FROM serving_actions
  WHERE sent_at < :cutoff LIMIT :stride)"""
_OLD_FIRES = """
DELETE FROM fires WHERE (schedule, fire_at) IN (SELECT f.schedule, f.fire_at FROM fires f WHERE f.fired_at < :cutoff
  AND f.fire_at < (SELECT max(latest.fire_at) FROM fires latest WHERE latest.schedule = f.schedule)
  AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = f.job_id AND j.state IN ('queued', 'running')) LIMIT :stride)"""


def prune(database: Database, policy: Policy, *, is_over: Callable[[], bool] = lambda: False) -> Pruned:
    """Remove what *policy* does not keep, in small transactions; safe beside running builds.

    Args:
        is_over: asked between them whether to end.
    """
    return Pruned() if is_over() else prune_part(database, policy, is_over=is_over)[0]


def prune_part(
    database: Database, policy: Policy, *, after: int = LOWEST, is_over: Callable[[], bool]
) -> tuple[Pruned, int | None]:
    """Remove a part of what *policy* does not keep: until *is_over*, and at least a little.

    Args:
        after: where the part before this one ended; jobs up to this id have been looked at.

    Returns:
        What was removed, and where to go on; None when all is done.
    """
    at = database.clock.now()
    abandoned = len(BatchTable(database).sweep(is_gone))
    jobs, after, is_left = _prune_jobs(database, policy, at, after, is_over)
    if is_left:
        return Pruned(jobs=jobs, abandoned=abandoned), after
    ended, fired = int(at - policy.workers * _DAY), int(at - policy.failed * _DAY)
    unused = int(at - policy.results * _DAY)
    rest = {
        "results": (_OLD_RESULTS, unused),
        "batches": (_OLD_BATCHES, ended),
        "workers": (_OLD_WORKERS, ended),
        "events": (_OLD_EVENTS, ended),
        "fires": (_OLD_FIRES, fired),
    }
    _, keys_left = _prune_rest(database, _OLD_KEYS, at, is_over)
    _, routines_left = _prune_rest(database, _OLD_ROUTINES, unused, is_over)
    _, requests_left = _prune_rest(database, _OLD_REQUESTS, ended, is_over)
    _, actions_left = _prune_rest(database, _OLD_ACTIONS, ended, is_over)
    is_left = keys_left or routines_left or requests_left or actions_left
    removed = {}
    for name, (delete, cutoff) in rest.items():
        removed[name], more = _prune_rest(database, delete, cutoff, is_over)
        is_left = is_left or more
    return Pruned(jobs=jobs, abandoned=abandoned, **removed), after if is_left else None


def _prune_rest(database: Database, delete: str, cutoff: int, is_over: Callable[[], bool]) -> tuple[int, bool]:
    """What *delete* finds, a stride at a time; returns how much that was, and whether more may be left."""
    removed, params = 0, {"cutoff": cutoff, "stride": _STRIDE}
    while found := database.write("prune_rest", lambda connection: connection.execute(delete, params).rowcount):
        removed += found
        if is_over():
            return removed, True
    return removed, False


def _prune_jobs(
    database: Database, policy: Policy, now: int, after: int, is_over: Callable[[], bool]
) -> tuple[int, int, bool]:
    """Jobs, windows of ids; returns how many were removed, the last id looked at, and whether there are more."""
    kept = {"succeeded": policy.succeeded, "failed": policy.failed, "works": policy.works}
    limits = {name: int(now - days * _DAY) for name, days in kept.items()}
    removed = 0
    # by the ids there are: one that another program chose may lie 2^62 ahead of the others
    while (upto := database.read(_NEXT_IDS, (after, _STRIDE))[0][0]) is not None:
        removed += _prune_window(database, {**limits, "after": after, "upto": upto})
        after = upto
        if is_over():
            return removed, after, True
    return removed, after, False


def _prune_window(database: Database, window: dict[str, int]) -> int:
    return int(database.write("prune_jobs", lambda connection: connection.execute(_OLD_JOBS, window).rowcount))


_REMEMBERED = (
    "SELECT c.value FROM calls c JOIN jobs p ON p.id = c.parent_id "
    "WHERE c.value IS NOT NULL AND p.state IN ('queued', 'running')"
)


def named_text(database: Database) -> list[str]:
    """Every text in the tables that may name an artifact: payloads and results of jobs, results, published files,
    jobs of schedules, models, versions of lakes, what running workflows remember, works, long outputs of runs.

    What is named here must stay in the store.
    """
    queries = (
        "SELECT payload FROM jobs WHERE state IN ('queued', 'running')",
        "SELECT result FROM jobs WHERE result IS NOT NULL",
        "SELECT result FROM results",
        "SELECT digest FROM outputs",
        "SELECT job FROM schedules",
        "SELECT digest FROM serving_models",
        "SELECT files FROM lake_versions",
        _REMEMBERED,
        NAMING,
        "SELECT stderr FROM runs WHERE stderr LIKE '(the whole output, %'",  # clx.workers.run_logs
    )
    return [_text(row[0]) for query in queries for row in database.read(query)]


def _text(value: Any) -> str:
    """What other programs wrote may name one too."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
