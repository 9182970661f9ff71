"""Which database a command is about when none is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clx.errors import DatabaseError

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.settings.resolve import Resolved


def project_root(start: Path) -> Path:
    """The nearest directory from *start* upwards that holds ``.clx/`` or ``slides/``, else *start*.

    How far upwards, :func:`clx.settings.project.upwards` says.
    """
    from clx.settings.project import is_project, upwards

    return next((folder for folder in upwards(start) if is_project(folder)), start)


def database_path(resolved: Resolved, option: Path | None) -> Path:
    """The job table a command works on: as named, as set, else the project's.

    Raises:
        UsageError: its path is no text.
        UntrustedError: its directory is somebody else's, and nobody named it; something stands in its place; or only
            the project's settings name it, and it lies outside of the project.
        DatabaseError: a directory on the way may not be entered, or there are two databases of the name.
    """
    from clx.db.apart import located
    from clx.db.sqlite.driver import require_reachable
    from clx.db.state import StateDirectory

    named = option or resolved.database()
    path = (named or project_root(Path.cwd()) / ".clx" / "jobs.db").absolute()
    require_reachable(path)
    state = StateDirectory.of(path)
    state.require_sound()
    if option is None:
        state.require_own(resolved)
    return located(path)


NAME_IT = "Build a course first, or name another database with --db-path."


def no_database(path: Path) -> str:
    """That there is none, as every command says it."""
    return f"There is no database at {path} yet."


def services_elsewhere(path: Path, option: Path | None) -> list[Path]:
    """Other databases of this user that have services; none where the command was told which one it is about."""
    from clx.workers.supervision.service_state import databases_with_services

    if option:
        return []
    here = os.path.realpath(path)
    return [each for each in databases_with_services() if os.path.realpath(each) != here]


def open_to_look(resolved: Resolved, option: Path | None) -> Database | None:
    """The database for a command that only reads; None when there is none yet.

    Raises:
        DatabaseError: a file that was named on the command line is not there, it was removed under services that
            still run, or it cannot be read.
    """
    path = database_path(resolved, option)
    if not path.exists():
        from clx.workers.supervision.service_state import require_no_services

        require_no_services(path)
        if not _was_typed():
            return None
        raise DatabaseError(f"There is no database at {path}.", "Correct --db-path, or build a course with it first.")
    from clx.db.database import Database
    from clx.workers.executors.docker.containers import remove_leftovers

    remove_leftovers(path)
    return Database.open(path, readonly=True, busy_timeout=resolved.settings.database.busy_timeout)


def _was_typed() -> bool:
    """Whether the running command was given ``--db-path`` itself, not by the setting's variable."""
    import click
    from click.core import ParameterSource

    return click.get_current_context().get_parameter_source("db_path") == ParameterSource.COMMANDLINE


def open_to_change(resolved: Resolved, option: Path | None) -> Database | None:
    """The database for a command that changes what is there; None when there is none yet.

    Raises:
        DatabaseError: a file that was named on the command line is not there, or it cannot be used.
    """
    path = database_path(resolved, option)
    looked = open_to_look(resolved, option)
    if looked is None:
        return None
    looked.close()
    return open_or_make(resolved, path)


def open_or_make(resolved: Resolved, path: Path, *, starting: bool = False) -> Database:
    """The database at *path*, made where there is none.

    Args:
        starting: whether the command starts workers: where these are containers, the database is moved for them.

    Raises:
        DatabaseError: it cannot be opened, made or moved.
    """

    from clx.db.apart import link
    from clx.db.database import Database
    from clx.db.sqlite.lock_watch import tell_of_locks
    from clx.workers.platforms import database_options
    from clx.workers.supervision.checks import place_database, settings_for

    place = place_database(resolved, path, move=starting)
    opened = Database.open(place, **database_options(settings_for(resolved, place)))
    link(path)
    from clx.cli.terminal import echo

    tell_of_locks(opened, lambda text: echo(text, err=True))
    return opened
