"""Keys and kept results belong to a type; a job may wait behind one of its key; rescues are counted beside kills."""

from __future__ import annotations

from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0003"
down_revision = "0002"

_RULES = {
    "jobs": {
        "CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))": (
            "CHECK (state = 'queued' OR state = 'running' OR state = 'succeeded' OR state = 'failed' "
            "OR state = 'cancelled')"
        ),
        "CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))": (
            "CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL))"
        ),
    },
    "runs": {
        "CHECK (outcome IN ('succeeded', 'failed', 'rescued', 'released', 'cancelled'))": (
            "CHECK (outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'rescued' OR outcome = 'released' "
            "OR outcome = 'cancelled')"
        ),
    },
}
"""The same rules in words for which SQLite builds no temporary table at every change."""

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
    _put_rules_otherwise()


def _put_rules_otherwise() -> None:
    """Write the rules anew in place, as https://www.sqlite.org/lang_altertable.html#otheralter allows it for CHECK."""
    connection = op.get_bind()
    version = int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        for table, rules in _RULES.items():
            for before, now in rules.items():
                connection.exec_driver_sql(
                    "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?",
                    (before, now, table),
                )
    except OperationalError:  # a library that lets nobody (SQLITE_DBCONFIG_DEFENSIVE): slower, but as right
        return
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
