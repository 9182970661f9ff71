"""Looking for schedules that are due: one read by an index, and nothing else is loaded while there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clx.db.database import Database
from clx.db.leases import STEP
from clx.db.schedules import statements as sql

if TYPE_CHECKING:
    from clx.db.schedules.models import Fire


class Sweep:
    """One process's looks at the schedules of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset: int | None = None
        self._told: set[str] = set()

    def fire_due(self) -> list[Fire]:
        """Fire what is due.

        Where the clock was set back, also before this process began, schedules whose next time was moved on by the
        clock that was ahead get their true one first.

        Returns:
            What was fired, skipped or missed by this call; others may have done the same for other fires.

        Raises:
            DatabaseError: the table cannot be used.
        """
        clock, read = self._database.clock, self._database.read
        now = clock.now()
        offset = now - clock.steady()
        if (self._offset is None or offset < self._offset - STEP) and read(sql.ANY):
            from clx.db.schedules.firing import mend

            mend(self._database, now, self._told)
        self._offset = offset
        due = read(sql.DUE, (now,))
        if not due:
            return []
        from clx.db.schedules.firing import fire_all

        return fire_all(self._database, due, self._told)
