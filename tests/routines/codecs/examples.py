"""Values of the standard library, no two of which are one, and the keys of calls with them. Any Python loads this."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from clx.routines.codecs import canonical, key_of

BERLIN = ZoneInfo("Europe/Berlin")
TWICE = datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN)
NAIVE = datetime(2025, 1, 1)  # noqa: DTZ001
NFC, NFD = "\u00e9", "e\u0301"

DIFFERENT: list[Any] = [
    *(None, True, False, 0, 0.0, -0.0, 1, 1.0, "1", b"1", "", b"", [], (), {}, set(), frozenset()),
    *("true", "null", [None], (None,), [[]], [()], ((),), [1], (1,), {1}, frozenset({1}), [1.0], [True], [1, 2]),
    *([2, 1], {"a": 1}, {"a": 1.0}, {"a": 1, "b": 2}, {1: 2}, {"1": 2}, {1: 2, "1": 2}, {1.0: 2}, {True: 2}),
    *({None: 2}, {(): 2}, [{}], ({},)),
    *({"$t": [1]}, {"$m": []}, {"$": 1}, {"$i": "9007199254740993"}, {"$f": "nan"}, {"$b": ""}, {"$a": 1, "b": 2}),
    *(2**53, 2**53 + 1, 10**30, 1e22, 10**22, -(2**53), -(2**53) - 1, 10**5000, 5e-324, 1e16, 10**16),
    *(math.nan, math.inf, -math.inf, "nan", NFC, NFD, "\x00", '"', "\\", "\U0001f600", complex(1, 0), complex(1, -0.0)),
    *(date(2025, 1, 1), NAIVE, "2025-01-01", time(), time(fold=1), time(tzinfo=UTC), timedelta(), timedelta(0, 1)),
    *(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    *(datetime(2025, 1, 1, tzinfo=ZoneInfo("UTC")), datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=1), "X"))),
    *(datetime(2025, 1, 1, 1, tzinfo=BERLIN), NAIVE.replace(fold=1), TWICE, TWICE.replace(fold=1)),
    *(Decimal(1), Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Decimal("-0"), UUID(int=0), UUID(int=1)),
    *(Path("a"), PurePosixPath("a"), PureWindowsPath("a"), "a", Path("/a"), Path("a/b")),
]  # fmt: skip
"""No two of them are one value."""


def keys() -> list[str]:
    """Of a call with each of them."""
    return [key_of("train", "0.0.1", canonical(value)) for value in DIFFERENT]
