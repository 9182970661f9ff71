"""Outputs know their course, output directory, job and key; source files their change time."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in ("course", "output", "task", "key"):
        op.execute(f"ALTER TABLE outputs ADD COLUMN {column} TEXT DEFAULT '' NOT NULL")
    op.execute("CREATE INDEX outputs_course ON outputs (course, output)")
    op.execute("ALTER TABLE files ADD COLUMN ctime_ns INTEGER DEFAULT 0 NOT NULL")
