"""Where claims begin to look: entries of an index stay after their jobs have gone, and each claim would pass them all.

A server removes such entries when it vacuums: a minute later, or never while a transaction is open that is older. So
each process knows for every priority an id below which no job is left that has never been anything but queued. Jobs
that can be claimed once more, or later than they went in, and those with a deadline, are in an index of their own
(``jobs_again``), which every claim asks as well: the claim order is what it would be without all this.

That nothing below an id is left, or will be, is known like this. One statement tells the newest id *N* that it sees,
and then takes a number *X* for its transaction. Whoever had an id below *N* had the number of his transaction before,
and so a lower one than *X*. A later statement that finds all transactions up to *X* over sees all of their jobs: below
the first that it finds queued, and below *N*, there are none. A claim that was undone gives back none of those, for
only claims that were committed are seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from clx.db.statements import NO_TIME
from clx.errors import ClxError

RANKS = 5
"""Ranks of jobs that have only been queued yet, from 0 for priority 5."""
_BOTTOM = -(2**63)
_OFTEN = 0.1
"""Seconds between two looks while jobs are claimed."""
_SELDOM = 10.0
"""… and otherwise; as often all is looked through from the beginning, in case another program has written there."""
_SHARE = 100
"""By how much longer a pause is than what comes after it, where there is very much to look through."""
_AT_FIRST = 0.01
_CLAIMS = 5
_NEVER = 2**63 - 1
_MOST = 1000
"""Kinds of jobs that are remembered."""
AGAIN = (
    "CASE WHEN state = 'queued' AND ready = 1 THEN run <> 0 OR not_before <> 0 "
    f"OR deadline < {NO_TIME} OR claim_rank < 0 OR claim_rank >= {RANKS} ELSE false END"
)
"""Which jobs may be claimed that may lie below the frontier. One expression, so that no other index is thought of."""
_QUEUED = "state = 'queued' AND ready = 1 AND pool = :pool AND type = :type"
_ORDER = "ORDER BY claim_rank, deadline, id LIMIT 1"
_PLAIN = (
    "FROM unnest(CAST(:marks AS bigint[])) WITH ORDINALITY AS mark (id, place) {join} LATERAL (SELECT id FROM jobs "
    f"WHERE {_QUEUED} AND (claim_rank, deadline, jobs.id) >= (mark.place - 1, {NO_TIME}, mark.id) "
    f"AND claim_rank <= mark.place - 1 {_ORDER}) AS first"
)
"""No deadline is the latest one. Were they asked to be equal, the order would be that of the ids, and a plan along
the primary key would pass every later job of another rank."""
FIRSTS = (
    f"WITH firsts (claim_rank, deadline, id) AS MATERIALIZED (SELECT mark.place - 1, {NO_TIME}, first.id "
    f"{_PLAIN.format(join='CROSS JOIN')}), "
    "again (claim_rank, deadline, id) AS MATERIALIZED (SELECT claim_rank, deadline, id FROM jobs "
    f"WHERE {AGAIN} AND pool = :pool AND type = :type {_ORDER})"
)
"""The first job of each rank above the frontier, and the first of the others."""
FROM_THERE = (
    "(claim_rank, deadline, id) >= (SELECT claim_rank, deadline, id FROM (SELECT * FROM firsts UNION ALL "
    f"SELECT * FROM again) AS both_kinds {_ORDER}) AND claim_rank <= (SELECT CASE WHEN EXISTS (SELECT 1 FROM again) "
    f"THEN {NO_TIME} ELSE (SELECT max(claim_rank) FROM firsts) END)"
)
CLAIMABLE = (
    f"{FIRSTS} SELECT 1 FROM (SELECT 1 FROM firsts UNION ALL SELECT 1 FROM again) AS both_kinds "
    "WHERE NOT EXISTS (SELECT 1 FROM paused WHERE type = :type AND pool = :pool) LIMIT 1"
)
# what a statement sees is settled before it begins, and the number taken afterwards
_LOOK = (
    "SELECT (SELECT coalesce(max(id), 0) FROM jobs), CAST(CAST(pg_current_xact_id() AS text) AS bigint), "
    "CASE WHEN pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:number AS text) AS xid8) "
    f"THEN ARRAY(SELECT first.id {_PLAIN.format(join='LEFT JOIN')} ON true ORDER BY mark.place) END"
)
Ask = Callable[[str, Mapping[str, Any]], Sequence[Any]]


class _Frontier:
    """That of one type and pool."""

    def __init__(self) -> None:
        self.text = _array([_BOTTOM] * RANKS)
        self.seen: tuple[int, int] | None = None  # N and X
        self.is_known = False
        self.pause = _AT_FIRST
        self.claims = 0
        self.looked_at, self.sweep_at = -_SELDOM, 0.0

    def is_due(self, now: float, *, idle: bool) -> bool:
        since = now - self.looked_at
        if not self.is_known or since >= _SELDOM:
            return since >= self.pause
        return since >= 1.0 and self.claims > 0 if idle else since >= _OFTEN and self.claims >= _CLAIMS

    def look(self, ask: Ask, pool: str, type_: str, now: float) -> None:
        is_sweep = now >= self.sweep_at
        marks = _array([_BOTTOM] * RANKS) if is_sweep else self.text
        self.looked_at, self.claims = now, 0
        bound, number = self.seen or (0, _NEVER)
        newest, mine, firsts = ask(_LOOK, {"pool": pool, "type": type_, "marks": marks, "number": str(number)})
        if firsts is not None:
            self.text = _array([bound if first is None else min(first, bound) for first in firsts])
            self.is_known = True
            if is_sweep:
                self.sweep_at = now + max(_SELDOM, _SHARE * (time.monotonic() - now))
        if firsts is not None or self.seen is None:
            self.seen = newest, mine
        self.pause = _AT_FIRST if self.is_known else min(_SELDOM, 2 * self.pause)


class Frontiers:
    """Those of one database, as this process knows them.

    Args:
        ask: the one row of a query.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[tuple[str, str], _Frontier] = {}
        self._looking = threading.Lock()

    def marks(self, pool: str, type_: str, *, to_claim: bool = True) -> str:
        """The lowest ids of interest, by rank."""
        found = self._known.get((pool, type_))
        if found is None:
            if len(self._known) >= _MOST:
                self.forget()
            found = self._known.setdefault((pool, type_), _Frontier())
        found.claims += to_claim
        return found.text

    def look(self, pool: str, types: Sequence[str], *, idle: bool) -> None:
        """See whether one of them has moved, where it is time to."""
        now = time.monotonic()
        for type_ in types:
            found = self._known.get((pool, type_))
            if found is not None and found.is_due(now, idle=idle):
                if self._looking.acquire(blocking=False):
                    try:
                        with suppress(ClxError):  # the claim will tell
                            found.look(self._ask, pool, type_, now)
                    finally:
                        self._looking.release()
                return

    def forget(self) -> None:
        """Begin anew: the server may have lost what it had acknowledged to somebody who does not care."""
        self._known = {}


def _array(numbers: Sequence[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"
