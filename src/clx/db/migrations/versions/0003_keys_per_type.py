"""Keys and kept results belong to a type; a job may wait behind one of its key; rescues are counted beside kills."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_RESULTS = """CREATE TABLE results_of_types (
  "key" TEXT NOT NULL,
  type TEXT NOT NULL,
  result TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY ("key", type)
)
 WITHOUT ROWID"""


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN rescues INTEGER DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE jobs ADD COLUMN after_id INTEGER")
    op.execute("UPDATE jobs SET rescues = kills WHERE kills > 0")
    op.execute("DROP INDEX jobs_live_key")
    op.execute(
        """CREATE UNIQUE INDEX jobs_live_key ON jobs ("key", type, pool)
        WHERE key IS NOT NULL AND state IN ('queued', 'running') AND after_id IS NULL"""
    )
    op.execute("CREATE UNIQUE INDEX jobs_behind ON jobs (after_id) WHERE after_id IS NOT NULL AND state = 'queued'")
    op.execute('CREATE INDEX jobs_ended_key ON jobs ("key") WHERE key IS NOT NULL AND finished_at IS NOT NULL')
    op.execute("CREATE INDEX jobs_aside ON jobs (id, state) WHERE waits_for > 0 OR state IN ('failed', 'cancelled')")
    op.execute(_RESULTS)
    op.execute('INSERT INTO results_of_types SELECT "key", type, result, created_at, used_at FROM results')
    op.execute("DROP TABLE results")
    op.execute("ALTER TABLE results_of_types RENAME TO results")
