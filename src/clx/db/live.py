"""What is live, for those who look every second: asked of small indexes, whatever lies in the table beside."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from clx.db.database import Database
from clx.db.models import encode
from clx.db.odd_rows import Reader

_NAMES = ("id", "type", "pool", "state", "run")
_READER = Reader.of("jobs", _NAMES)


class JobFact(NamedTuple):
    """The least that is to be said of a job."""

    id: int
    type: str
    pool: str
    state: str
    run: int


def live_jobs(database: Database, most: int) -> list[JobFact] | None:
    """The jobs that wait or run, by id; None where they are more than *most*."""
    known = database.sql
    parts = (
        f"SELECT * FROM (SELECT {', '.join(_NAMES)} FROM jobs {part} LIMIT :most) AS part"
        for part in (*known.queued, known.running)
    )
    rows = database.read(f"{' UNION ALL '.join(parts)} LIMIT :most", {"most": most + 1})
    return None if len(rows) > most else sorted({fact.id: fact for fact in map(_fact, rows)}.values())


def ended_since(database: Database, newest: int, ids: Collection[int], most: int) -> list[JobFact]:
    """The jobs among *ids*, and the first *most* that were put in after the job *newest*, by id."""
    columns = ", ".join(_NAMES)
    later = database.read(f"SELECT {columns} FROM jobs WHERE id > ? ORDER BY id LIMIT ?", (newest, most))
    named = f"SELECT {columns} FROM jobs WHERE id IN ({database.sql.ids('ids')})"
    rows = [*database.read(named, {"ids": encode(sorted(ids))}), *later] if ids else later
    return sorted({fact.id: fact for fact in map(_fact, rows)}.values())


def newest_job(database: Database) -> int:
    """The highest id there is; 0 where there is none."""
    return int(database.read("SELECT coalesce(max(id), 0) FROM jobs")[0][0])


def _fact(row: tuple[object, ...]) -> JobFact:
    return JobFact(*_READER.read(row)[0])
