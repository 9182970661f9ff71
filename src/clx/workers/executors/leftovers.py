"""What builds left that were killed together with all that ends their containers."""

from __future__ import annotations

from pathlib import Path

from clx.db.apart import state_directory


def remove_leftovers(database: Path) -> list[str]:
    """Remove containers that builds left on *database* whose process and reaper were both killed.

    Costs one look into a directory when there is nothing to do; returns the names of what was removed.
    """
    if not any((state_directory(database) / "containers").glob("*.json")):
        return []
    from clx.workers.executors.docker.containers import remove_abandoned  # nearly no build needs all that

    return remove_abandoned(database)
