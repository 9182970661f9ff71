"""An index on a server for jobs that claims find by themselves, and old entries of its indexes removed in time."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_AGAIN = """CREATE INDEX jobs_again ON jobs (pool, type, claim_rank, deadline, id)
WHERE CASE WHEN state = 'queued' AND ready = 1 THEN run <> 0 OR not_before <> 0 OR deadline < 9223372036854775807
OR claim_rank < 0 OR claim_rank >= 5 ELSE false END"""


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(_AGAIN)
    for table in ("jobs", "workers", "batches"):
        op.execute(f"ALTER TABLE {table} SET (vacuum_index_cleanup = on)")
