"""How jobs are cancelled."""

from __future__ import annotations

from clx.db import statements as sql
from clx.db.consequences import end_dependents
from clx.db.doorbell import UNWANTED
from clx.db.transaction import Transaction


def request_cancel(tx: Transaction, job_id: int) -> bool | None:
    """Cancel a queued job, or leave word for the worker of a running one.

    Returns:
        Whether it is cancelled now; None where there was nothing to cancel.
    """
    row = tx.execute(tx.sql.job_to_change, (job_id,)).fetchone()
    if row is None or row[0] not in {"queued", "running"}:
        return None
    if row[0] == "queued":
        tx.execute(sql.CANCEL, (tx.now, None, job_id))
        end_dependents(tx, job_id, row[1], "cancelled")
        return True
    tx.execute(sql.REQUEST_CANCEL, (job_id,))
    tx.bells.add(UNWANTED)
    return False
