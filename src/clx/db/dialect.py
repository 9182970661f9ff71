"""The statements whose text differs between databases: made once from the few places in which it does."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from clx.db import statements
from clx.db.statements import COLUMNS, SELECT
from clx.db.works import statements as works

_LEASE = "coalesce(:lease, timeout, 3600000)"
"""Milliseconds; none is as long as the job may take."""
TAKE = (
    f"UPDATE jobs SET state = 'running', run = run + 1, worker_id = :worker, lease = {_LEASE}, "
    f"lease_until = :now + {_LEASE}, started_at = :now WHERE id "
)
QUEUED = "FROM jobs WHERE state = 'queued' AND ready = 1 AND pool = :pool AND type = :type"
IN_CLAIM_ORDER = "ORDER BY claim_rank, deadline, id LIMIT"
HARMLESS = "(rescues = 0 AND max_runs > 1 AND limit_name IS NULL)"
_HARMLESS = f" AND {HARMLESS}"
_LIVE = "state IN ('queued', 'running')"
_BADLY = "state IN ('failed', 'cancelled')"
_OF_TYPE = re.compile(r":(type|marks)\b")
_TYPES_AT_ONCE = 32


class Dialect(ABC):
    """What a database understands, as statements by name. Lists go in as the JSON text of an array."""

    @abstractmethod
    def ids(self, name: str) -> str:
        """A query for the numbers in the list that is the parameter *name*."""

    @abstractmethod
    def texts(self, name: str) -> str:
        """A query for the texts in the list that is the parameter *name*."""

    @abstractmethod
    def by_index(self, name: str) -> str:
        """What makes a query of the table named before it use that index; empty where it finds it by itself."""

    @abstractmethod
    def unindexed(self, column: str) -> str:
        """A column for a condition that no index is to be chosen for."""

    like = "LIKE"
    """Compares texts by a pattern, whatever their case."""

    @abstractmethod
    def json_path(self, steps: Sequence[str]) -> str:
        """The parameter that names a part of a document."""

    @abstractmethod
    def json_value(self, value: Any) -> Any:
        """The parameter that a part of a document is compared with by :meth:`json_holds`."""

    def number(self, value: Any) -> Any:
        """The parameter that a part of a document is compared with by :meth:`json_compares`."""
        return value

    @abstractmethod
    def json_exists(self, document: str, path: str) -> str:
        """A condition that a *document* has the part that the parameter *path* names."""

    @abstractmethod
    def json_holds(self, document: str, path: str, name: str, value: Any) -> str:
        """A condition that this part is *value*, which the parameter *name* has, or a list that has it; lists and
        mappings must be the same. What is not there is None."""

    @abstractmethod
    def json_compares(self, document: str, path: str, operator: str, name: str, *, is_text: bool) -> str:
        """A condition that this part, or one of a list, compares so with the parameter *name*, if it is of its kind."""

    locking = ""
    """What a query says after its end to have its rows alone, leaving out those that somebody else has."""
    alone = ""
    """The same to wait for those that somebody else has; needed where several write at once."""
    unchanged = ""
    """What it says so that nobody changes its rows before the end of the transaction."""
    hold_wanted = ""
    """A statement that has the live jobs of the batch ``:id`` alone; empty where a transaction has all alone."""
    succeed_many = matters_of_many = count_down_many = ""
    """The ends of many jobs, what hangs on which of them, and the batches that wait for them, where a statement
    takes longer than what it does; empty elsewhere."""
    spare = 0
    """How many jobs more a claim over several types looks at, in place of those that others are about to take."""
    counts_rows = False
    """Whether it knows by itself how many rows a condition leaves."""
    hold_pipeline = ""
    """A statement that has the pipeline ``?`` alone; empty where a transaction has all alone."""
    hold_jobs_of_pipeline = ""
    """The same for the jobs of its live works."""
    in_turn_of = ""
    """A statement that lets one transaction at a time go on that names the same text ``:what``."""
    in_turn = ""
    """A statement that lets one transaction at a time go on, where locks on rows are not enough."""
    ahead = 64
    """Jobs that a worker holds at most while they are short: as many as are worth one way to the database."""
    claimable = statements.CLAIMABLE
    """Whether there is a job of ``:pool`` and ``:type`` for a claim."""
    claim_company = ""
    """Claims the first job, and others of the next ones where all may be held beside others; nothing where a type is
    paused, or delayed ones are due that are to take part (``:promote``). Empty where several statements cost no more.
    """

    def succeeding(self, told: Sequence[tuple[int, int, str, int | None]]) -> dict[str, str]:  # noqa: ARG002
        """The parameters of :attr:`succeed_many` for ids, runs, results as JSON and bytes of memory."""
        return {}

    def first(self, columns: str, which: str = "") -> str:
        """A query for *columns* of the jobs of ``:pool`` and ``:type`` that can be claimed, first things first."""
        return f"SELECT {columns} {QUEUED}{which} {IN_CLAIM_ORDER}"

    def chosen(self, query: str) -> str:
        """A condition that a column is among what *query*, which locks rows, finds; it is asked once."""
        return f"IN ({query})"

    def changing(self, table: str, change: str, where: str) -> str:
        """An UPDATE of rows that others may be about to change, too: all take them in the same order."""
        return f"UPDATE {table} SET {change} WHERE {where}"

    def __init__(self) -> None:
        self._lock_rows()
        ids = f"IN ({self.ids('ids')})"
        self.needed_by = (
            f"WITH RECURSIVE needed (id) AS ({self.ids('needs')} UNION "
            "SELECT d.needs_id FROM dependencies d JOIN needed ON d.job_id = needed.id UNION "
            "SELECT j.after_id FROM jobs j JOIN needed ON j.id = needed.id WHERE j.after_id IS NOT NULL) "
            "SELECT 1 FROM needed WHERE id = :id"
        )
        """Whether one of some jobs is, or waits near or far for, another."""
        self.any_live = f"SELECT 1 FROM jobs WHERE {_LIVE} AND pool = :pool AND type IN ({self.texts('types')}) LIMIT 1"
        self.claim_one = f"{TAKE} = ({self.first('id')} 1{self.locking}) RETURNING {COLUMNS}"
        """One job. With SQLite five times as fast as IN with a LIMIT, for which it builds a temporary table."""
        self.claim_many = self._claim_many("")
        self.claim_harmless = self._claim_many(_HARMLESS)
        """Only jobs that may be held beside others: one that kills its worker must not take strangers with it."""
        self.claim_these = f"{TAKE} {ids} RETURNING {COLUMNS}"
        due = self.chosen(f"{statements.DUE_FIRST}{self.locking}")
        self.promote = f"UPDATE jobs SET ready = 1, held = 0 WHERE id {due} RETURNING type"
        """Delayed jobs that are due; some at a time, so that nobody else waits for the table meanwhile."""
        self.key_taken = (
            "SELECT live.id, live.state FROM jobs j JOIN jobs live ON live.pool = j.pool AND live.type = j.type "
            "AND live.key = j.key AND live.state IN ('queued', 'running') AND live.after_id IS NULL "
            f"WHERE j.id {ids} AND j.{_BADLY} LIMIT 1"
        )
        self.key_shared = (
            f"SELECT max(id), min(id) FROM jobs WHERE id {ids} AND key IS NOT NULL "
            f"AND {_BADLY} GROUP BY pool, type, key HAVING count(*) > 1 LIMIT 1"
        )
        """Whether some of many jobs cannot be queued again, because of their keys."""
        self.needs_among = f"SELECT job_id, needs_id FROM dependencies WHERE job_id {ids} AND needs_id {ids}"
        self.still_queued = f"SELECT id FROM jobs WHERE id {ids} AND state = 'queued'"
        self.by_ids = f"{SELECT} WHERE id {ids} ORDER BY id"
        self.live_among = f"SELECT id FROM jobs WHERE id {ids} AND {_LIVE} ORDER BY id"
        self.ended_among = f"{SELECT} WHERE id {ids} AND finished_at IS NOT NULL"
        self.changed = (
            f"{SELECT} WHERE (id IN ({self.ids('waiting')}) AND state <> 'queued') OR "
            f"(id IN ({self.ids('running')}) AND state <> 'running') ORDER BY finished_at, id"
        )
        self.results = (
            f"SELECT key, type, result, used_at FROM results WHERE key IN ({self.texts('keys')}) "
            "AND (CAST(:type AS TEXT) IS NULL OR type = :type)"
        )
        self._hold_back()
        self._call()
        self._work()
        # for looking: the index is named where the database would rather read the whole table in order than sort a few
        self.running = f"{self.by_index('jobs_running')} WHERE state = 'running'"
        self.aside = f"{self.by_index('jobs_aside')} WHERE (waits_for > 0 OR {_BADLY})"
        self.live_key = f"{self.by_index('jobs_live_key')} WHERE {_LIVE} AND after_id IS NULL"
        self.behind = f"{self.by_index('jobs_behind')} WHERE after_id IS NOT NULL AND state = 'queued'"
        self.ended_key = f"{self.by_index('jobs_ended_key')} WHERE finished_at IS NOT NULL"
        self.queued = (
            f"{self.by_index('jobs_claim')} WHERE state = 'queued' AND ready = 1",
            f"{self.by_index('jobs_delayed')} WHERE state = 'queued' AND ready = 0 AND waits_for = 0",
            f"{self.aside} AND state = 'queued' AND waits_for > 0",
        )
        parts = (f"(SELECT count(*) FROM (SELECT 1 FROM jobs {part} LIMIT :most) AS part)" for part in self.queued)
        self.queued_at_most = f"SELECT {' + '.join(parts)}"
        self._count()

    def _count(self) -> None:
        """Statements that count jobs, along indexes that have each of them once."""
        ended = f"{self.by_index('jobs_ended')} WHERE finished_at IS NOT NULL"
        grouped = [f"SELECT type, state, count(*) AS n FROM jobs {ended} GROUP BY type, state"]
        for state, part in (*(("queued", part) for part in self.queued), ("running", self.running)):
            grouped.append(f"SELECT type, '{state}' AS state, count(*) AS n FROM jobs {part} GROUP BY pool, type")
        self.counts = (
            f"SELECT type, state, CAST(sum(n) AS BIGINT) FROM ({' UNION ALL '.join(grouped)}) AS parts "
            "GROUP BY type, state"
        )
        """How many jobs there are by type and state."""
        parts = " UNION ALL ".join(
            f"SELECT type, pool, not_before, created_at FROM jobs {part}" for part in self.queued
        )
        self.waiting = (
            "SELECT type, pool, count(*) FILTER (WHERE not_before <= :now), "
            "count(*) FILTER (WHERE not_before > :now), min(created_at) "
            f"FROM ({parts}) AS parts GROUP BY type, pool ORDER BY type, pool"
        )
        """What is queued, by type and pool: how many may be claimed now, how many later, since when the oldest."""

    def _claim_many(self, which: str) -> str:
        first = f"{self.first('id', which)} :n{self.locking}"
        return f"{TAKE} {self.chosen(first)} RETURNING {COLUMNS}"

    def _hold_back(self) -> None:
        """Statements of limits and of what expires."""
        self.limit = f"SELECT concurrency, rate, period, window_at, used FROM limits WHERE name = :name{self.alone}"
        """A limit, for whoever counts what it leaves: one at a time."""
        self.running_of_limit = (
            f"SELECT count(*) FROM jobs {self.by_index('jobs_running')} WHERE state = 'running' AND limit_name = :name"
        )
        self.limits_with_room = (
            "SELECT name FROM limits WHERE EXISTS (SELECT 1 FROM jobs WHERE limit_name = limits.name AND held = 1 "
            f"AND finished_at IS NULL AND {statements.GOES_ON}) "
            "AND (rate IS NULL OR used < rate OR window_at + period <= :now OR window_at > :now) "
            f"AND (concurrency IS NULL OR concurrency > (SELECT count(*) FROM jobs {self.by_index('jobs_running')} "
            "WHERE state = 'running' AND limit_name = limits.name))"
        )
        """Limits that hold jobs back which they have room for."""
        self.expired = (
            "SELECT id, expires_at FROM jobs WHERE state = 'queued' AND expires_at <= :now "
            f"ORDER BY expires_at, id LIMIT :n{self.locking}"
        )
        held, ahead = (self.chosen(f"{rows}{self.locking}") for rows in (statements.HELD, statements.AHEAD))
        self.let_held_go = (
            f"UPDATE jobs SET held = 0, ready = 1, not_before = :now WHERE id {held} AND state = 'queued' "
            "RETURNING type"
        )
        """The first of those that a limit holds back may be claimed."""
        self.held_until = (
            f"UPDATE jobs SET not_before = :until WHERE id {held} AND state = 'queued' AND not_before <> :until"
        )
        self.hold_ahead = f"UPDATE jobs SET ready = 0, held = 1, not_before = :until WHERE id {ahead}"
        """Of the next ones to be claimed, those that the same limit would hold back too."""

    def _call(self) -> None:
        """Statements of calls, and of what follows when routines end."""
        ids, keys = f"IN ({self.ids('ids')})", f"key IN ({self.texts('keys')})"
        self.recorded = (
            "SELECT c.name, c.occurrence, c.job_id, j.id FROM calls c LEFT JOIN jobs j ON j.id = c.job_id "
            f"WHERE c.parent_id = :parent AND c.name IN ({self.texts('names')})"
        )
        self.live_by_keys = (
            f"SELECT id, pool, type, key, cancel_requested FROM jobs {self.by_index('jobs_live_key')} "
            f"WHERE {keys} AND key IS NOT NULL AND {_LIVE} AND after_id IS NULL"
            f"{self.alone and f' ORDER BY id{self.alone}'}"
        )
        self.kept_results = f"SELECT key, type, result, created_at, used_at FROM results WHERE {keys}"
        self.called = (
            "SELECT j.id FROM calls c JOIN jobs j ON j.id = c.job_id "
            f"WHERE c.parent_id = ? AND j.{_LIVE}{self.alone and f' ORDER BY j.id{self.alone} OF j'}"
        )
        """What a caller has called and has not ended."""
        self.cancel_unwanted = (
            "UPDATE jobs SET state = 'cancelled', finished_at = :now, error = :error "
            f"WHERE id {ids} AND {self.unindexed('state')} = 'queued' AND {statements.UNWANTED} RETURNING id, type"
        )
        self.ask_unwanted = (
            f"UPDATE jobs SET cancel_requested = 1 WHERE id {ids} AND {self.unindexed('state')} = 'running' "
            f"AND cancel_requested = 0 AND {statements.UNWANTED} RETURNING id"
        )
        self.matter_among = (
            f"SELECT needs_id FROM dependencies WHERE needs_id {ids} UNION "
            f"SELECT after_id FROM jobs WHERE after_id {ids} AND after_id IS NOT NULL AND state = 'queued' UNION "
            "SELECT w.job_id FROM batch_jobs w JOIN batches b ON b.id = w.batch_id "
            f"WHERE w.job_id {ids} AND b.state = 'live' AND b.callback IS NOT NULL"
        )
        """Of many jobs, those for whose end others wait."""
        self.forget_wants = f"DELETE FROM wants WHERE job_id {ids}"
        self.triggers = (
            f"SELECT after_id, after_on, id, parameter, job FROM routines WHERE after_id IN ({self.texts('types')})"
        )

    def _work(self) -> None:
        """Statements of works."""
        ids = f"IN ({self.texts('ids')})"
        bucket = self.by_index("works_bucket")
        self.movable_works, self.moved_works = works.MOVABLE.format(index=bucket), works.MOVED.format(index=bucket)
        self.failed_works, self.overdue_works = works.FAILED.format(index=bucket), works.OVERDUE.format(index=bucket)
        self.results_by_pipeline = works.RESULTS.format(index=self.by_index("works_results"))
        self.buckets = works.BUCKETS.format(index=bucket)
        self.created_at = f"{works.CREATED}IN ({self.ids('moments')}) ORDER BY w.job_id"
        self.labelled = (
            "SELECT count(*) FROM (SELECT 1 FROM work_labels WHERE kind = :kind "
            f"AND value IN ({self.texts('values')}) LIMIT :most) AS found"
        )
        """How many works have one of some labels, as far as that matters."""
        self.known_by_ids = f"{works.KNOWN_BY_IDS}{ids}"
        self.works_by_ids = f"SELECT job_id, id FROM works WHERE id {ids} ORDER BY job_id"
        self.ids_of_works = f"SELECT id FROM works WHERE job_id IN ({self.ids('jobs')})"
        alone = self.alone and f"{self.alone} OF j"
        self.work_to_change = f"{works.CHANGING} {works.FROM} WHERE w.id = ?{alone}"
        self.works_to_change = f"{works.CHANGING} {works.FROM} WHERE w.id {ids} ORDER BY w.job_id{alone}"

    def _lock_rows(self) -> None:
        """Statements that look before they, or those that follow them in a transaction, change something."""
        self.live_by_key = f"{statements.LIVE_BY_KEY}{self.alone}"
        self.behind_of = f"{statements.BEHIND}{self.alone}"
        self.running_run = f"{statements.RUNNING}{self.alone}"
        self.held_by = f"{statements.HELD_BY}{self.alone and f' ORDER BY id{self.alone}'}"
        self.unrenewed = f"{statements.UNRENEWED}{self.alone}"
        self.job_to_change = f"SELECT state, type, pool, key FROM jobs WHERE id = ?{self.alone}"
        self.worker_to_end = f"SELECT heartbeat_at FROM workers WHERE id = ?{self.alone}"
        self.needed_job = f"SELECT state FROM jobs WHERE id = ?{self.unchanged}"
        self.late = f"{statements.LATE}{self.alone and f'{self.alone} OF j'}"
        self.unmet_needs = f"{statements.UNMET_NEEDS}{self.unchanged and f'{self.unchanged} OF j'}"
        self.may_claim = statements.MAY_CLAIM.format(unchanged=self.unchanged)
        self.unlock = f"{self.changing('jobs', statements.UNLOCKED, statements.TO_UNLOCK)} RETURNING type"
        self.fail_dependents = f"{self.changing('jobs', statements.FAILED, statements.DEPENDENTS)} RETURNING id, type"
        self.cancel_dependents = (
            f"{self.changing('jobs', statements.CANCELLED, statements.DEPENDENTS)} RETURNING id, type"
        )
        self.count_down = (
            f"{self.changing('batches', statements.COUNTED_DOWN, statements.AWAITING)} RETURNING id, pending, callback"
        )

    @cache  # noqa: B019  (there is one of each dialect)
    def next_of(self, types: int, *, harmless: bool) -> str:
        """The first ``:n`` of each of so many types, to be merged in claim order; nobody's until they are taken."""
        first = self.first("claim_rank, deadline, id", _HARMLESS if harmless else "")
        return self._of_each(f"{first} :n", types)

    @cache  # noqa: B019
    def claimable_of(self, types: int) -> str:
        """Whether there is a job of ``:pool`` and one of so many types for a claim."""
        return self._of_each(self.claimable, types)

    def _of_each(self, query: str, types: int) -> str:
        """*query* for ``:type0``, ``:type1``, … and marks likewise: one statement takes less than one for each."""
        one = f"SELECT * FROM ({query}) AS first"
        return " UNION ALL ".join(_OF_TYPE.sub(rf":\g<1>{number}", one) for number in range(types))


def in_parts(types: Sequence[str]) -> Iterator[list[str]]:
    """Types, each once, so many at a time as one statement looks at: databases bound its length."""
    several = list(dict.fromkeys(types))
    return (several[first : first + _TYPES_AT_ONCE] for first in range(0, len(several), _TYPES_AT_ONCE))


def named(name: str, values: Iterable[Any]) -> dict[str, Any]:
    """Parameters of a statement for several types: ``type0``, ``type1``, …"""
    return {f"{name}{number}": each for number, each in enumerate(values)}


def among(states: Collection[str]) -> str:
    """A condition that the state is one of *states*; as literals, else no partial index would be considered."""
    return f"state IN ({', '.join(repr(state) for state in sorted(states))})"
