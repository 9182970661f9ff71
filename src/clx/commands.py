"""Commands of clx as a user would type them."""

from __future__ import annotations

import shlex
from pathlib import Path


def on_database(command: str, path: Path | str) -> str:
    """*command*, e.g. ``clx jobs list``, about the database at *path*: the one place that writes ``--db-path``."""
    return f"{command} --db-path {shlex.quote(str(path))}"


def resume_jobs(type_: str, pool: str, path: Path | str) -> str:
    """The command that lets jobs of a paused type go on."""
    of_pool = f" --pool {shlex.quote(pool)}" if pool else ""
    return on_database(f"clx jobs resume {shlex.quote(type_)}{of_pool}", path)
