"""Works are searched by columns, labels, what stands anywhere in their documents, and words; in one query."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from clx.db.dialect import Dialect
from clx.db.models import encode
from clx.db.validation import check_limit, is_text
from clx.db.works import statements as sql
from clx.db.works.models import COLUMNS, label, microseconds
from clx.errors import QueueError
from clx.settings.problems import did_you_mean, shortened

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "exists", "any"]
_COMPARED = ("<", "<=", ">", ">=")
_MOMENTS = ("creation", "start", "stop")
_PLAIN = {
    "id": "w.id",
    "pipeline": "w.pipeline",
    "site": "w.site",
    "user": "w.owner",
    "status": "w.status",
    "attempt": "w.attempt",
    "retries": "w.retries",
    "priority": "j.priority",
    "creation": "w.creation",
    "start": "w.start",
    "stop": "w.stop",
}
_FLAGS = {
    "archived": "w.archived",
    "results.locked": "w.locked",
    "in_bucket": "w.in_bucket",
    "in_results": "w.in_results",
    "used_up": "CASE WHEN w.attempt >= w.retries THEN 1 ELSE 0 END",
}
_LABELS = {
    "tags": "tag",
    "tag": "tag",
    "group": "group",
    "event": "event",
    "parent": "parent",
    "config.parent": "parent",
}
_OF_JOB = ("error", "progress")
"""Fields that the job of a work tells."""
ORDERS = {
    "deposit": "w.job_id",
    "id": "w.id",
    "creation": "w.creation",
    "start": "coalesce(w.start, -1)",
    "stop": "coalesce(w.stop, -1)",
    "priority": "j.priority",
    "attempt": "w.attempt",
}
"""By what works can be ordered → the value of it; with ``-`` before it from the highest down."""
MOST_CONDITIONS = 200
_SOME = 8
"""Values of labels that are told one by one."""
FEW = 2000
"""Works with a label that are looked up one by one sooner than an order is read along until they come by."""
_ASKS_OF_JOB = re.compile(r"\bj\.")
"""What stands in a condition that asks for something of the job."""
IsRare = Callable[[str, Sequence[str]], bool]
"""Whether few works have one of some labels of a kind."""


class Condition(NamedTuple):
    """Something that is to be so.

    Attributes:
        field: a field of the document, or a dotted path into it; ``in_bucket``, ``in_results``; ``used_up``: whether no
            attempts are left.
        operator: ``any``: one of several lists of conditions holds, which are the *value*; of ``exists`` the value says
            whether. Of labels and lists ``=`` asks for one of them; with a list for exactly this one.
    """

    field: str
    operator: Operator
    value: Any


class Search(NamedTuple):
    """What is searched.

    Attributes:
        where: conditions that all hold.
        text: words that all stand somewhere in the document, whatever their case.
        order: one of :data:`ORDERS`, with ``-`` before it from the highest down.
        after: what the search before this one has given as the place where it ended.
        until: the last place that is searched; None: to the end.
        limit: how many at most; None: all.
        skip: how many are left out first.
    """

    where: Sequence[Condition] = ()
    text: str = ""
    order: str = "-deposit"
    after: str | None = None
    limit: int | None = 100
    skip: int = 0
    until: str | None = None


class Statement:
    """A search as a statement of one database.

    Args:
        is_rare: whether few works have one of some labels.
        among: a query for the ids of jobs, among which alone it is searched; empty: among all.

    Raises:
        QueueError: names what cannot be searched, or the place that is none.
    """

    def __init__(
        self, dialect: Dialect, search: Search, is_rare: IsRare = lambda _kind, _values: False, *, among: str = ""
    ) -> None:
        self._dialect = dialect
        self._among = among
        self._is_rare = is_rare
        self._by_rare = False
        self._count = 0
        self.named: dict[str, Any] = {}
        self._by_label: tuple[str, str] | None = None
        conditions = list(search.where)
        if search.order.removeprefix("-") == "deposit" and not among:
            self._lead(conditions)
        parts = ["w.job_id = chosen.id"] if among else []
        parts += [] if self._by_label is None else ["l.kind = :lead_kind AND l.value = :lead"]
        parts += [self._condition(each) for each in conditions]
        parts += [self._word(each) for each in search.text.split()]
        self._where = parts
        self._search = search

    def rows(self, columns: str = COLUMNS) -> str:
        """The statement that finds rows of *columns*, and after them by what they are ordered."""
        search, parts = self._search, [*self._where]
        name = search.order.removeprefix("-")
        if name not in ORDERS:
            raise QueueError(f"Works are not ordered by {shortened(name)}.", did_you_mean(name, list(ORDERS)))
        down = search.order.startswith("-")
        value, tie = ORDERS[name], "l.job_id" if self._by_label else "w.job_id"
        value = tie if name == "deposit" else self._dialect.unindexed(value) if self._by_rare else value
        if search.after is not None:
            self.named |= dict(zip(("at", "at_id"), place_of(search.after), strict=True))
            sign = "<" if down else ">"
            parts.append(f"{tie} {sign} :at_id" if name == "deposit" else f"({value}, {tie}) {sign} (:at, :at_id)")
        if search.until is not None:
            self.named |= dict(zip(("end", "end_id"), place_of(search.until), strict=True))
            sign = ">=" if down else "<="
            parts.append(f"{tie} {sign} :end_id" if name == "deposit" else f"({value}, {tie}) {sign} (:end, :end_id)")
        way = " DESC" if down else ""
        order = f"{tie}{way}" if name == "deposit" else f"{value}{way}, {tie}{way}"
        where, limit = " AND ".join(parts) or "1 = 1", ""
        if search.limit is not None or search.skip:
            check_limit(search.skip)
            self.named |= {"most": 2**62 if search.limit is None else search.limit, "skip": search.skip}
            limit = " LIMIT :most OFFSET :skip"
        if self._dialect.counts_rows and not self._among and not _ASKS_OF_JOB.search(f"{where} {value}"):
            # chosen first: a planner that meets the jobs too may read along all of them, in the order that is wanted
            return (
                f"WITH chosen AS MATERIALIZED (SELECT {tie} AS id, {value} AS place {self._from(jobs=False)} "
                f"WHERE {where} ORDER BY {order}{limit}) SELECT {columns}, chosen.place FROM chosen "
                f"JOIN works w ON w.job_id = chosen.id JOIN jobs j ON j.id = chosen.id "
                f"ORDER BY chosen.place{way}, chosen.id{way}"
            )
        return f"SELECT {columns}, {value} {self._from()} WHERE {where} ORDER BY {order}{limit}"

    def count(self) -> str:
        """The statement that counts them."""
        where = " AND ".join(self._where) or "1 = 1"
        jobs = bool(self._among or _ASKS_OF_JOB.search(where)) or not self._dialect.counts_rows
        return f"SELECT count(*) {self._from(jobs=jobs)} WHERE {where}"

    def _from(self, *, jobs: bool = True) -> str:
        if self._among:  # SQLite takes the tables of a CROSS JOIN in the order in which they stand
            return f"FROM ({self._among}) AS chosen CROSS JOIN works w JOIN jobs j ON j.id = w.job_id"
        if self._by_label is None:
            return sql.FROM if jobs else "FROM works w"
        found = "FROM work_labels l JOIN works w ON w.job_id = l.job_id"
        return f"{found} JOIN jobs j ON j.id = l.job_id" if jobs else found

    def _lead(self, conditions: list[Condition]) -> None:
        """Read along the index of a label, which is in the order that is asked for."""
        for each in conditions:
            if each.field in _LABELS and each.operator == "=" and isinstance(each.value, str | int):
                self._by_label = _LABELS[each.field], label(each.value)
                self.named |= dict(zip(("lead_kind", "lead"), self._by_label, strict=True))
                conditions.remove(each)
                return

    def _name(self, value: Any) -> str:
        self._count += 1
        if self._count > MOST_CONDITIONS:
            raise QueueError("That is more than one search asks for.", f"Ask for {MOST_CONDITIONS} things at most.")
        name = f"p{self._count}"
        self.named[name] = value
        return name

    def _condition(self, asked: Condition) -> str:
        field, operator, value = asked
        if operator == "any":
            if not value:
                return "1 = 0"
            every = (" AND ".join(map(self._condition, each)) or "1 = 1" for each in value)
            return f"({' OR '.join(f'({each})' for each in every)})"
        if field in _LABELS and not (isinstance(value, list | tuple) and operator in {"=", "!="}):
            return self._labelled(_LABELS[field], asked)
        if field in _FLAGS:
            return self._flag(_FLAGS[field], asked)
        if field in _PLAIN:
            return self._plain(_PLAIN[field], asked)
        return self._within(asked)

    def _plain(self, column: str, asked: Condition) -> str:
        field, operator, value = asked
        if operator == "exists":
            return f"{column} IS {'NOT ' if value else ''}NULL"
        told: Callable[[Any], Any] = (
            (lambda each: microseconds(field, each)) if field in _MOMENTS else lambda each: each
        )
        if operator in {"in", "not in"}:
            values = [told(each) for each in _listed(asked)]
            is_number = column in {"w.attempt", "w.retries", "j.priority", "w.creation", "w.start", "w.stop"}
            kinds = int if is_number else str
            name = self._name(encode([each for each in values if isinstance(each, kinds) and not _is_beyond(each)]))
            listed = self._dialect.ids(name) if is_number else self._dialect.texts(name)
            found = f"{column} IN ({listed})"
            return found if operator == "in" else f"({column} IS NULL OR NOT {found})"
        told_value = told(value)
        if value is None:
            return f"{column} IS {'' if operator == '=' else 'NOT '}NULL"
        if isinstance(value, bool | list | tuple | dict) or (isinstance(value, str) and not is_text(value)):
            return "1 = 0" if operator == "=" else "1 = 1" if operator == "!=" else "1 = 0"
        is_number = column not in {"w.id", "w.pipeline", "w.site", "w.owner", "w.status"}
        if is_number is isinstance(value, str):
            return "1 = 1" if operator == "!=" else "1 = 0"
        if _is_beyond(told_value):
            return _beyond(column, operator, is_above=told_value > 0)
        name = self._name(told_value)
        if operator == "!=":
            return f"({column} IS NULL OR {column} <> :{name})"
        return f"{column} {_sign(operator)} :{name}"

    def _flag(self, column: str, asked: Condition) -> str:
        _, operator, value = asked
        if operator == "exists":
            return "1 = 1"
        if operator not in {"=", "!="}:
            raise _no(asked)
        return f"{column} = {int(bool(value) is (operator == '='))}"

    def _labelled(self, kind: str, asked: Condition) -> str:
        _, operator, value = asked
        rows = f"SELECT 1 FROM work_labels l{self._count} WHERE l{self._count}.job_id = w.job_id"
        rows += f" AND l{self._count}.kind = '{kind}'"
        at = f"l{self._count}.value"
        if operator == "exists" or value is None:
            has = bool(value) if operator == "exists" else operator == "!="
            return f"{'' if has else 'NOT '}EXISTS ({rows})"
        if operator in _COMPARED:
            raise _no(asked)
        values = _listed(asked) if operator in {"in", "not in"} else [value]
        if operator in {"=", "in"} and self._is_rare(kind, [label(each) for each in values]):
            self._by_rare = True
            texts = self._dialect.texts(self._name(encode([label(each) for each in values])))
            return f"w.job_id IN (SELECT job_id FROM work_labels WHERE kind = '{kind}' AND value IN ({texts}))"
        if len(values) == 1:
            found = f"EXISTS ({rows} AND {at} = :{self._name(label(values[0]))})"
        elif 1 < len(values) <= _SOME:  # each by itself: of a list nobody knows how many it has
            listed = ", ".join(f":{self._name(label(each))}" for each in values)
            found = f"EXISTS ({rows} AND {at} IN ({listed}))"
        else:
            texts = self._dialect.texts(self._name(encode([label(each) for each in values])))
            found = f"EXISTS ({rows} AND {at} IN ({texts}))"
        return found if operator in {"=", "in"} else f"NOT {found}"

    def _within(self, asked: Condition) -> str:
        """Something anywhere in the document."""
        field, operator, value = asked
        steps = field.split(".")
        if not is_text(field) or not all(steps) or len(steps) > 20:
            raise QueueError(f"No field is called {shortened(field)}.", "Write a name, or names with dots between.")
        text = "w.document"
        if steps[0] in _OF_JOB:  # which says them alone
            text, steps = f"coalesce(j.{steps[0]}, 'null')", steps[1:]
        path = self._name(self._dialect.json_path(steps))
        document = self._dialect
        if operator == "exists":
            exists = document.json_exists(text, path) if steps else f"({text} <> 'null')"
            return f"{'' if value else 'NOT '}{exists}"
        if operator in _COMPARED:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise _no(asked)
            return document.json_compares(
                text, path, operator, self._name(document.number(value)), is_text=isinstance(value, str)
            )
        values = _listed(asked) if operator in {"in", "not in"} else [value]
        said = [each for each in values if not isinstance(each, str) or is_text(each)]
        found = [document.json_holds(text, path, *self._json(each)) for each in said]
        one_of = f"({' OR '.join(found)})" if found else "1 = 0"
        return one_of if operator in {"=", "in"} else f"NOT {one_of}"

    def _json(self, value: Any) -> tuple[str, Any]:
        """A parameter with a value for a comparison with a part of a document, and the value itself."""
        return self._name(self._dialect.json_value(value)), value

    def _word(self, word: str) -> str:
        if not is_text(word):
            return "1 = 0"
        quoted = encode(word)[1:-1]
        escaped = quoted.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        like = f"{self._dialect.like} :{self._name(f'%{escaped}%')} ESCAPE '!'"
        name = self._name(word)
        return f"(w.document {like} OR w.id = :{name} OR j.error {like})"


def _is_beyond(value: Any) -> bool:
    """Whether no column holds it."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _beyond(column: str, operator: str, *, is_above: bool) -> str:
    """The comparison of a column with a number that no column holds."""
    if operator == "!=":
        return "1 = 1"
    is_so = _sign(operator) in (("<", "<=") if is_above else (">", ">="))
    return f"{column} IS NOT NULL" if is_so else "1 = 0"


def _sign(operator: str) -> str:
    if operator not in {"=", *_COMPARED}:
        raise QueueError(f"Works are not compared by {shortened(operator)}.", "Use = != < <= > >= in, not in, exists.")
    return operator


def _listed(asked: Condition) -> list[Any]:
    if not isinstance(asked.value, list | tuple | set | frozenset):
        raise QueueError(f"{asked.field} {asked.operator} wants a list.", "Write one, [1, 2] say.")
    return list(asked.value)


def _no(asked: Condition) -> QueueError:
    told = f"{asked.field} {asked.operator} {shortened(repr(asked.value))}"
    return QueueError(f"Works cannot be searched by {told}.", "See docs/work.md for what can be asked of which field.")


# -- places ---------------------------------------------------------------------------------------------


def place_after(row: Sequence[Any]) -> str:
    """Where a search goes on after a row that it has found."""
    return place(row[-1], row[7])


def place(at: Any, job_id: int) -> str:
    """A place in a search: by what it is ordered there, and the id of the job."""
    return base64.urlsafe_b64encode(msgspec.json.encode([at, job_id])).decode().rstrip("=")


def place_of(text: str) -> tuple[Any, int]:
    """What :func:`place` was made of.

    Raises:
        QueueError: it is none.
    """
    try:
        raw = base64.urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")
        at, job_id = msgspec.json.decode(raw, type=tuple[int | str, int])
    except (binascii.Error, msgspec.MsgspecError, ValueError, TypeError):
        raise QueueError(
            f"{shortened(str(text))} is no place in a search.", "Give the one that a search gave."
        ) from None
    return at, job_id


def conditions(fields: Mapping[str, Any]) -> list[Condition]:
    """What a search by keywords asks for: a value, a list of which one is to fit, or a range as a pair.

    Raises:
        QueueError: a range is none.
    """
    found = []
    for name, value in fields.items():
        field = name.replace("__", ".")
        if value is None:
            continue
        if field in _MOMENTS:
            found += _range(field, value)
        elif isinstance(value, Mapping):
            found += [Condition(f"{field}.{key}", "=", each) for key, each in value.items()]
        elif isinstance(value, list | set | frozenset | tuple):
            found.append(Condition(field, "in", list(value)))
        else:
            found.append(Condition(field, "=", value))
    return found


def _range(field: str, value: Any) -> list[Condition]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [Condition(field, "=", value)]
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise QueueError(f"{field}={shortened(repr(value))} is no range.", f"Write {field}=(from, to); None: no bound.")
    low, high = value
    bounds: list[Condition] = []
    if low is not None:
        bounds.append(Condition(field, ">=", low))
    if high is not None:
        bounds.append(Condition(field, "<", high))
    return bounds
