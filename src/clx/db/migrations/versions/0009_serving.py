"""Models that are served, and what became of their requests."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"

_ENDING = {"sqlite": ".sql", "postgresql": ".postgresql.sql"}


def upgrade() -> None:
    script = Path(__file__).with_suffix(_ENDING[op.get_bind().dialect.name])
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
