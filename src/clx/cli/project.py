"""Which database a command is about when none is named."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from clx.cli.terminal import echo
from clx.commands import database_name
from clx.db.of_project import database_path
from clx.errors import DatabaseError, UsageError
from clx.settings.resolve import Resolved, resolve

if TYPE_CHECKING:
    from clx.db.database import Database


NAME_IT = "Build a course first, or name another database with --db-path."


class Here:
    """What a command is about: the settings that hold here, and the job table that was named, or is the project's."""

    def __init__(self, option: Path | None = None, course: Path | None = None, start: Path | None = None) -> None:
        self._option = option
        self._start = start
        self._course = course

    @cached_property
    def resolved(self) -> Resolved:
        """The settings and where they come from, the course's if there is one; ``SettingsError`` where one is wrong."""
        return resolve(self._start or (Path.cwd() if self._course is None else self._course.absolute().parent))

    def near(self, start: Path) -> Here:
        """The same of the project that the directory *start* lies in."""
        return Here(self._option, start=start)

    def types(self) -> list[str]:
        """The types of workers that the course needs; without one, those that services have workers of."""
        if self._course is None:
            return list(self.resolved.served_types())
        from clx.course.worker_types import worker_types

        return worker_types(self._course, self.resolved.settings)

    @cached_property
    def path(self) -> Path:
        """The job table, which need not be there; raises as :func:`database_path`."""
        return database_path(self.resolved, self._option, self._start)

    @property
    def nobody(self) -> str:
        """That it is not there, as every command says it."""
        return f"There is no database at {database_name(self.path)} yet."

    def services_elsewhere(self) -> list[Path]:
        """Other databases of this user that have services; none where the command was told which one it is about."""
        from clx.workers.supervision.service_state import databases_with_services

        if self._option:
            return []
        mine = os.path.realpath(self.path)
        return [each for each in databases_with_services() if os.path.realpath(each) != mine]

    def look(self) -> Database | None:
        """The database for a command that only reads; None when there is none yet.

        Raises:
            DatabaseError: a file that was named on the command line is not there, it was removed under services that
                still run, or it cannot be read.
        """
        path = self.path
        if not path.exists():
            from clx.workers.supervision.service_state import require_no_services

            require_no_services(path)
            if not _was_typed():
                return None
            advice = "Correct --db-path, or build a course with it first."
            raise DatabaseError(f"There is no database at {path}.", advice)
        from clx.db.database import Database
        from clx.workers.executors.leftovers import remove_leftovers

        remove_leftovers(path)
        return Database.open(path, readonly=True, busy_timeout=self.resolved.settings.database.busy_timeout)

    def change(self) -> Database | None:
        """The database for a command that changes what is there; None when there is none yet.

        Raises:
            DatabaseError: a file that was named on the command line is not there, or it cannot be used.
        """
        looked = self.look()
        if looked is None:
            return None
        looked.close()
        return open_or_make(self.resolved, self.path)

    def require(self, database: Database | None) -> Database:
        """What :meth:`look` or :meth:`change` gave; ``DatabaseError`` where there is none yet."""
        if database is None:
            raise DatabaseError(self.nobody, NAME_IT)
        return database

    def unknown(self, what: str, listed_by: str = "") -> UsageError:
        """That *what* (``job 7``) was named and is not there; without a command that lists them: nor a database."""
        if not listed_by:
            return UsageError(f"There is no {what}. {self.nobody}", NAME_IT)
        return UsageError(f"There is no {what}.", f"`{listed_by}` names those there are.")


def _was_typed() -> bool:
    """Whether the running command was given ``--db-path`` itself, not by the setting's variable."""
    return click.get_current_context().get_parameter_source("db_path") == ParameterSource.COMMANDLINE


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
    tell_of_locks(opened, lambda text: echo(text, err=True))
    return opened
