"""Values that no queue would write, because another program did: what is odd, for every column of every table.

What a column holds is read from ``schema.sql``. SQLite itself refuses little of the rest: a column of whole numbers
takes text, one of text takes bytes, and who wants to switches CHECK off. So whatever makes a record of a row asks
here, once: what is odd is told, and a value that programs can go on with stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clx.settings.problems import shortened

_SCHEMA = Path(__file__).with_name("sqlite") / "schema.sql"
_TABLE = re.compile(r"^CREATE TABLE (\w+) \(\n(.*?)^\)", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"^  \"?(\w+)\"? (INTEGER|TEXT)(?: DEFAULT (\S+))?( NOT NULL)?( PRIMARY KEY)?", re.MULTILINE)
_CHECK = re.compile(r"^  CONSTRAINT (\w+) CHECK \((.*)\),?$", re.MULTILINE)
_KEY = re.compile(r"^  PRIMARY KEY \((.*)\)", re.MULTILINE)

WRONGLY_BEHIND = """
    SELECT j.id FROM jobs j WHERE j.after_id IS NOT NULL AND (j.state = 'running' OR (j.state = 'queued'
      AND NOT EXISTS (SELECT 1 FROM jobs first WHERE first.id = j.after_id AND first.state IN ('queued', 'running')
        AND first.key = j.key AND first.type = j.type AND first.pool = j.pool)))"""
"""Jobs that would take the place of another one of their key, or behind one, as soon as something ends."""
_MOST = 2**63 - 1
_FURTHEST = 253_402_300_799_999
"""The last millisecond of the year 9999: what is later is no moment of anything that has happened."""
_LOWEST = {"id": 1, "max_runs": 1, "timeout": 1, "lease": 1}
_HIGHEST = {"pid": 2**32 - 1}
_JSON = {"payload", "callback", "detail", "error", "cause", "progress", "result", "facts"}
_OBJECTS = {"payload", "callback", "detail", "error", "cause"}
_decode = msgspec.json.decode


class Column(NamedTuple):
    """What a column holds, as far as its row alone tells.

    Attributes:
        is_number: whole numbers from *lowest* to *highest*; else text.
        required: never NULL.
        default: what stands for a value that is odd; None where *required* does not forbid it.
    """

    name: str
    is_number: bool
    required: bool
    default: Any
    lowest: int
    highest: int

    def has_kind(self, value: Any) -> bool:
        """Whether *value* is of the kind that belongs here, whichever it is."""
        if value is None:
            return not self.required
        return type(value) is (int if self.is_number else str)

    def why_odd(self, value: Any) -> str:
        """What is odd about *value*, in words; empty where nothing is. JSON is only looked at as text."""
        if value is None:
            return "is NULL" if self.required else ""
        if not self.has_kind(value):
            return f"is no {'whole number' if self.is_number else 'text'}: {shown(value)}"
        if self.is_number:
            return "" if self.lowest <= value <= self.highest else f"cannot be {value}"
        if not value.isascii() and not is_unicode(value):
            return f"is no UTF-8: {shown(value)}"
        return "is empty" if self.name == "type" and not value else ""

    def why_no_json(self, value: Any) -> str:
        """What is odd about the JSON in *value*, which is not odd as text; empty where nothing is."""
        if value is None or self.name not in _JSON:
            return ""
        try:
            found = _decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return f"is no JSON: {shown(value)}"
        return "" if self.name not in _OBJECTS or isinstance(found, dict) else f"is no JSON object: {shown(value)}"

    def instead(self, value: Any) -> Any:
        """What a record says in place of an odd *value*: text that shows it, else what the column has by itself."""
        if self.name == "id":  # it is a whole number whatever wrote it, and names the row
            return value
        return as_text(value) if not self.is_number and value is not None else self.default


_Looks = tuple[list[tuple[int, int, int]], list[tuple[int, Column]]]
"""Numbers of a row by index, each with its bounds; texts by index, each with its column."""


class TableFacts(NamedTuple):
    """A table: its columns by name, the names of its key, its CHECK constraints by name."""

    columns: Mapping[str, Column]
    key: tuple[str, ...]
    checks: Mapping[str, str]


@cache
def tables() -> Mapping[str, TableFacts]:
    """Every table of the schema by name."""
    found = {}
    for name, body in _TABLE.findall(_SCHEMA.read_text(encoding="utf-8")):
        columns = {column[0]: _column(*column[:4]) for column in _COLUMN.findall(body)}
        keys = _KEY.search(body)
        key = tuple(re.findall(r"\w+", keys[1])) if keys else ("id",)
        found[name] = TableFacts(columns, key, dict(_CHECK.findall(body)))
    return found


def _column(name: str, kind: str, default: str, required: str) -> Column:
    is_number = kind == "INTEGER"
    usual: Any = None
    if required:
        usual = (int(default) if default else 0) if is_number else default.strip("'")
    lowest = -_MOST - 1 if name.endswith("_ns") else _LOWEST.get(name, 0)
    highest = _HIGHEST.get(name, _FURTHEST if name == "at" or name.endswith("_at") else _MOST)
    return Column(name, is_number, bool(required), usual, lowest, highest)


def is_unicode(text: str) -> bool:
    """Whether *text* has no half characters, as bytes that are no UTF-8 become."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(value: Any) -> str:
    """Any value of a table as text that everybody can print: bytes as SQLite writes them, ``x'ff'``."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "NULL" if value is None else str(value)


def shown(value: Any) -> str:
    """Any value of a table for a message: short, and told apart from others that look alike."""
    value = value[:64] if isinstance(value, bytes | str) else value
    return shortened(f'"{as_text(value)}"' if isinstance(value, str) else as_text(value))


class Reader:
    """Makes rows of certain columns fit for programs.

    Args:
        columns: ``table.column`` for each value of a row.
        json: whether JSON is read too; else whoever decodes it sees for himself.
    """

    def __init__(self, *columns: str, json: bool = False) -> None:
        self._names = columns
        self._json = json
        self._kinds: dict[tuple[type, ...], _Looks] = {}

    @classmethod
    def of(cls, table: str, names: Sequence[str] = (), *, json: bool = False, **others: str) -> Reader:
        """For columns *names* of one table, or all; *others* says what a computed one is like."""
        chosen = names or tables()[table].columns
        return cls(*(others.get(name, f"{table}.{name}") for name in chosen), json=json)

    def columns(self) -> Iterator[Column]:
        """What each value is."""
        for name in self._names:
            table, _, column = name.partition(".")
            yield tables()[table].columns[column]

    def read(self, row: Sequence[Any]) -> tuple[list[Any], tuple[str, ...]]:
        """The values to go on with, and what is odd in *row*: a text for each odd value."""
        values = list(row)
        told = self.judge(row)
        for index, column in enumerate(self.columns()) if told else ():
            if column.name in told:
                values[index] = column.instead(row[index])
        return values, tuple(f"{name} {why}" for name, why in told.items())

    def read_quickly(self, row: Sequence[Any]) -> tuple[list[Any], tuple[str, ...]]:
        """As :meth:`read`, where nothing but the kinds of the values matters: it costs next to nothing."""
        if (*map(type, row),) in self._kinds or self._looks(row) is not None:
            return list(row), ()
        return self.read(row)

    def judge(self, row: Sequence[Any]) -> dict[str, str]:
        """What is odd in *row*, in words by column."""
        if self._is_usual(row):
            return {}
        found = {}
        for column, value in zip(self.columns(), row, strict=True):
            if why := column.why_odd(value) or (self._json and column.why_no_json(value)):
                found[column.name] = why
        return found

    def _is_usual(self, row: Sequence[Any]) -> bool:
        """Whether nothing is odd in *row*, as in nearly all: each is asked only what rows of its kind can answer."""
        looks = self._looks(row)
        if looks is None:
            return False
        for index, lowest, highest in looks[0]:
            if not lowest <= row[index] <= highest:
                return False
        for index, column in looks[1]:
            if (column.name == "type" or not row[index].isascii()) and column.why_odd(row[index]):
                return False
        return not (self._json and any(column.why_no_json(row[index]) for index, column in looks[1]))

    def _looks(self, row: Sequence[Any]) -> _Looks | None:
        """What can be odd in a row of such kinds of values; None where the kinds are odd."""
        kinds = (*map(type, row),)
        looks = self._kinds.get(kinds)
        if looks is None and all(column.has_kind(value) for column, value in zip(self.columns(), row, strict=True)):
            there = [(i, column) for i, column in enumerate(self.columns()) if row[i] is not None]
            numbers = [(i, column.lowest, column.highest) for i, column in there if column.is_number]
            texts = [(i, column) for i, column in there if not column.is_number]
            looks = self._kinds[kinds] = numbers, texts
        return looks


def rows_of(connection: Any, table: str, where: str = "true") -> Iterator[tuple[Any, ...]]:
    """Rows of *table* with all columns, in the order of :func:`tables`, one after the other."""
    names = ", ".join(f'"{name}"' for name in tables()[table].columns)
    yield from connection.execute(f"SELECT {names} FROM {table} WHERE {where}")


def odd_live_jobs(connection: Any) -> dict[int, list[str]]:
    """What is odd in jobs that wait or run, by id."""
    live = "state IN ('queued', 'running')"
    found = {}
    reader = Reader.of("jobs", json=True)
    for row in rows_of(connection, "jobs", live):
        if why := reader.judge(row):
            found[row[0]] = [f"{name} {each}" for name, each in why.items()]
    for name, check in tables()["jobs"].checks.items():
        for (job_id,) in connection.execute(f"SELECT id FROM jobs WHERE {live} AND NOT ({check})"):
            found.setdefault(job_id, []).append(f"it breaks the rule {name}: {check}")
    for (job_id,) in connection.execute(WRONGLY_BEHIND):
        found.setdefault(job_id, []).append("after_id names no live job of its key, or it runs all the same")
    return found
