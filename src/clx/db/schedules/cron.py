"""When a schedule fires: cron text, read in a time zone, as moments in milliseconds UTC.

Rule for the days on which clocks are changed, as Debian's cron has it: a schedule for certain hours goes by what the
clock on the wall shows. A time that does not exist fires once, at the next minute that does; one that is there twice
fires once, the first time. A schedule for every hour goes by hours that pass, and knows no such days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from clx.errors import QueueError
from clx.settings.problems import closest, did_you_mean, shortened

if TYPE_CHECKING:
    from cronsim import CronSim

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 'Write minute, hour, day of month, month, day of week: "30 6 * * MON-FRI" is 6:30 on working days.'


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The time zone of that name.

    Raises:
        QueueError: there is none of it here, with the name that was probably meant.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError):
        pass
    known = available_timezones()
    near = closest(str(name), known)
    step = f'Did you mean "{near}"?' if near else "Give a name like Europe/Berlin, or UTC."
    if not known:
        step = "This machine knows no time zones: apt-get install tzdata, or pip install tzdata."
    raise QueueError(f'There is no time zone "{shortened(str(name))}".', step)


def check_cron(text: str, zone: str) -> None:
    """Hold a schedule's times to what can be.

    Raises:
        QueueError: the text cannot be read, never fires, or there is no such zone.
    """
    if next(fires_after(text, zone, 0), None) is None:
        raise QueueError(f'The cron text "{shortened(text)}" never fires: there is no such day.', _FIELDS)


def fires_after(text: str, zone: str, after: int) -> Iterator[int]:
    """Every fire later than *after*, in order; milliseconds UTC.

    Raises:
        QueueError: as :func:`check_cron`.
    """
    from cronsim import CronSim

    where = zone_of(zone)
    latest = after
    for moment in CronSim(_on_the_wall(text), datetime.fromtimestamp(after / 1000, where)):
        at = round(moment.timestamp() * 1000)
        if at > latest:  # several times that do not exist are one; one that was there twice has been
            latest = at
            yield at


@lru_cache(maxsize=256)
def _on_the_wall(text: str) -> str:
    """*text* with every field in the form that makes cronsim apply the rule of this module."""
    from cronsim import CronSim, CronSimError

    if not isinstance(text, str):
        raise QueueError(f"A cron text is text, not {shortened(repr(text))}.", _FIELDS)
    if text.strip().startswith("@"):
        alias = text.strip().lower()
        if alias not in ALIASES:
            raise QueueError(f'The cron text "{shortened(text)}" is not known.', did_you_mean(alias, ALIASES))
        text = ALIASES[alias]
    fields = text.split()
    if len(fields) != 5:
        raise QueueError(f'The cron text "{shortened(text)}" has {len(fields)} fields, not five.', _FIELDS)
    try:
        read = CronSim(text, datetime.fromtimestamp(0, UTC))
    except (CronSimError, ValueError, AssertionError, TypeError) as error:
        what = str(error).lower() or "nobody can read it"
        raise QueueError(f'The cron text "{shortened(text)}" is not possible: {what}.', _FIELDS) from error
    return " ".join([*_times(read, fields), *fields[2:]])


def _times(read: CronSim, fields: list[str]) -> tuple[str, str]:
    """Minutes and hours: every hour as a star, hours of the wall as numbers, for cronsim looks at the first sign."""
    if len(read.hours) == 24:
        return fields[0], "*"
    return _numbers(read.minutes), _numbers(read.hours)


def _numbers(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))
