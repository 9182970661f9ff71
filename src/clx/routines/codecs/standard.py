"""Values of the standard library: dates and times, durations, ``Decimal``, ``UUID``, ``complex``."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from clx.routines.codecs.canonical import Files, Refusal, Writer, alone, as_type, float_text, quoted, value_of


def writer(kind: type) -> Writer | None:
    """How values of *kind* are written."""
    return _WRITERS.get(kind)


def _zone_text(zone: tzinfo | None) -> str:
    """``null``; the key of a zone; or seconds from UTC with the name that was given to them, if any."""
    if zone is None:
        return "null"
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return f"[{_timedelta_items(offset)}{''.join(',' + quoted(each) for each in name)}]"
    from zoneinfo import ZoneInfo

    if type(zone) is ZoneInfo and zone.key is not None:
        return quoted(zone.key)
    raise Refusal(
        f"a zone of the type {type(zone).__module__}.{type(zone).__qualname__}.",
        "Use datetime.timezone, or zoneinfo.ZoneInfo with a key.",
    )


def _zone_of(data: Any) -> tzinfo | None:
    if data is None:
        return None
    if type(data) is list:
        return timezone(
            timedelta(*(as_type(int, each) for each in data[:3])), *(as_type(str, each) for each in data[3:])
        )
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(as_type(str, data))
    except (ZoneInfoNotFoundError, OSError) as error:
        raise Refusal(f"the zone {data[:60]!r} is not known here.", "Type: pip install tzdata") from error


def _clock_text(tag: str) -> Writer:
    return alone(lambda value: f'{{"{tag}":["{value.isoformat()}",{value.fold},{_zone_text(value.tzinfo)}]}}')


def _clock_of(kind: type[datetime] | type[time]) -> Any:
    def read(data: Any) -> datetime | time:
        text, fold, zone = as_type(list, data, 3)
        found = kind.fromisoformat(as_type(str, text)).replace(tzinfo=_zone_of(zone), fold=as_type(int, fold))
        if found.isoformat() != text:
            raise Refusal(
                f"{text[:60]} is {found.isoformat()} by the rules of {str(zone)[:60]} that this machine has.",
                "Bring tzdata up to date, here or where the value came from.",
            )
        return found

    return alone(read)


def _timedelta_items(value: timedelta) -> str:
    return f"{value.days},{value.seconds},{value.microseconds}"


def _complex(data: Any, files: Files | None, depth: int) -> complex:
    real, imaginary = as_type(list, data, 2)
    return complex(*(as_type(float, value_of(each, files, depth)) for each in (real, imaginary)))


_WRITERS: dict[type, Writer] = {
    date: alone(lambda value: f'{{"$date":"{value.isoformat()}"}}'),
    time: _clock_text("$time"),
    datetime: _clock_text("$datetime"),
    timedelta: alone(lambda value: f'{{"$timedelta":[{_timedelta_items(value)}]}}'),
    Decimal: alone(lambda value: f'{{"$decimal":"{value}"}}'),
    UUID: alone(lambda value: f'{{"$uuid":"{value}"}}'),
    complex: alone(lambda value: f'{{"$complex":[{float_text(value.real)},{float_text(value.imag)}]}}'),
}
READ = {
    "$date": alone(date.fromisoformat),
    "$time": _clock_of(time),
    "$datetime": _clock_of(datetime),
    "$timedelta": alone(lambda data: timedelta(*(as_type(int, each) for each in as_type(list, data, 3)))),
    "$decimal": alone(lambda data: Decimal(as_type(str, data))),
    "$uuid": alone(lambda data: UUID(as_type(str, data))),
    "$complex": _complex,
}
