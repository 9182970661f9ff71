"""Looking through a long table page by page: however many jobs it has, one look takes a fraction of a second.

A table of a million jobs is not read to find fifty of them. Where an index serves the filter, it is used; elsewhere
jobs are looked through from the newest on, in stretches of ids, until the page is full or the time is over. Then the
page says how far it came, and the next look goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from clx.db.database import Database
from clx.db.live import newest_job
from clx.db.models import JobState, decode_or_show, told_or_shown
from clx.db.odd_rows import Reader
from clx.db.queries import Lookup
from clx.db.validation import check_choice, check_limit, check_search

_NAMES = (
    "id", "type", "pool", "state", "priority", "key", "run", "max_runs", "worker_id", "created_at", "started_at",
    "finished_at", "not_before", "waits_for", "cancel_requested", "error",
)  # fmt: skip
_READER = Reader.of("jobs", _NAMES)
_KEYED = Reader.of("jobs", ("id", "type", "key", "state", "payload", "result", "error", "started_at", "finished_at"))
_RECENT = Reader("jobs.type", "runs.outcome", "runs.started_at", "runs.ended_at", "jobs.created_at", "runs.run")
_RELATED = Reader("jobs.id", "jobs.type", "jobs.state")
_CALLED = Reader(
    *(f"calls.{name}" for name in ("parent_id", "name", "occurrence", "type", "job_id")),
    "workers.reason",  # the state of the called job; NULL where there is none
    *(f"jobs.{name}" for name in ("run", "started_at", "finished_at")),
)
_FIRST = 2_000
"""Ids of the first stretch."""
_WIDER = 4
_MOST_RECENT = 5_000
"""Jobs whose runs are looked at for what happened lately, among the newest and among those that run."""
_RELATED_QUERY = "SELECT j.id, j.type, j.state FROM dependencies d JOIN jobs j ON j.id = d.{other} WHERE d.{one} = ?"


class Listed(NamedTuple):
    """What a list says of a job; times in milliseconds UTC."""

    id: int
    type: str
    pool: str
    state: str
    priority: int
    key: str | None
    run: int
    max_runs: int
    worker_id: int | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    not_before: int
    waits_for: int
    cancel_requested: bool
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs; what is empty is not asked for.

    Attributes:
        prefix: what their types begin with.
        text: what their payload, key or error contains, in small or capital letters.
    """

    type: str = ""
    prefix: str = ""
    pool: str | None = None
    states: tuple[str, ...] = ()
    key: str = ""
    batch: int | None = None
    worker: int | None = None
    text: str = ""

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """What the rows have to fulfil, and the parameters."""
        like = "lower({}) LIKE :text ESCAPE '!'"
        told = {
            "type": ("type = :type", self.type or None),
            "prefix": ("type LIKE :prefix ESCAPE '!'", f"{_escaped(self.prefix)}%" if self.prefix else None),
            "pool": ("pool = :pool", self.pool),
            "key": ("key = :key", self.key or None),
            "worker": ("worker_id = :worker", self.worker),
            "batch": ("id IN (SELECT job_id FROM batch_jobs WHERE batch_id = :batch)", self.batch),
            "text": (
                f"({' OR '.join(like.format(column) for column in ('payload', 'key', 'error'))})",
                f"%{_escaped(self.text.lower())}%" if self.text else None,
            ),
        }
        given = {name: value for name, (_, value) in told.items() if value is not None}
        return [told[name][0] for name in given], given


class Page(NamedTuple):
    """Some jobs, newest first.

    Attributes:
        before: give this to have the next page; None: there is none.
        is_whole: whether all there is down to there was looked at; false where the time was over first.
    """

    jobs: list[Listed]
    before: int | None
    is_whole: bool


def browse(database: Database, which: Filter, *, before: int | None, limit: int = 50, seconds: float = 0.02) -> Page:
    """Jobs that fit, newest first, as far as *seconds* lead.

    Args:
        before: only ids below this one.
        limit: how many at most.

    Raises:
        QueueError: a value of the filter is none that there can be.
    """
    for state in which.states:
        check_choice("A state", state, get_args(JobState))
    check_search({"type": which.type, "key": which.key, "text": which.text}, {"batch": which.batch, "before": before})
    conditions, given = which.conditions()
    parts = Lookup(database).parts(which.states or None, has_key=bool(which.key))
    columns = ", ".join(_NAMES)
    query = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {columns} FROM jobs {part} AND {' AND '.join([*conditions, 'id < :before'])} "
        "AND id >= :low ORDER BY id DESC LIMIT :limit) AS part"
        for part in parts
    )
    found: list[Listed] = []
    high = newest_job(database) + 1
    high = high if before is None else min(before, high)
    for low in _stretches(high, seconds, in_one=which.batch is not None or bool(which.key)):
        named = {**given, "before": high, "low": low, "limit": limit + 1 - len(found)}
        found += map(_listed, database.read(f"{query} ORDER BY id DESC LIMIT :limit", named))
        high = low
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].id, True)
    return Page(found, high if high > 1 else None, high <= 1)


class Keyed(NamedTuple):
    """A job with a key, and what it was given and gave; times in milliseconds UTC."""

    id: int
    type: str
    key: str
    state: str
    payload: Any
    result: Any
    error: dict[str, Any] | None
    started_at: int | None
    finished_at: int | None


def keyed(database: Database, which: Filter, first: str, last: str, *, limit: int) -> list[Keyed]:
    """Jobs by their keys, from *first* to *last*, both included: the last key first, of each the newest job first.

    An index serves it, however many jobs have other keys.

    Args:
        which: what else they have to fulfil.
        limit: how many at most.

    Raises:
        QueueError: *limit* is no number.
    """
    check_limit(limit)
    conditions, given = which.conditions()
    where = " AND ".join([*conditions, "key >= :first", "key <= :last"])
    query = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {', '.join(Keyed._fields)} FROM jobs {part} AND {where} "
        "ORDER BY key DESC, id DESC LIMIT :limit) AS part"
        for part in Lookup(database).parts(which.states or None, has_key=True)
    )
    named = {**given, "first": first, "last": last, "limit": limit}
    return [_keyed(row) for row in database.read(f"{query} ORDER BY key DESC, id DESC LIMIT :limit", named)]


def _keyed(row: tuple[Any, ...]) -> Keyed:
    values, _ = _KEYED.read(row)
    values[4:6] = [None if each is None else decode_or_show(each) for each in row[4:6]]
    values[6] = None if row[6] is None else told_or_shown(row[6])
    return Keyed(*values)


def _stretches(high: int, seconds: float, *, in_one: bool) -> Iterator[int]:
    """Where each stretch below the id *high* begins, while the time lasts: as wide as what went before allows."""
    begun = time.monotonic()
    width, low = (high if in_one else _FIRST), high
    while low > 1:
        low = max(1, low - width)
        yield low
        spent = time.monotonic() - begun
        if spent >= seconds:
            return
        rate = (high - low) / max(spent, 1e-4)
        width = max(_FIRST, min(width * _WIDER, int(rate * (seconds - spent))))


def _listed(row: tuple[Any, ...]) -> Listed:
    values, _ = _READER.read(row)
    values[-2] = bool(values[-2])
    values[-1] = None if row[-1] is None else told_or_shown(row[-1])
    return Listed(*values)


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


class Recent(NamedTuple):
    """A run that has ended; times in milliseconds UTC."""

    type: str
    outcome: str
    started_at: int
    ended_at: int
    created_at: int
    run: int


def recent_runs(database: Database, since: int) -> list[Recent]:
    """Runs that have ended since then, as far as they are of the newest jobs, or of those around what runs now."""
    newest = newest_job(database)
    running = database.read(f"SELECT max(id) FROM jobs {database.sql.running}")[0][0]
    near = running if isinstance(running, int) else newest
    named = {
        "since": since, "newest": newest, "low": newest - _MOST_RECENT, "near": near, "near_low": near - _MOST_RECENT,
    }  # fmt: skip
    rows = database.read(
        "SELECT j.type, r.outcome, r.started_at, r.ended_at, j.created_at, r.run FROM runs r "
        "JOIN jobs j ON j.id = r.job_id WHERE r.ended_at >= :since AND r.job_id > :low AND r.job_id <= :newest "
        "UNION ALL SELECT j.type, r.outcome, r.started_at, r.ended_at, j.created_at, r.run FROM runs r "
        "JOIN jobs j ON j.id = r.job_id WHERE r.ended_at >= :since AND r.job_id > :near_low "
        "AND r.job_id <= :near AND r.job_id <= :low",
        named,
    )
    return [Recent(*_RECENT.read(row)[0]) for row in rows]


class Related(NamedTuple):
    """Another job that one waits for, or that waits for it."""

    id: int
    type: str
    state: str


def needed(database: Database, job_id: int, *, limit: int = 200) -> list[Related]:
    """The jobs that one needs, by id."""
    return _related(database, _RELATED_QUERY.format(other="needs_id", one="job_id"), job_id, limit)


def dependents(database: Database, job_id: int, *, limit: int = 200) -> list[Related]:
    """The jobs that need one, by id."""
    return _related(database, _RELATED_QUERY.format(other="job_id", one="needs_id"), job_id, limit)


def _related(database: Database, query: str, job_id: int, limit: int) -> list[Related]:
    rows = database.read(f"{query} ORDER BY j.id LIMIT ?", (job_id, limit))
    return [Related(*_RELATED.read(row)[0]) for row in rows]


class Called(NamedTuple):
    """A call that is recorded under a workflow, and what has become of it; times in milliseconds UTC.

    Attributes:
        job_id: what does it; None where a kept result answered.
        state: of that job; None where there is none, or not any more.
    """

    parent_id: int
    name: str
    occurrence: int
    type: str
    job_id: int | None
    state: str | None
    run: int | None
    started_at: int | None
    finished_at: int | None


def call_tree(database: Database, root: int, *, most: int = 500) -> tuple[list[Called], bool]:
    """What a workflow has called, and what that has called, level by level; and whether that is all."""
    found: list[Called] = []
    seen, level = {root}, [root]
    while level and len(found) < most:
        rows = database.read(
            "SELECT c.parent_id, c.name, c.occurrence, c.type, c.job_id, j.state, j.run, j.started_at, j.finished_at "
            "FROM calls c LEFT JOIN jobs j ON j.id = c.job_id "
            f"WHERE c.type IS NOT NULL AND c.parent_id IN ({database.sql.ids('ids')}) "
            "ORDER BY c.parent_id, c.created_at, c.job_id, c.name, c.occurrence LIMIT :most",
            {"ids": f"[{','.join(map(str, level))}]", "most": most - len(found) + 1},
        )
        calls = [Called(*_CALLED.read(row)[0]) for row in rows]
        found += calls
        level = [each.job_id for each in calls if each.job_id is not None and each.job_id not in seen]
        seen.update(level)
    return found[:most], len(found) <= most


class BatchLine(NamedTuple):
    """A batch of a list; times in milliseconds UTC."""

    id: int
    name: str
    state: str
    host: str
    created_at: int
    finished_at: int | None


_BATCH = Reader.of("batches", BatchLine._fields)


def batches(database: Database, *, before: int | None, limit: int = 50) -> list[BatchLine]:
    """Batches, newest first; *before* is an id."""
    where = "" if before is None else "WHERE id < :before "
    rows = database.read(
        f"SELECT {', '.join(BatchLine._fields)} FROM batches {where}ORDER BY id DESC LIMIT :limit",
        {"limit": limit} if before is None else {"limit": limit, "before": before},
    )
    return [BatchLine(*_BATCH.read(row)[0]) for row in rows]


def states_of_batch(database: Database, batch_id: int) -> dict[str, int]:
    """How many jobs of a batch are in which state."""
    rows = database.read(
        "SELECT j.state, count(*) FROM batch_jobs b JOIN jobs j ON j.id = b.job_id WHERE b.batch_id = ? "
        "GROUP BY j.state ORDER BY j.state",
        (batch_id,),
    )
    return {str(state): int(count) for state, count in rows}
