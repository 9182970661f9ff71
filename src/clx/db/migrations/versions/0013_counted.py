"""Jobs that have ended, and results, are counted without reading each."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (type, state) WHERE finished_at IS NOT NULL")
    op.execute("CREATE INDEX IF NOT EXISTS works_results ON works (pipeline) WHERE in_results = 1")
