"""Commands of clx as a user would type them."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

SERVED = ".postgresql"
"""What the name of a file ends with that stands for a database of a server; it holds the URL without a password."""


def database_name(path: Path | str) -> str:
    """What the database at *path* is called by its users: its path, or the URL that the file stands for."""
    text = str(path)
    if text.endswith(SERVED):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return Path(text).read_text(encoding="utf-8").strip() or text
    return text


def on_database(command: str, path: Path | str) -> str:
    """*command*, e.g. ``clx jobs list``, about the database at *path*: the one place that writes ``--db-path``."""
    return f"{command} --db-path {shlex.quote(database_name(path))}"


def resume_jobs(type_: str, pool: str, path: Path | str) -> str:
    """The command that lets jobs of a paused type go on."""
    of_pool = f" --pool {shlex.quote(pool)}" if pool else ""
    return on_database(f"clx jobs resume {shlex.quote(type_)}{of_pool}", path)
