"""Parameters of statements: ``?`` and ``:name`` as the tables' statements have them, ``$1`` as a server wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from clx.errors import QueueError

_PART = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | :: | \? | :([A-Za-z_]\w*)""", re.VERBOSE | re.DOTALL
)


@lru_cache(maxsize=2000)
def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """*statement* with numbered parameters, and their names in order; no names where it has ``?``."""
    names: list[str] = []
    count = 0

    def number(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] == "?":
            count += 1
            return f"${count}"
        name = found[1]
        if name is None:
            return found[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PART.sub(number, statement), tuple(names)


def bound(statement: str, params: Mapping[str, Any] | Sequence[Any]) -> tuple[str, Sequence[Any] | None]:
    """The text and the values for the driver.

    Raises:
        QueueError: a name has no value.
    """
    query, names = numbered(statement)
    if not params:
        return query, None
    if not isinstance(params, Mapping):
        return query, params
    try:
        return query, [params[name] for name in names] or None
    except KeyError as error:
        raise QueueError(f"There is no value for the parameter {error.args[0]}.", "Give one.") from error
