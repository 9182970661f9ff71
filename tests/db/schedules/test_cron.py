"""When a schedule fires, above all on the days on which clocks are changed."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from tests.db.schedules.conftest import ms

from clx.db.schedules import cron
from clx.db.schedules.cron import check_cron, fires_after, zone_of
from clx.errors import QueueError


def fires(text: str, zone: str, start: str, n: int) -> list[str]:
    found = islice(fires_after(text, zone, ms(start, zone) - 1), n)
    return [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%m-%d %H:%M%z")[:-2] for at in found]


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["03-28 02:30+01", "03-29 03:00+02", "03-30 02:30+02"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", ["10-24 02:30+02", "10-25 02:30+02", "10-26 02:30+01"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-29", ["03-29 03:00+02", "03-29 03:30+02", "03-30 02:30+02"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29", ["03-29 03:00+02", "03-30 02:00+02", "03-30 02:30+02"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25", ["10-25 02:00+02", "10-25 02:30+02", "10-26 02:00+01"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25", ["10-25 00:00+02", "10-25 02:00+02", "10-25 04:00+01"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-29", ["03-29 00:00+01", "03-29 03:00+02", "03-29 04:00+02"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["10-04 02:30+11", "10-05 02:15+11"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["04-05 01:45+11", "04-06 01:45+10"]),
    ],
)
def test_a_time_that_is_not_there_or_twice_fires_once(text: str, zone: str, start: str, expected: list[str]) -> None:
    assert fires(text, zone, start, len(expected)) == expected


@pytest.mark.parametrize("text", ["0 * * * *", "0 */1 * * *", "0 0-23 * * *", "@hourly"])
def test_every_hour_goes_by_hours_that_pass(text: str) -> None:
    longer = ["10-25 01:00+02", "10-25 02:00+02", "10-25 02:00+01", "10-25 03:00+01"]
    assert fires(text, "Europe/Berlin", "2026-10-25T01:00", 4) == longer
    assert fires(text, "Europe/Berlin", "2026-03-29T01:00", 3) == ["03-29 01:00+01", "03-29 03:00+02", "03-29 04:00+02"]


def test_a_look_from_within_the_second_of_two_hours_does_not_fire_the_first_again() -> None:
    within = ms("2026-10-25T01:10", "Europe/Berlin") + 2 * 3600_000  # 2:10, the second time
    [at] = islice(fires_after("30 2 * * *", "Europe/Berlin", within), 1)
    assert at == ms("2026-10-26T02:30")


def test_a_fire_is_later_than_what_it_comes_after() -> None:
    at = ms("2026-11-25T06:00")
    assert next(fires_after("0 6 * * *", "Europe/Berlin", at - 1)) == at
    assert next(fires_after("0 6 * * *", "Europe/Berlin", at)) == ms("2026-11-26T06:00")
    assert next(fires_after("0 6 * * *", "UTC", at)) == ms("2026-11-25T07:00")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("0 25 * * *", "is not possible: bad hour"),
        ("0 6 * * MOM", "is not possible: bad day-of-week"),
        ("* * * * * *", "has 6 fields, not five"),
        ("", "has 0 fields"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 */0 * *", "bad day-of-month"),
        ("L * * * *", "bad minute"),
        (None, "is text, not None"),
    ],
)
def test_a_text_that_cannot_be_is_refused_in_words(text: str, fact: str) -> None:
    with pytest.raises(QueueError, match=fact) as raised:
        check_cron(text, "UTC")
    assert "minute, hour, day of month, month, day of week" in raised.value.next_step


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(QueueError, match="never fires: there is no such day"):
        check_cron("0 0 */30 2 MON#5", "UTC")  # a fifth Monday of February on the 1st


def test_names_nearby_are_told() -> None:
    for text, zone, near in (("@daly", "UTC", "@daily"), ("0 6 * * *", "Europe/Berlni", "Europe/Berlin")):
        with pytest.raises(QueueError) as raised:
            check_cron(text, zone)
        assert raised.value.next_step == f'Did you mean "{near}"?'


@pytest.mark.parametrize("name", ["", "Europe", "../etc/passwd", "/etc/localtime", "Eu\0rope", "x" * 5000])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(QueueError, match="There is no time zone"):
        zone_of(name)


def test_a_machine_without_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "available_timezones", set)
    monkeypatch.setattr(cron, "ZoneInfo", _none_here)
    zone_of.cache_clear()
    with pytest.raises(QueueError) as raised:
        zone_of("Europe/Berlin")
    assert "tzdata" in raised.value.next_step
    assert zone_of("UTC").utcoffset(datetime.now(zone_of("UTC"))) is not None


def _none_here(name: str) -> None:
    raise zoneinfo.ZoneInfoNotFoundError(name)
