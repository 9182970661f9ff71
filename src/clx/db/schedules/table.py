"""The schedules of a database: put in, looked at, paused, run at once, filled up for times that are over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NoReturn, TypeVar, cast

from clx.commands import told_in
from clx.db.database import Database, Row
from clx.db.inserting import no_such_limit, require_limit
from clx.db.odd_rows import as_text
from clx.db.schedules import statements as sql
from clx.db.schedules.firing import end_last, note, queue_job, readable
from clx.db.schedules.models import Fire, Schedule, fire_from_row, schedule_from_row
from clx.db.schedules.sweep import Sweep
from clx.db.statements import IS_LIMIT
from clx.db.transaction import Transaction
from clx.db.validation import check_limit, is_text
from clx.db.writer import Writer
from clx.errors import QueueError
from clx.settings.problems import did_you_mean, shortened

T = TypeVar("T")
Found = list[Schedule]
Fires = list[Fire]

MOST = 100_000
"""Times that one call fills up at most."""
_SLICE = 200
"""Jobs that one transaction of it queues, so that others wait for milliseconds only."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What :meth:`Schedules.backfill` did.

    Attributes:
        queued: the fires whose jobs were queued, oldest first.
        there: how many were left alone, because their job still lives, its key is another's, or it succeeded.
        left: how many more there are than were asked for at most.
    """

    queued: list[Fire]
    there: int
    left: int


class Schedules:
    """The schedules of one database; :attr:`Queue.schedules <clx.db.jobs.Queue.schedules>` has them.

    Methods that take a name raise QueueError where there is no such schedule, with the one that was probably meant, and
    OddRowError where another program wrote its row, or this machine lacks its time zone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write = Writer(database).write
        self._sweep = Sweep(database)

    def list(self) -> Found:
        """Every schedule, by name; of one that cannot be used a warning says why."""
        return [*readable(self._database.read(sql.ALL), set())]

    def get(self, name: str) -> Schedule:
        """The schedule of that name."""
        self._check(name)
        rows = self._database.read(sql.GET, (name,))
        return schedule_from_row(rows[0]) if rows else self._unknown(name)

    def fires(self, name: str, limit: int = 20) -> Fires:
        """What became of its latest times, newest first."""
        check_limit(limit)
        self._check(name)
        return [fire_from_row(row) for row in self._database.read(sql.FIRES, (name, limit))]

    def counts(self, name: str) -> dict[str, int]:
        """How many of its times were ``queued``, ``skipped`` and ``missed``."""
        self._check(name)
        return {as_text(outcome): n for outcome, n in self._database.read(sql.COUNTS, (name,))}

    def add(self, schedule: Schedule, *, replace: bool = False) -> Schedule:
        """Put a schedule in; its first fire is the first of its times from now on.

        Args:
            replace: where there is one of that name, it becomes this one. It stays paused if it was; and where the
                times are the same it keeps its next one, so that a program that does this whenever it starts catches
                up what fell into the time before.

        Returns:
            The schedule as the table has it.

        Raises:
            QueueError: there is one of that name, and it is not to be replaced; its times are all over; or its job
                names a limit that is not set.
        """
        if not isinstance(schedule, Schedule):
            raise QueueError(
                "A schedule goes in as a Schedule.", 'Write Schedule("name", "0 6 * * *", NewJob("type")).'
            )

        def body(tx: Transaction) -> None:
            true = schedule.next_after(tx.now)
            if true is None:
                raise QueueError(f'"{schedule.name}" would never fire: it ends before its next time.', "End it later.")
            if schedule.job.limit is not None:
                require_limit(tx, schedule.job.limit)
            rows = tx.execute(sql.HOLD, (schedule.name,)).fetchall()
            new = (*schedule.row(), int(schedule.paused), true, tx.now)
            if rows and replace:
                tx.execute(sql.REPLACE, (*schedule.row()[1:], *_kept(schedule, rows[0], true), schedule.name))
            elif rows or tx.execute(sql.ADD, new).fetchone() is None:
                raise QueueError(
                    f'There is a schedule "{schedule.name}" already.',
                    "Replace it (--replace, replace=True), or call this one else.",
                )

        self._write("put_schedule", body)
        return self.get(schedule.name)

    def remove(self, name: str) -> None:
        """Take a schedule away, with what is told of its fires; jobs that it has queued stay."""

        def change(tx: Transaction, _row: Row) -> None:
            tx.execute(sql.REMOVE_FIRES, (name,))
            tx.execute(sql.REMOVE, (name,))

        self._change(name, change)

    def pause(self, name: str) -> None:
        """Let a schedule fire no more until :meth:`resume`."""
        self._change(name, lambda tx, _row: tx.execute(sql.PAUSE, (name,)))

    def resume(self, name: str) -> Schedule:
        """Let a paused schedule fire again, from its next time on: what fell into the pause is not caught up."""

        def change(tx: Transaction, row: Row) -> None:
            schedule = schedule_from_row(row)
            if schedule.paused:
                tx.execute(sql.RESUME, (schedule.next_after(tx.now), name))

        self._change(name, change)
        return self.get(name)

    def run(self, name: str) -> Fire:
        """Fire now, also while it is paused; its own times stay as they are.

        Raises:
            QueueError: its last job is still live, or a live job has its key.
        """

        def change(tx: Transaction, row: Row) -> Fire:
            schedule, at = schedule_from_row(row), tx.now
            if not end_last(tx, replace(schedule, catch_up="last", overlap="queue")):
                last = tx.execute(sql.LAST, (name, at)).fetchone()
                state = "waits" if last[1] == "queued" else "runs"
                raise QueueError(
                    f"Job {last[0]} of this schedule {state} still.", f"Cancel it: clx jobs cancel {last[0]}"
                )
            while tx.execute(sql.OUTCOME, (name, at)).fetchone() is not None:
                at += 1
            job_id = queue_job(tx, schedule, at)
            if job_id is None:
                raise QueueError("A job with the key of this one waits or runs already.", "See `clx jobs list`.")
            return note(tx, schedule, at, job_id)

        return self._change(name, change)

    def backfill(
        self, name: str, start: int, end: int, *, only_missing: bool = False, at_most: int | None = None
    ) -> Backfill:
        """Queue the jobs of its times from *start* to *end*, oldest first, as far as these are over.

        Each job is told its own time; they run beside each other as far as there are workers. Those whose job still
        lives are left alone.

        Args:
            start: milliseconds UTC.
            end: milliseconds UTC; itself included.
            only_missing: leave alone those whose job has succeeded, too.
            at_most: so many, and no more.

        Raises:
            QueueError: the times are more than :data:`MOST`.
        """
        if at_most is not None:
            check_limit(at_most)
        schedule, end = self.get(name), min(end, self._database.clock.now())
        times = [*islice(replace(schedule, ends_at=end).fires_after(start - 1), MOST + 1)] if end >= 0 else []
        if len(times) > MOST:
            raise QueueError(f"There are more than {MOST} times of {name} in that range.", "Name a shorter one.")
        known = _by_time(self._database.read(sql.FIRES_BETWEEN, (name, start, end)))
        wanted = [at for at in times if _is_wanted(known.get(at), only_missing=only_missing)]
        chosen = wanted[:at_most]
        queued: Fires = []
        for first in range(0, len(chosen), _SLICE):
            queued += self._fill(name, chosen[first : first + _SLICE], only_missing=only_missing)
        return Backfill(queued, len(times) - len(wanted) + len(chosen) - len(queued), len(wanted) - len(chosen))

    def _fill(self, name: str, times: Sequence[int], *, only_missing: bool) -> Fires:
        """Queue the jobs of some of its times in one transaction, as far as nobody else has meanwhile."""

        def change(tx: Transaction, row: Row) -> Fires:
            schedule, queued = schedule_from_row(row), []
            known = _by_time(tx.execute(sql.FIRES_BETWEEN, (name, times[0], times[-1])).fetchall())
            for at in times:
                if not _is_wanted(known.get(at), only_missing=only_missing):
                    continue
                job_id = queue_job(tx, schedule, at)
                if job_id is not None:
                    queued.append(note(tx, schedule, at, job_id))
            return queued

        return self._change(name, change)

    def fire_due(self) -> Fires:
        """Fire what is due, as every consumer, worker and supervisor of the table does by itself.

        Returns:
            What was fired, skipped or missed by this call.
        """
        return self._sweep.fire_due()

    def _change(self, name: str, change: Callable[[Transaction, Row], T]) -> T:
        """What *change* makes of the row of a schedule, which nobody else changes or fires meanwhile."""

        def body(tx: Transaction) -> tuple[T, ...]:
            return tuple(change(tx, row) for row in tx.execute(sql.HOLD, (name,)).fetchall())

        self._check(name)
        changed = self._write("change_schedule", body)
        return changed[0] if changed else self._unknown(name)

    def _check(self, name: object) -> None:
        """A name that no table can keep is that of no schedule."""
        if not is_text(name):
            self._unknown(cast("str", name))

    def _unknown(self, name: str) -> NoReturn:
        names = [as_text(row[0]) for row in self._database.read(sql.NAMES)]
        none = told_in("There are none yet: clx schedules add NAME CRON --type T", self._database.path)
        step = did_you_mean(str(name), names) if names else none
        raise QueueError(f'There is no schedule "{shortened(str(name))}".', step)


def refusal(database: Database, schedule: Schedule) -> QueueError | None:
    """Why the job of a schedule would not go in: its limit is not set; None where nothing stands against it."""
    limit = schedule.job.limit
    if limit is None or database.read(IS_LIMIT, (limit,)):
        return None
    error = no_such_limit(limit)
    error.next_step = told_in(error.next_step, database.path)
    return error


def _kept(schedule: Schedule, row: Row, true: int) -> tuple[int, int]:
    """Whether the schedule that takes the place of *row* is paused, and its next time."""
    is_paused, next_at = int(bool(row[8]) or schedule.paused), row[9]
    is_same = (row[1], row[2]) == (schedule.cron, schedule.zone) and next_at is not None and not is_paused
    return is_paused, min(next_at, true) if is_same else true


def _by_time(rows: Any) -> dict[int, Fire]:
    return {row[1]: fire_from_row(row) for row in rows}


def _is_wanted(fire: Fire | None, *, only_missing: bool) -> bool:
    """Whether a time, and what became of it, is to be filled up."""
    if fire is None:
        return True
    if fire.is_live:
        return False
    return not only_missing or fire.outcome != "queued" or fire.state in {"failed", "cancelled"}
