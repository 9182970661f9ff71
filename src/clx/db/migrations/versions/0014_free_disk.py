"""How much room workers have where they keep what they make."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

_COLUMN = {"sqlite": "free_disk INTEGER", "postgresql": "IF NOT EXISTS free_disk BIGINT"}


def upgrade() -> None:
    op.execute(f"ALTER TABLE workers ADD COLUMN {_COLUMN[op.get_bind().dialect.name]}")
