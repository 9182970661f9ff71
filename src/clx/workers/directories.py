"""Where workers keep files while they live."""

from __future__ import annotations

from pathlib import Path

from clx.db.database import Database


def work_directory(database: Database, worker_id: int) -> Path:
    """Where a worker keeps the directories of its jobs; whoever strikes it off removes what is left there."""
    return database.state_dir / "work" / str(worker_id)
