"""What clients ask in the language of MongoDB: a few operators, made conditions of a search; and projections.

Nothing is passed on as it came: a query is taken apart, and what is not known is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clx.db.works.fields import FIELDS
from clx.db.works.searching import Condition, Operator
from clx.server.answers import Refusal
from clx.settings.problems import shortened

_COMPARED: dict[str, Operator] = {
    "$eq": "=", "$ne": "!=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$in": "in", "$nin": "not in",
    "$exists": "exists",
}  # fmt: skip
OPERATORS = (*_COMPARED, "$and", "$or")
"""What may be asked with; beside the one ``$expr`` that a client sends."""
_USED_UP = {"$gte": ["$attempt", "$retries"]}
_DEEPEST = 8
"""Levels of ``$and`` and ``$or`` within each other."""
_NEVER_SENT = "_id"


def conditions(query: Any, depth: int = 0) -> list[Condition]:
    """What a query asks for; all of it holds.

    Raises:
        Refusal: 400, it is none, or asks with an operator that is not known.
    """
    if query is None:
        return []
    if not isinstance(query, Mapping):
        raise _wrong(f"A query is a mapping, not {shortened(repr(query))}.", 'Write {"pipeline": "name"}.')
    if depth > _DEEPEST:
        raise _wrong("That query is nested too deeply.", f"Nest {_DEEPEST} levels at most.")
    found: list[Condition] = []
    for name, value in query.items():
        if name == "$expr":
            if value != _USED_UP:
                raise _unknown("$expr", "but for attempt >= retries ")
            found.append(Condition("used_up", "=", True))
        elif name in {"$and", "$or"}:
            if not isinstance(value, list) or not value:
                raise _wrong(f"{name} wants a list of queries.", f'Write {{"{name}": [{{…}}, {{…}}]}}.')
            parts = [conditions(each, depth + 1) for each in value]
            found += [Condition("", "any", parts)] if name == "$or" else [each for part in parts for each in part]
        elif name.startswith("$"):
            raise _unknown(name)
        else:
            found += _field(name, value)
    return found


def _field(name: str, value: Any) -> list[Condition]:
    if not isinstance(value, Mapping) or not any(key.startswith("$") for key in value):
        return [_condition(name, "$eq", value)]
    for operator in value:
        if operator not in _COMPARED:
            raise _unknown(operator)
    return [_condition(name, operator, each) for operator, each in value.items()]


def _condition(name: str, operator: str, value: Any) -> Condition:
    asked = _COMPARED[operator]
    if asked in {"in", "not in"} and not isinstance(value, list):
        raise _wrong(f"{operator} wants a list.", f'Write {{"{shortened(name)}": {{"{operator}": [1, 2]}}}}.')
    if asked == "exists":
        value = bool(value)
    if name == "status":
        return _status(asked, value)
    return Condition(name, asked, value)


def _status(asked: Operator, value: Any) -> Condition:
    """The same of a status, as clients see it: what was cancelled is a failure to them."""
    if asked in {"in", "not in"}:
        return Condition("status", asked, [*value, *(["cancelled"] if "failure" in value else [])])
    if value == "failure" and asked in {"=", "!="}:
        return Condition("status", "in" if asked == "=" else "not in", ["failure", "cancelled"])
    return Condition("status", asked, value)


def _unknown(operator: str, but: str = "") -> Refusal:
    return _wrong(
        f"The operator {shortened(operator)} {but}is not known here.", f"Use {', '.join(OPERATORS)}; nothing was done."
    )


def _wrong(fact: str, next_step: str) -> Refusal:
    return Refusal(400, fact, next_step)


class Projection:
    """Which parts of documents are asked for.

    Args:
        asked: field, or a path with dots, → whether it is wanted; either all are, or none is. Nothing: all of it.

    Raises:
        Refusal: 400, it is none.
    """

    def __init__(self, asked: Any) -> None:
        if asked is not None and not isinstance(asked, Mapping):
            raise _wrong(f"A projection is a mapping, not {shortened(repr(asked))}.", 'Write {"id": true}.')
        given = {name: value for name, value in (asked or {}).items() if name != _NEVER_SENT}
        for name, value in given.items():
            if not isinstance(value, bool | int | float):
                raise _wrong(f"{shortened(name)} is neither wanted nor unwanted.", "Write true or false.")
        self._paths = [name.split(".") for name in given]
        self._wanted = {bool(value) for value in given.values()}
        if len(self._wanted) > 1:
            raise _wrong("A projection either includes fields or excludes them.", "Leave out one kind.")

    def of(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a document that are asked for."""
        if not self._paths:
            return dict(document)
        if self._wanted == {False}:
            kept = dict(document)
            for path in self._paths:
                kept = _without(kept, path)
            return kept
        found: dict[str, Any] = {}
        for path in self._paths:
            _take(found, document, path)
        return found


def _take(found: dict[str, Any], source: Mapping[str, Any], path: list[str], *, top: bool = True) -> None:
    name, rest = path[0], path[1:]
    if name not in source:
        if top and not rest and name in FIELDS:
            found[name] = None
    elif not rest:
        found[name] = source[name]
    elif isinstance(source[name], Mapping):
        inner = found.setdefault(name, {})
        if isinstance(inner, dict) and inner is not source[name]:
            _take(inner, source[name], rest, top=False)


def _without(document: dict[str, Any], path: list[str]) -> dict[str, Any]:
    name, rest = path[0], path[1:]
    if name not in document:
        return document
    if not rest:
        return {key: value for key, value in document.items() if key != name}
    inner = document[name]
    return {**document, name: _without(inner, rest)} if isinstance(inner, dict) else document
