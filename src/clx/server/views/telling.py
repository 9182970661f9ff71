"""How values are told on the page: moments, lengths of time, numbers, JSON. All are text that templates escape."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

from clx.db.models import Unreadable
from clx.db.pipelines.browsing import Cell
from clx.db.works.models import WORK, is_work

if TYPE_CHECKING:
    from clx.daily.days import DayRow

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
_PLAIN = re.compile(r"(?!(?:one|file)$)[A-Za-z0-9_-]{1,100}")
SYMBOLS = {
    "created": "·", "queued": "…", "running": "▶", "paused": "‖", "success": "✓", "failure": "✗", "cancelled": "–",
}  # fmt: skip
"""What stands for a status in a cell, so that nobody needs the colours."""
DAY_SYMBOLS = {
    "done": "✓", "partial": "◐", "failed": "✗", "running": "▶", "queued": "…", "cancelled": "–",
}  # fmt: skip
"""The same for the state of a day."""
_FURTHEST = 1e12
"""Seconds that no moment is away."""
_LONGEST = 100_000
"""Characters of JSON that a page shows."""


def moment(at: Any) -> str:
    """A moment, milliseconds UTC, for people; empty where there is none."""
    found = _date(at)
    return "" if found is None else f"{found:%Y-%m-%d %H:%M:%S} UTC"


def machine_time(at: Any) -> str:
    """The same for programs (RFC 3339)."""
    found = _date(at)
    return "" if found is None else found.isoformat(timespec="milliseconds")


def milliseconds(seconds: Any) -> int | None:
    """A moment in seconds UTC, as works have it, in milliseconds; None where there is none."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return round(seconds * 1000) if is_number and abs(seconds) < _FURTHEST else None


def _date(at: Any) -> datetime | None:
    try:
        return None if at is None else datetime.fromtimestamp(at / 1000, UTC)
    except (OverflowError, ValueError, OSError, TypeError):
        return None


def length(ms: Any) -> str:
    """A length of time, milliseconds: ``12 ms``, ``3.4 s``, ``5 min 3 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if not isinstance(ms, int | float):
        return ""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    seconds = int(ms / 1000)
    for size, name, smaller, its_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {its_name}" if rest else "")
    return f"{seconds} s"


def brief(ns: Any) -> str:
    """A length of time, nanoseconds: ``0.42 ms``, ``12.3 ms``, ``3.4 s``; a dash where there is none."""
    if not isinstance(ns, int | float) or ns <= 0:
        return "–"
    ms = ns / 1e6
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms" if ms < 100 else length(ms)


def number(value: Any) -> str:
    """A number with spaces between thousands, none of which breaks a line."""
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)


def size(count: Any) -> str:
    """Bytes: ``512 B``, ``3.4 MiB``."""
    value = float(count) if isinstance(count, int | float) else 0.0
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def as_json(value: Any) -> str:
    """A value as JSON over several lines; what another program wrote as the text that it is; a long one is cut."""
    text = value if isinstance(value, Unreadable) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… ({len(text)} characters)"


def in_short(error: Any) -> str:
    """An error in one line."""
    if not isinstance(error, dict):
        return ""
    kind, message = (str(error.get(name) or "") for name in ("type", "message"))
    told = f"{kind}: {message}" if kind and message else kind or message or str(error.get("kind") or "")
    line = told.strip().partition("\n")[0]
    return line if len(line) <= 200 else f"{line[:199]}…"


def work_address(work_id: Any) -> str:
    """Where a work is shown. An id that another client gave may be any text, which stands in the query then."""
    text = str(work_id)
    return f"/works/{text}" if _PLAIN.fullmatch(text) else f"/works/one?id={in_path(text)}"


def type_address(type_: Any) -> str:
    """Where the jobs of a type are listed: works are shown as such."""
    text = str(type_)
    return f"/works?pipeline={in_path(text.removeprefix(WORK))}" if is_work(text) else f"/jobs?type={in_path(text)}"


def in_path(text: Any) -> str:
    """A text as a part of an address."""
    return quote(str(text).encode("utf-8", "replace"), safe="")


def cell(of: Cell, base: str, here: str = "", label: int | str = "") -> Markup:
    """A work or a pipeline as a cell of a grid. Pages have thousands of them, so they are no matter of the template.

    Args:
        base: where it is shown, without its id.
        here: the id of what the page shows.
        label: what it is called beside its status.
    """
    address = work_address(of.id) if base == "/works/" else f"{base}{in_path(of.id)}"  # both quoted
    begins, ends = _cell_of(of.status)
    current = ' aria-current="true"' if of.id == here else ""
    return Markup(f'{begins} href="{address}"{current}>{ends[0]}{label}{ends[1]}')  # noqa: S704


def day_cell(of: DayRow) -> Markup:
    """A day of a flow as a cell of a grid, which leads to its run."""
    said = f"{of.day} {of.state}" + (f": {of.said[:200]}" if of.said else "")
    return Markup('<a class="cell {}" href="/workflows/{}" title="{}"><span aria-hidden="true">{}</span>{}').format(
        of.state, of.job, said, DAY_SYMBOLS.get(of.state, "?"),
        Markup('<span class="unseen">{}</span></a>').format(f"{of.day} {of.state}"),
    )  # fmt: skip


@lru_cache(64)
def _cell_of(status: str) -> tuple[str, tuple[str, str]]:
    """What stands in every cell of a status, before and behind its address."""
    text = escape(status)
    ends = f'<span aria-hidden="true">{SYMBOLS.get(status, "?")}</span><span class="unseen">', f" {text}</span></a>"
    return f'<a class="cell {text}"', ends


FILTERS = {
    "moment": moment, "machine_time": machine_time, "length": length, "brief": brief, "number": number, "size": size,
    "as_json": as_json, "in_short": in_short, "in_path": in_path, "work_address": work_address,
    "milliseconds": milliseconds, "cell": cell, "day_cell": day_cell, "type_address": type_address,
}  # fmt: skip
