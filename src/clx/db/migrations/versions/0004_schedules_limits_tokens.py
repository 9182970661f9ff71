"""Jobs may expire or count to a limit; keys stay taken for a time; paused types; schedules; tokens of the server."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in _SQL.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
