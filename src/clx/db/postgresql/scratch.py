"""A database of its own on a server, for a while: what is tried there touches no table of anybody's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

from clx.db.postgresql.address import parse
from clx.db.postgresql.connect import ServerClock, connect
from clx.db.postgresql.driver import driver, translate
from clx.errors import DatabaseError

_REACHED_IN = 10.0


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server of *url*, which is dropped at the end.

    Raises:
        DatabaseError: the server cannot be reached, or lets this user make none.
    """
    address, name = parse(url), f"clx_scratch_{os.urandom(4).hex()}"
    try:
        with connect(address, ServerClock(), seconds=_REACHED_IN) as raw:
            raw.execute(f"CREATE DATABASE {name}")
    except driver.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"{address.user} may make no database on {address}: this is done in one of its own.",
            f'Let an administrator type: ALTER ROLE "{address.user}" CREATEDB',
        ) from error
    except driver.Error as error:
        raise translate(error, str(address)) from error
    found = _with_database(url, name)
    try:
        yield found
    finally:
        shutil.rmtree(parse(found).place.parent.parent, ignore_errors=True)
        with connect(address, ServerClock(), seconds=_REACHED_IN) as raw:
            raw.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "dbname"]
    return parts._replace(path=f"/{name}", query=urlencode(kept)).geturl()
