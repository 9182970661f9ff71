"""Reports taken together: where that costs less, all successes with one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from clx.db import finishing, limits
from clx.db import statements as sql
from clx.db.consequences import let_go, unlock_many
from clx.db.doorbell import ENDED
from clx.db.models import Report, Success
from clx.db.transaction import Transaction

Statement = tuple[str, Mapping[str, Any]]


class Together:
    """The reports of a worker, and the statements that take the successes among them.

    Args:
        encoded: the result of each success as JSON.
    """

    def __init__(self, tx: Transaction, reports: Sequence[Report], encoded: Sequence[str], worker: int) -> None:
        self._tx, self._reports, self._encoded, self._worker = tx, reports, encoded, worker
        self._first: dict[int, Success] = {}
        self._texts: dict[int, str] = {}
        self.statements: list[Statement] = []
        """Ends them, and tells then who waits for them: what others have entered meanwhile the first does not see."""
        if tx.sql.succeed_many:
            self._ask()

    def _ask(self) -> None:
        tx = self._tx
        for report, text in zip(self._reports, self._encoded, strict=True):
            if isinstance(report, Success) and report.stderr is None and report.job_id not in self._first:
                self._first[report.job_id], self._texts[report.job_id] = report, text
        if self._first:
            told = [(id_, each.run, self._texts[id_], each.peak_memory) for id_, each in sorted(self._first.items())]
            params = tx.sql.succeeding(told)
            self.statements = [
                (tx.sql.succeed_many, {**params, "now": tx.now, "worker": self._worker}),
                (tx.sql.matters_of_many, {"ids": params["ids"]}),
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
        tx, texts = self._tx, self._texts
        rows, matters = (tx.execute(*each).fetchall() for each in self.statements)
        for job_id, key, type_, _ in sorted((row for row in rows if row[1] is not None), key=itemgetter(1, 2)):
            tx.execute(sql.KEEP_RESULT, (key, type_, texts[job_id], tx.now, tx.now))
            let_go(tx, job_id)
        found = {row[0]: self._first[row[0]] for row in rows}
        unlock_many(tx, {row[0]: row[2] for row in rows}, matters)
        for limit in sorted(row[3] for row in rows if row[3] is not None):
            limits.free(tx, limit)
        if found:
            tx.bells.add(ENDED)
        return found
