"""How queued works are given out: the first in claim order that fits what is asked, and that its reader understands."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from clx.db.claiming import Claim
from clx.db.models import Job, encode
from clx.db.transaction import Transaction
from clx.db.works import statements as sql
from clx.db.works.models import COLUMNS, WORK, Document, Found, found_from, found_from_row, label
from clx.db.works.searching import FEW

_AT_ONCE = 16
"""Works that one look finds."""
_MOST = 10_000
"""Works that one withdrawal looks at, of which none is understood."""
Accepts = Callable[[Document], bool]


class Asked(NamedTuple):
    """What a withdrawal asks for; of several values one must fit.

    Attributes:
        pipelines: of one of these.
        event, tags, parent: has one of these.
        priority: exactly this.
    """

    pipelines: tuple[str, ...]
    site: str | None = None
    user: str | None = None
    priority: int | None = None
    event: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    parent: tuple[str, ...] = ()

    @property
    def types(self) -> list[str]:
        """The types of their jobs."""
        return [f"{WORK}{pipeline}" for pipeline in self.pipelines]

    @property
    def is_plain(self) -> bool:
        """Whether only the pipelines matter."""
        return self[1:] == (None, None, None, (), (), ())

    @property
    def labels(self) -> dict[str, list[str]]:
        """What labels are asked for, by kind."""
        asked = {"event": self.event, "tag": self.tags, "parent": self.parent}
        return {kind: [label(each) for each in values] for kind, values in asked.items() if values}

    def rare(self, tx: Transaction) -> str:
        """A kind of labels that few works have; empty where there is none, or the database sees that by itself."""
        if tx.sql.counts_rows:
            return ""
        for kind, values in self.labels.items():
            named = {"kind": kind, "values": encode(values), "most": FEW}
            if tx.execute(tx.sql.labelled, named).fetchone()[0] < FEW:
                return kind
        return ""

    def where(self, tx: Transaction) -> tuple[str, dict[str, Any]]:
        """A condition, and its parameters."""
        parts: list[str] = []
        named: dict[str, Any] = {}
        for name, column, value in (
            ("site", "w.site", self.site),
            ("owner", "w.owner", self.user),
            ("priority", "j.priority", self.priority),
        ):
            if value is not None:
                parts.append(f"{column} = :{name}")
                named[name] = value
        for kind, values in self.labels.items():
            parts.append(
                f"EXISTS (SELECT 1 FROM work_labels l WHERE l.job_id = w.job_id AND l.kind = '{kind}' "
                f"AND l.value IN ({tx.sql.texts(kind)}))"
            )
            named[kind] = encode(values)
        return " AND ".join(parts), named


def withdraw(
    tx: Transaction, asked: Asked, worker: int, lease: int | None, accepts: Accepts | None
) -> tuple[Found, int] | None:
    """Claim the first work that is asked for; returns it with its run.

    Args:
        lease: milliseconds; None: as long as the work may take.
        accepts: whether who asks understands a document; asked before it is claimed.

    Raises:
        LostWorkerError: the worker was struck off.
    """
    claim = Claim(tx, worker, asked.types, "", 1, lease, harmless=False)
    claimed = claim.take()[0] if asked.is_plain and accepts is None else _claim_fitting(tx, asked, claim, accepts)
    if not claimed:
        return None
    job = claimed[0]
    (own,) = claim.works
    return found_from(own, job.error, job.progress), job.run


def _claim_fitting(tx: Transaction, asked: Asked, claim: Claim, accepts: Accepts | None) -> list[Job]:
    claim.prepare()
    waiting = heapq.merge(*(_waiting(tx, asked, type_, accepts) for type_ in dict.fromkeys(asked.types)))
    for _, job_id, is_accepted in islice(waiting, _MOST):
        if is_accepted and (taken := claim.take_one(job_id)):
            return taken
    return []


def _waiting(
    tx: Transaction, asked: Asked, type_: str, accepts: Accepts | None
) -> Iterator[tuple[tuple[int, int], int, bool]]:
    """The works of one type that fit, in claim order: rank and deadline, id, and whether they are accepted."""
    where, named = asked.where(tx)
    waiting, rank = sql.WAITING.format(pool="j.pool", type="j.type"), "j.claim_rank"
    if rare := asked.rare(tx):  # looked up one by one, instead of reading along the queue until one comes by
        waiting = sql.WAITING.format(pool=tx.sql.unindexed("j.pool"), type=tx.sql.unindexed("j.type"))
        rank = tx.sql.unindexed(rank)
        where += (
            f" AND j.id IN (SELECT job_id FROM work_labels WHERE kind = '{rare}' AND value IN ({tx.sql.texts(rare)}))"
        )
    query = (
        f"SELECT j.claim_rank, j.deadline, j.id{f', {COLUMNS}' if accepts else ''} {sql.FROM} WHERE {waiting} "
        f"AND ({rank}, j.deadline, j.id) > (:rank, :due, :after){where and f' AND {where}'} "
        f"ORDER BY {rank}, j.deadline, j.id LIMIT :n"
    )
    last: Sequence[Any] = (-1, -1, -(2**63))
    while True:
        place = dict(zip(("rank", "due", "after"), last, strict=True))
        rows = tx.execute(query, {**named, **place, "type": type_, "n": _AT_ONCE}).fetchall()
        for row in rows:
            yield (row[0], row[1]), row[2], accepts is None or accepts(found_from_row(row[3:]).document)
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1][:3]
