"""Reports taken together: where the database can, those of plain successes with one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clx.db import finishing
from clx.db.consequences import unlock
from clx.db.doorbell import ENDED, of_end
from clx.db.models import Report, Success
from clx.db.transaction import Transaction

Statement = tuple[str, Mapping[str, Any]]


class Together:
    """The reports of a worker, and the statements that take the plain successes among them.

    Args:
        encoded: the result of each success as JSON.
    """

    def __init__(self, tx: Transaction, reports: Sequence[Report], encoded: Sequence[str], worker: int) -> None:
        self._tx, self._reports, self._encoded, self._worker = tx, reports, encoded, worker
        self._first: dict[int, Success] = {}
        self.statements: list[Statement] = []
        """Ends them, and tells then who waits for them: what others have entered meanwhile the first does not see."""
        if tx.sql.succeed_many:
            self._ask()

    def _ask(self) -> None:
        tx, told = self._tx, {}
        for report, text in zip(self._reports, self._encoded, strict=True):
            if isinstance(report, Success) and report.job_id not in told:
                self._first[report.job_id] = report
                told[report.job_id] = (report.job_id, report.run, text, report.peak_memory)
        if told:
            params = tx.sql.succeeding([told[id_] for id_ in sorted(told)])
            self.statements = [
                (tx.sql.succeed_many, {**params, "now": tx.now, "worker": self._worker}),
                (tx.sql.of_interest, {"ids": params["ids"]}),
            ]

    def settle(self) -> list[Report]:
        """Take all of them; returns those of runs that are not their worker's own any more."""
        ended = self._succeed() if self.statements else {}
        lost: list[Report] = []
        tally = {"succeeded": 0, "failed": 0}
        for report, text in zip(self._reports, self._encoded, strict=True):
            if not ended or ended.pop(report.job_id, None) is not report:
                finishing.settle_one(self._tx, report, text, tally, lost)
        if tally["succeeded"] or tally["failed"]:
            self._tx.bells.add(ENDED)
        if not self.statements or tally["succeeded"] or tally["failed"]:
            finishing.account(self._tx, self._worker, succeeded=tally["succeeded"], failed=tally["failed"])
        return lost

    def _succeed(self) -> dict[int, Success]:
        ended, waited_for = (self._tx.execute(*each).fetchall() for each in self.statements)
        found = {row[0]: self._first[row[0]] for row in ended}
        if found:
            self._tx.bells.add(ENDED)
            self._tx.bells.update(map(of_end, found))
        for (id_,) in waited_for:
            if id_ in found:
                unlock(self._tx, id_)
        return found
