"""Versions of what lies in lakes."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"

_ENDING = {"sqlite": ".sql", "postgresql": ".postgresql.sql"}


def upgrade() -> None:
    script = Path(__file__).with_suffix(_ENDING[op.get_bind().dialect.name])
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
