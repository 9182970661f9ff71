"""Which database is meant where none is named: that of the settings, else the project's."""

from __future__ import annotations

from pathlib import Path

from clx.settings.project import is_project, upwards
from clx.settings.resolve import Resolved


def project_root(start: Path) -> Path:
    """The nearest directory from *start* upwards that holds ``.clx/`` or ``slides/``, else *start*.

    How far upwards, :func:`clx.settings.project.upwards` says.
    """
    return next((folder for folder in upwards(start) if is_project(folder)), start)


def database_path(resolved: Resolved, option: Path | None, start: Path | None = None) -> Path:
    """The job table that a command or a program works on: as named, as set, else the project's.

    Args:
        start: where the project is looked for, from there upwards; None: the current directory.

    Raises:
        UsageError: its path is no text.
        UntrustedError: its directory is somebody else's, and nobody named it; something stands in its place; or only
            the project's settings name it, and it lies outside of the project.
        DatabaseError: a directory on the way may not be entered, or there are two databases of the name.
    """
    from clx.db.apart import located
    from clx.db.sqlite.driver import require_reachable
    from clx.db.state import StateDirectory
    from clx.db.url import named_database

    named = option or named_database(resolved)
    path = (named or project_root(start or Path.cwd()) / ".clx" / "jobs.db").absolute()
    require_reachable(path)
    state = StateDirectory.of(path)
    state.require_sound()
    if option is None:
        state.require_own(resolved)
    return located(path)
