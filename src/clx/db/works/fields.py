"""The fields of a Work: what each may be, what it becomes, and what it is when nothing was said."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from clx.db.models import as_told
from clx.db.validation import is_text
from clx.errors import QueueError, UsageError
from clx.settings.problems import closest, did_you_mean, shortened

LONGEST_TIMEOUT = 259_200
"""Seconds: three days."""
STATUSES = ("created", "queued", "running", "success", "failure", "cancelled")


_TEXTS = frozenset({str})


class Field(NamedTuple):
    """A field of a Work.

    Attributes:
        check: makes the value that is kept of the one that was given; raises ValueError with what is allowed.
        usual: what it is when nothing was said.
        own: whether only CLX sets it.
    """

    check: Callable[[Any], Any]
    usual: Callable[[], Any]
    own: bool = False


def _text(value: Any) -> str:
    if not is_text(value) or not value:
        raise ValueError("a text that is not empty, without NUL")
    return str(value)


def _name(value: Any) -> str:
    if not is_text(value) or not value or len(value) > 128 or not value.isprintable() or value != value.strip():
        raise ValueError("a name of 1 to 128 characters")
    return str(value)


def _maybe(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return int(value)

    return check


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 253_402_300_800:
        raise ValueError("seconds since 1970, a number")
    return float(value)


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return check


def _texts(value: Any) -> list[str]:
    if value.__class__ is list and _TEXTS.issuperset(map(type, value)):  # as nearly always
        return list(dict.fromkeys(map(_text, value)))
    given = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(given, Sequence | set | frozenset) or isinstance(given, bytes):
        raise ValueError("a text, or a list of texts")  # noqa: TRY004  (one kind for all that is wrong)
    listed = sorted(given) if isinstance(given, set | frozenset) else list(given)
    return list(dict.fromkeys(_text(os.fspath(each) if isinstance(each, os.PathLike) else each) for each in listed))


def _events(value: Any) -> list[int]:
    if value.__class__ is int:
        return [value]
    given = [value] if isinstance(value, int) else value
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ValueError("a whole number, or a list of whole numbers")  # noqa: TRY004
    if any(isinstance(each, bool) or not isinstance(each, int) for each in given):
        raise ValueError("a whole number, or a list of whole numbers")
    return list(given)


def _group(value: Any) -> str | list[str]:
    return _text(value) if isinstance(value, str) else _texts(value)


def _json(value: Any) -> Any:
    try:
        return as_told(value)
    except QueueError as error:
        raise ValueError(f"what JSON can say ({error.fact})") from None


def _mapping(value: Any) -> dict[str, Any]:
    is_usual = value.__class__ is dict and _TEXTS.issuperset(map(type, value))
    if not is_usual and not (isinstance(value, Mapping) and all(isinstance(name, str) for name in value)):
        raise ValueError("a mapping with names as texts")
    found: dict[str, Any] = _json(value)
    return found


def results(value: Any) -> dict[str, Any]:
    """What is kept as results: a mapping, or ``{"result": value}`` of what is none."""
    return _mapping(value) if isinstance(value, Mapping) else _mapping({"result": value})


def _archive(value: Any) -> bool | dict[str, Any]:
    return value if isinstance(value, bool) else _mapping(value)


def _command(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError("a list of texts: a program and its arguments, which no shell reads")
    return [_text(each) if index == 0 else _argument(each) for index, each in enumerate(value)]


def _argument(value: Any) -> str:
    if not is_text(value):
        raise ValueError("a list of texts: a program and its arguments, which no shell reads")
    return str(value)


def _precursors(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list")  # noqa: TRY004
    return list(_json(list(value)))


def _config(value: Any) -> Any:
    return value if isinstance(value, str) else _mapping(value)


def _nothing() -> None:
    return None


def _variable(name: str, usual: str | None = None) -> Callable[[], str | None]:
    """What looks for a variable of this process, and is cheap where there is none: each Work asks for some."""
    known = getattr(os.environ, "_data", os.environ)
    key = os.environ.encodekey(name) if known is not os.environ else name
    return lambda: (os.environ.get(name) or usual) if key in known else usual


_LOGNAME, _WORK_TAGS = _variable("LOGNAME"), _variable("WORK_TAGS")


def _user() -> str:
    return _LOGNAME() or _login()


@cache
def _login() -> str:
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "unknown"


def _tags() -> list[str] | None:
    said = _WORK_TAGS()
    return None if said is None else [each for part in said.split(",") if (each := part.strip())] or None


def _usual(value: Any) -> Callable[[], Any]:
    return lambda: value


_FIELDS: dict[str, Field] = {
    "pipeline": Field(_name, _nothing),
    "parameters": Field(_maybe(_mapping), _nothing),
    "results": Field(_maybe(results), _nothing),
    "path": Field(_maybe(lambda value: _text(os.fspath(value))), _variable("WORK_PATH", ".")),
    "event": Field(_maybe(_events), _nothing),
    "tags": Field(_maybe(_texts), _tags),
    "group": Field(_maybe(_group), _variable("WORK_GROUP", None)),
    "timeout": Field(_whole(1, LONGEST_TIMEOUT), _usual(3600)),
    "retries": Field(_whole(0, 5), _usual(2)),
    "priority": Field(_whole(1, 5), _usual(3)),
    "products": Field(_maybe(_texts), _nothing),
    "plots": Field(_maybe(_texts), _nothing),
    "site": Field(_text, _variable("WORK_SITE", "local")),
    "user": Field(_text, _user),
    "archive": Field(_archive, _usual(True)),
    "precursors": Field(_maybe(_precursors), _nothing),
    "config": Field(_maybe(_config), _nothing),
    "id": Field(_maybe(_text), _nothing),
    "creation": Field(_moment, time.time),
    "start": Field(_maybe(_moment), _nothing),
    "stop": Field(_maybe(_moment), _nothing),
    "attempt": Field(_whole(0, 1_000_000), _usual(0)),
    "status": Field(_one_of(*STATUSES), _usual("created")),
    "function": Field(_maybe(_text), _nothing),
    "command": Field(_maybe(_command), _nothing),
    "notify": Field(_maybe(_mapping), _nothing),
    "parent": Field(_maybe(_text), _nothing),
    "error": Field(_maybe(_mapping), _nothing),
    "progress": Field(_json, _nothing),
    "artifacts": Field(_maybe(_mapping), _nothing, own=True),
    "run": Field(_maybe(_whole(0, 2**63 - 1)), _nothing, own=True),
}
FIELDS = _FIELDS
"""Every field by name, in the order of a payload."""
_CHECKS = {name: field.check for name, field in _FIELDS.items()}
ALIASES = {"tag": "tags", "events": "event", "groups": "group"}
"""What some fields are called as well."""


OWN = frozenset(name for name, field in _FIELDS.items() if field.own)
"""Fields that only CLX sets."""


def known(name: str, refused: Collection[str] = OWN) -> str:
    """The name of a field, whichever of its names was given.

    Args:
        refused: fields that are not taken there either: nobody is led to one of them.

    Raises:
        UsageError: there is none of that name.
    """
    found = ALIASES.get(name, name)
    if found not in FIELDS:
        raise UsageError(f"A work has no field {shortened(name)}.", _advice(name, refused))
    return found


def _advice(name: str, refused: Collection[str]) -> str:
    every = [*FIELDS, *ALIASES]
    near = closest(name, every)
    if near is not None and ALIASES.get(near, near) in refused:
        return "Leave it out: what it is near to is not said by hand."
    return did_you_mean(name, [each for each in every if ALIASES.get(each, each) not in refused])


def checked(name: str, value: Any) -> Any:
    """What is kept of *value* in the field *name*.

    Raises:
        UsageError: names the field, and what it may be.
    """
    return all_checked({name: value})[name]


def all_checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of values, by the names of their fields.

    Raises:
        UsageError: names the first field that cannot be that, and what it may be.
    """
    kept = {}
    for name, value in given.items():
        try:
            kept[name] = _CHECKS[name](value)
        except (ValueError, TypeError) as error:
            raise UsageError(f"The {name} of a work cannot be {shortened(repr(value))}.", f"It is {error}.") from None
    return kept
