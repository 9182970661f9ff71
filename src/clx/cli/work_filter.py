"""Which works a command is about: an option for each field, and conditions on any part of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from clx.cli import completing
from clx.errors import UsageError
from clx.settings.problems import did_you_mean, shortened

if TYPE_CHECKING:
    from clx.db.works.searching import Condition, Search

F = TypeVar("F", bound=Callable[..., Any])

_STATUSES = ("queued", "running", "success", "failure", "cancelled")
ORDERS = ("deposit", "id", "creation", "start", "stop", "priority", "attempt")
_TEXTS = frozenset({"id", "pipeline", "site", "user", "status", "tags", "group", "parent", "products", "plots", "path"})
"""Fields whose values are texts, also where they look like numbers."""
_CONDITION = re.compile(r"\s*([^\s=!<>]+)\s*(?:(!=|<=|>=|==?|<|>| not in\b| in\b)\s*(.*\S)?\s*)?", re.DOTALL)
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(s|min|h|d|w)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = "2026-11-30"
_SEEN = frozenset({"in_bucket", "in_results", "archived"})
"""What can be asked for and is no field."""


class Filter(NamedTuple):
    """Which works.

    Attributes:
        conditions: what all of them are.
        text: words that stand somewhere in them.
        notes: what is odd about it, for people.
    """

    conditions: tuple[Condition, ...]
    text: str = ""
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions or self.text)

    def also(self, *conditions: Condition) -> Filter:
        """The same with further conditions."""
        return self._replace(conditions=(*self.conditions, *conditions))

    def search(self, order: str = "-deposit", after: str | None = None, limit: int | None = None) -> Search:
        """The search for these."""
        from clx.db.works.searching import Search

        return Search(self.conditions, self.text, order, after, limit)


_OPTIONS: tuple[tuple[str, str, str, Any], ...] = (
    ("--id", "id", "ID", completing.work_ids()),
    ("--pipeline", "pipeline", "NAME", completing.pipelines),
    ("--event", "event", "N", None),
    ("--tag", "tags", "TEXT", None),
    ("--group", "group", "TEXT", None),
    ("--site", "site", "SITE", None),
    ("--user", "user", "USER", None),
    ("--parent", "parent", "ID", None),
    ("--product", "products", "PATH", None),
    ("--plot", "plots", "PATH", None),
    ("--priority", "priority", "N", None),
)


def filter_options(*without: str) -> Callable[[F], F]:
    """Options that say which works; the command gets the :class:`Filter` they mean as ``wanted``.

    Args:
        without: options that the command has otherwise.
    """

    def decorate(command: F) -> F:
        @wraps(command)
        def run(*arguments: Any, **options: Any) -> Any:
            names = [field for option, field, _, _ in _OPTIONS if option not in without]
            given = {field: options.pop(f"only_{field}") for field in names}
            given["status"] = options.pop("statuses", ())
            times = {name: options.pop(name) for name in ("since", "until", "ended_since", "ended_until")}
            wanted = made(given, options.pop("where"), options.pop("text"), times)
            return command(*arguments, wanted=wanted, **options)

        for each in reversed(list(_filter_options(without))):
            run = each(run)
        return run  # type: ignore[return-value]

    return decorate


def _filter_options(without: Sequence[str]) -> Iterator[Callable[[Any], Any]]:
    if "--status" not in without:
        yield click.option(
            "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these. Repeatable."
        )
    for option, field, metavar, complete in _OPTIONS:
        if option not in without:
            kind = int if metavar == "N" else str
            help_ = f"Only of this {option[2:]}. Repeatable: one of them."
            yield click.option(option, f"only_{field}", multiple=True, metavar=metavar, type=kind,
                               shell_complete=complete, help=help_)  # fmt: skip
    yield click.option("--where", multiple=True, metavar="CONDITION",
                       help="Only where that holds: results.sum=3, attempt>=2, 'parameters.dm in [1, 2]', error. "
                       "Repeatable: all of them.")  # fmt: skip
    yield click.option("--text", default="", metavar="WORDS", help="Only with all these words, wherever they stand.")
    for name, what in (("", "created"), ("ended-", "ended")):
        since = f"Only {what} since then: {_DATE}, {_DATE}T06:00, or 2h (min, h, d, w) ago."
        yield click.option(f"--{name}since", metavar="TIME", help=since)
        yield click.option(f"--{name}until", metavar="TIME", help=f"Only {what} until then.")


def made(
    fields: Mapping[str, Sequence[Any]], where: Sequence[str], text: str, times: Mapping[str, str | None]
) -> Filter:
    """What options mean.

    Raises:
        UsageError: names the one that means nothing.
    """
    from clx.db.works.searching import Condition

    found = [Condition(name, "in", list(given)) for name, given in fields.items() if given]
    for field, prefix in (("creation", ""), ("stop", "ended_")):
        for name, operator in ((f"{prefix}since", ">="), (f"{prefix}until", "<")):
            said = times[name]
            if said is not None:
                found.append(Condition(field, operator, moment(said, is_end=operator == "<")))  # type: ignore[arg-type]
    found += map(condition, where)
    return Filter(tuple(found), text, tuple(_notes(found)))


def condition(text: str) -> Condition:
    """What ``--where`` means.

    Raises:
        UsageError: it means nothing.
    """
    from clx.db.works.fields import ALIASES
    from clx.db.works.searching import Condition

    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise _no_condition(text)
    head, dot, rest = parts[1].partition(".")
    field = f"{ALIASES.get(head, head)}{dot}{rest}"
    operator, said = (parts[2] or "").strip().replace("==", "="), parts[3] or ""
    if not operator:
        return Condition(field, "exists", True)
    value = _value(field, said)
    if operator in {"in", "not in"} and not isinstance(value, list):
        raise UsageError(f"--where {shortened(text)} has no list.", f"Write '{shortened(parts[1])} in [1, 2]'.")
    return Condition(field, operator, value)  # type: ignore[arg-type]


def _no_condition(text: str) -> UsageError:
    return UsageError(f"--where {shortened(text)} is no condition.", "Write FIELD=VALUE, with = != < <= > >= in.")


def _value(field: str, text: str) -> Any:
    """What JSON reads in *text*, or the text."""
    from clx.db.models import decode

    try:
        found = decode(text)
    except (ValueError, RecursionError):
        return text
    return text if field in _TEXTS and not isinstance(found, str | list | None) else found


def moment(text: str, *, is_end: bool) -> float:
    """Seconds UTC of a date, a date and time by this machine's clock, or a time ago; *is_end*: a date's end.

    Raises:
        UsageError: it is none.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})).timestamp()
        found = datetime.fromisoformat(text)
        if is_end and len(text) <= len(_DATE):
            found += timedelta(days=1)
        return max(0.0, found.timestamp())
    except (ValueError, OverflowError, OSError):
        raise UsageError(f'"{shortened(text)}" is no time.', f"Write {_DATE}, {_DATE}T06:00, or 2h for ago.") from None


def _notes(conditions: Sequence[Condition]) -> Iterator[str]:
    from clx.db.works.fields import FIELDS

    for each in conditions:
        head = each.field.partition(".")[0]
        if head not in FIELDS and head not in _SEEN:
            yield f"Note: works have no field {shortened(head)} of their own. {did_you_mean(head, FIELDS)}"
