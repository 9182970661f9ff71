"""The routines that workers have, with what is to run after what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clx.db.calls import statements as sql
from clx.db.calls.models import RoutineRow, is_routine
from clx.db.database import Database
from clx.db.models import NewJob, decode, encode
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction
from clx.db.validation import check_choice
from clx.db.writer import Writer
from clx.errors import QueueError
from clx.settings.problems import shortened

_NOTED_EVERY = 24 * 3600 * 1000
"""Milliseconds between two notes that a worker has a routine, so that most of its starts write none."""
_READER = Reader.of("routines", sql.COLUMNS.split(", "))
_SEEN_AT = 10
_AFTER = 7

Rows = Mapping[str, tuple[Any, ...]]


class Registry:
    """The routines of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write = Writer(database).write

    def list(self) -> list[RoutineRow]:
        """Every routine, by id; a job that another program wrote is left out."""
        return [_from_row(row) for row in self._database.read(sql.ROUTINES)]

    def register(self, routines: Sequence[RoutineRow]) -> None:
        """Note that a worker has these, which are all the routines of their modules; new ones, and new triggers, count.

        What these modules had before, and other versions of these, fire no trigger any more. Nothing is written where
        all this is known, and was said within a day.

        Raises:
            QueueError: a trigger says something that is not possible, or routines would run after each other in a
                circle.
        """
        rows = {each.id: _row(each) for each in routines}
        if self._is_known(rows):
            return

        def body(tx: Transaction) -> None:
            if tx.sql.in_turn:
                tx.execute(tx.sql.in_turn)  # two that each add a half of a circle
            known = {row[0]: tuple(row) for row in tx.execute(sql.ROUTINES).fetchall()}
            disarmed = [each for each in known.values() if _is_replaced(each, rows)]
            tx.executemany(sql.REGISTER, [(*row, tx.now) for _, row in sorted(rows.items())])
            tx.executemany(sql.DISARM, [(row[0],) for row in disarmed])
            after = {id_: row[_AFTER] for id_, row in known.items()} | {id_: row[_AFTER] for id_, row in rows.items()}
            _refuse_circles(after | {row[0]: None for row in disarmed}, rows)

        self._write("register_routines", body)

    def disarm(self, id_: str) -> bool:
        """Let a routine's trigger fire no more, until a worker has it again; returns whether there was one."""

        def body(tx: Transaction) -> bool:
            armed = any(row[0] == id_ and row[_AFTER] is not None for row in tx.execute(sql.ROUTINES).fetchall())
            tx.execute(sql.DISARM, (id_,))
            return armed

        return self._write("register_routines", body)

    def _is_known(self, rows: Rows) -> bool:
        known = {row[0]: tuple(row) for row in self._database.read(sql.ROUTINES)}
        if any(_is_replaced(each, rows) for each in known.values()):
            return False
        now = self._database.clock.now()
        found = (known.get(id_, (None, 0)) for id_ in rows)
        return all(
            each[:_SEEN_AT] == row and isinstance(each[-1], int) and 0 <= now - each[-1] < _NOTED_EVERY
            for each, row in zip(found, rows.values(), strict=True)
        )


def _is_replaced(known: Sequence[Any], rows: Rows) -> bool:
    """Whether a routine with a trigger is one that these leave behind: an older version, or not in their module."""
    if known[_AFTER] is None or known[0] in rows:
        return False
    return known[1] in {row[1] for row in rows.values()} or known[2] in {row[2] for row in rows.values()}


def _row(routine: RoutineRow) -> tuple[Any, ...]:
    """A routine as the table has it, without when it was seen.

    Raises:
        QueueError: it cannot be registered so.
    """
    if not is_routine(routine.id):
        raise QueueError(
            f"{shortened(repr(routine.id))} is no routine.", "Its id is task:NAME:VERSION or workflow:NAME."
        )
    if (routine.after is None) != (routine.on is None) or (routine.after is not None and not is_routine(routine.after)):
        raise QueueError(
            f"The trigger of {routine.id} is not complete.", "Say after which routine it runs, and on what."
        )
    if routine.on is not None:
        check_choice("on", routine.on, ("success", "failure", "always"))
    job = NewJob(routine.id) if routine.job is None else routine.job
    if job.type != routine.id or job.key is not None or job.needs or job.unique_for is not None:
        raise QueueError(
            f"The job of {routine.id} is of its type, without a key, needs, and unique_for.", "Leave these out."
        )
    return (
        routine.id, routine.name, routine.module, routine.source, routine.signature, routine.doc, encode(job),
        routine.after, routine.on, routine.parameter,
    )  # fmt: skip


def _from_row(row: Sequence[Any]) -> RoutineRow:
    (id_, _, module, source, signature, doc, job, after, on, parameter, seen_at), _odd = _READER.read(row)
    try:
        told = NewJob(**decode(job))
    except (QueueError, TypeError, ValueError):
        told = None
    return RoutineRow(id_, module, source, signature, doc, told, after, on, parameter, seen_at)


def _refuse_circles(after: Mapping[str, str | None], rows: Rows) -> None:
    for start in rows:
        way = [start]
        while (following := after.get(way[-1])) is not None:
            if following == start:
                told = " after ".join([*way, start])
                raise QueueError(f"Routines would trigger each other for ever: {told}.", "Take one trigger away.")
            if following in way:
                break  # a circle of others
            way.append(following)
