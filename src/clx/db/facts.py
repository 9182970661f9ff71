"""What is known about a database and the ground it stands on, for ``clx doctor --db``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clx.commands import SERVED
from clx.db.database import Database


class Fact(msgspec.Struct, frozen=True):
    """One thing found out.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        detail: what was found.
        hint: what to do when it is not.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examine(path: Path, database: Database | None) -> list[Fact]:
    """What there is to know; *database* is None where there is none at *path* yet."""
    if path.name.endswith(SERVED):
        from clx.db.postgresql.facts import examine_server

        return examine_server(database)
    from clx.db.sqlite.facts import examine_file

    return examine_file(path, database)
