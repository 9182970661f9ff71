"""From what a user writes to an open database: a path or a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from clx.db.clock import Clock
from clx.db.database import Database
from clx.errors import UsageError
from clx.settings.problems import did_you_mean
from clx.settings.secret import without_password

if TYPE_CHECKING:
    from clx.settings.resolve import Resolved

MEMORY = "memory:"
"""The queue that lives and ends with the object that opened it."""
_WAYS = "Write a path, sqlite:///PATH, postgresql://USER@HOST/DATABASE, or memory: for one in this program only."
_WAYS_HERE = "Write the path of a file, or postgresql://USER@HOST/DATABASE."
_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "journal_mode": (lambda _value: True, "looked at where it is set"),
    "busy_timeout": (lambda value: isinstance(value, int | float) and value >= 0, "a number of seconds from 0"),
    "readonly": (lambda value: isinstance(value, bool), "True or False"),
    "clock": (lambda value: isinstance(value, Clock), "a clx.db.clock.Clock, or of a class of your own that is one"),
}
"""Option → whether a value is allowed, and what is."""
_OF_MEMORY = {"clock"}
"""Those that a database in memory takes."""
_OF_SERVED = _OPTIONS.keys() - {"journal_mode"}
_LOOKALIKES = (":memory:", MEMORY, "sqlite:", "file:")
"""How other programs name databases; taken for paths they would become files of these names."""


_SERVED = ("postgresql://", "postgres://")


def is_served(text: str) -> bool:
    """Whether *text* is the URL of a database of a server."""
    return text.startswith(_SERVED)


def placed(url: str) -> Path:
    """The file that stands for the database of a *url* on this machine; made, so that commands find it.

    The password goes to child processes by their environment: their command line anybody may read.

    Raises:
        UsageError: *url* cannot be understood.
        DatabaseError: the directory of that file cannot be made, or psycopg is not installed.
    """
    from clx.db.postgresql.address import VARIABLE, parse

    address = parse(url)
    address.stand_in()
    if address.has_secrets():
        os.environ[VARIABLE] = url
    return address.place


def named_database(resolved: Resolved) -> Path | None:
    """The file of the database that the settings name, or that stands for it; None when they name none.

    Raises:
        UntrustedError: a project's settings name it, and this user has not trusted it.
        UsageError, DatabaseError: as :func:`placed`.
    """
    url = resolved.database_url()
    return resolved.database() if url is None else placed(url)


def open_database(path_or_url: str | os.PathLike[str], **options: Any) -> Database:
    """Open the database that *path_or_url* names.

    A path, ``sqlite:///PATH?journal_mode=…``, ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE`` or ``memory:``.

    Raises:
        UsageError: it names something else, or an option that such a database does not take.
        DatabaseError: as :meth:`clx.db.database.Database.open` says.
    """
    if not isinstance(path_or_url, str | os.PathLike):
        raise UsageError(f"{path_or_url!r} is not a database CLX can open.", _WAYS)
    text = os.fspath(path_or_url)
    served = is_served(text)
    _check_options(options, _OF_MEMORY if text == MEMORY else _OF_SERVED if served else _OPTIONS)
    if text == MEMORY:
        return _open_in_memory(options)
    if served:
        from clx.db.postgresql.database import PostgresDatabase

        return PostgresDatabase.open(text, **options)
    if "://" in text:
        return _open_url(text, options)
    if isinstance(path_or_url, str) and text.startswith(_LOOKALIKES):
        raise UsageError(f"{text} is not a database CLX can open.", f"{_WAYS} A file of that name is ./{text}.")
    return Database.open(Path(text), **options)


def require_path(text: str) -> None:
    """See that *text* is meant as a path: the URL of another kind of database would become a file of that name.

    Raises:
        UsageError: it is a URL. A password in it is not shown.
    """
    if "://" in text or text.startswith(("sqlite:", "postgresql:", "postgres:")):
        raise UsageError(f"{without_password(text)} is not a database CLX can open here.", _WAYS_HERE)


def _check_options(options: dict[str, Any], taken: Collection[str]) -> None:
    """Hold the options of a database to what they mean.

    Args:
        taken: those that this kind of database takes: nobody is led to another.

    Raises:
        UsageError: names the option.
    """
    for name, value in options.items():
        if name not in _OPTIONS:
            raise UsageError(f"{name} is no option of a database.", did_you_mean(name, list(taken)))
        is_allowed, allowed = _OPTIONS[name]
        if value is not None and not is_allowed(value):
            raise UsageError(f"{name}={value!r} is not possible.", f"It is {allowed}.")


def _open_in_memory(options: dict[str, Any]) -> Database:
    from clx.db.sqlite.memory import MemoryDatabase

    if others := options.keys() - _OF_MEMORY:
        raise UsageError(
            f"A queue in memory takes no {' and no '.join(sorted(others))}.", f'Write Queue.open("{MEMORY}").'
        )
    return MemoryDatabase.open(Path(MEMORY), **options)


def _open_url(text: str, options: dict[str, Any]) -> Database:
    parts = urlsplit(text)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path)[1:]
    if parts.scheme != "sqlite" or parts.netloc or path in ("", ":memory:"):
        raise UsageError(f"{without_password(text)} is not a database CLX can open.", _WAYS)
    if parts.fragment:
        raise UsageError(f"{text}: what follows # belongs to no file.", "Write %23 for a # in its name.")
    if set(given) - {"journal_mode"} or given.get("journal_mode", "wal") not in {"wal", "delete"}:
        raise UsageError(
            f"{text}: only journal_mode=wal or journal_mode=delete can be set.",
            "Correct the URL; write %3F for a ? in the file's name.",
        )
    return Database.open(Path(path), **{**given, **options})
