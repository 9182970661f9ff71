"""Commands of clx as a user would type them."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

SERVED = ".postgresql"
"""What the name of a file ends with that stands for a database of a server; it holds the URL without a password."""


_ABOUT_JOBS = re.compile(r"\bclx (?:jobs|limits|schedules) [a-z]+(?: \d+)?")
_ABOUT_WHICH = re.compile(r" --db-path (?:'[^']*'(?:\"'\"'[^']*')*|[^\s'`]+)")


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


def on_server(command: str, url: str) -> str:
    """*command*, e.g. ``clx work search``, about the works of the server at *url*."""
    return f"{command} --url {shlex.quote(url)}"


def resume_jobs(type_: str, pool: str, path: Path | str) -> str:
    """The command that lets jobs of a paused type go on."""
    of_pool = f" --pool {shlex.quote(pool)}" if pool else ""
    return on_database(f"clx jobs resume {shlex.quote(type_)}{of_pool}", path)


def told_in(text: str, path: Path) -> str:
    """*text*, a next step of a library's call, with ``--db-path`` in its commands about jobs.

    Unless these find the database at *path* without, in the current directory, or nowhere: one in memory has no file.
    """
    if "--db-path" in text or path.absolute() == Path.cwd() / ".clx" / "jobs.db" or not path.exists():
        return text
    return _ABOUT_JOBS.sub(lambda found: on_database(found[0], path), text)


def told_elsewhere(text: str) -> str:
    """*text* without ``--db-path``: for another machine, where the database has no path."""
    return _ABOUT_WHICH.sub("", text)
