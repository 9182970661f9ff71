"""What servers of models say of them, for those who watch."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"

_ENDING = {"sqlite": ".sql", "postgresql": ".postgresql.sql"}


def upgrade() -> None:
    script = Path(__file__).with_suffix(_ENDING[op.get_bind().dialect.name])
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
