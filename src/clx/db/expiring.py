"""Jobs that have not begun in time: cancelled with that cause by whoever sweeps, or would have begun one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clx.db import statements as sql
from clx.db.consequences import end_dependents
from clx.db.doorbell import ENDED
from clx.db.models import Job, encode
from clx.db.transaction import Transaction

MOST = 500
"""Jobs that one transaction cancels, so that nobody else waits for long."""


def expire_due(tx: Transaction) -> list[int]:
    """Cancel queued jobs whose time is over, and what waits for them; returns the ids of the former."""
    rows = tx.execute(tx.sql.expired, {"now": tx.now, "n": MOST}).fetchall()
    return [job_id for job_id, expires_at in rows if _expire(tx, job_id, expires_at)]


def expire_claimed(tx: Transaction, job: Job) -> None:
    """Cancel a job that was claimed in this transaction, too late."""
    tx.execute(sql.UNCLAIM, {"id": job.id, "held": 0, "until": job.not_before})
    _expire(tx, job.id, job.expires_at or 0)


def _expire(tx: Transaction, job_id: int, expires_at: int) -> bool:
    params = {"id": job_id, "now": tx.now, "error": encode(_expired(expires_at))}
    rows = tx.execute(sql.EXPIRE, params).fetchall()
    if not rows:
        return False  # it has ended with one that it waited for
    end_dependents(tx, job_id, rows[0][0], "cancelled")
    tx.bells.add(ENDED)
    return True


def _expired(at: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return {
        "type": "Expired",
        "message": f"it had not begun by {moment:%Y-%m-%d %H:%M:%S} UTC",
        "cause": {"kind": "expired"},
    }
