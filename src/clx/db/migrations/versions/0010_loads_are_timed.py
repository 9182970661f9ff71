"""Models know how long their last load took."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    number = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    op.execute(f"ALTER TABLE serving_models ADD COLUMN load_ns {number} DEFAULT 0 NOT NULL")
