"""The first schema: jobs, runs, workers, batches, results, outputs, files, sources."""

from __future__ import annotations

from alembic import op

from clx.db.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
