"""How much room workers have where they keep what they make."""

from __future__ import annotations

import sqlalchemy
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("workers", sqlalchemy.Column("free_disk", sqlalchemy.BigInteger))
