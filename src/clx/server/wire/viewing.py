"""What both stores share: documents and ids that come in, documents that are looked at, and those that are changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from clx.db.works.models import Found
from clx.db.works.searching import Condition, Search
from clx.server.answers import Refusal
from clx.server.wire.dialects import CHIME, CORE, Document, merged, received, shown
from clx.server.wire.exchange import Asked, Pages
from clx.server.wire.mongo import Projection, conditions
from clx.settings.problems import shortened

PAGE = 500
"""Documents that one look finds."""
NULL = 1000
"""How many a limit of ``null`` finds: a client puts all their ids into one address then, which can be so long."""
_USUAL = 100
_LARGEST = 2**53

Stored = Literal["in_bucket", "in_results"]


def documents_in(body: Any) -> list[Mapping[str, Any]]:
    """The documents of a body.

    Raises:
        Refusal: 400, it is no list of them.
    """
    if not isinstance(body, list):
        raise Refusal(400, "Works are sent as a list.", 'Send [{"pipeline": "name"}].')
    for each in body:
        if not isinstance(each, dict):
            raise Refusal(400, f"A work is a mapping, not {shortened(repr(each))}.", 'Send [{"pipeline": "name"}].')
    return body


def ids_in(query: Sequence[tuple[str, str]], name: str) -> list[str]:
    """The ids that stand behind an address."""
    return [value for key, value in query if key == name]


def status_of(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of the five states, in the order in which clients print and compare them."""
    told = {
        "queued": counts["queued"],
        "running": counts["running"],
        "success": counts["success"],
        "failure": counts["failure"] + counts["cancelled"],
    }
    return {"total": sum(told.values()), **told}


def view(
    asked: Asked, store: Stored, order: str, told: Callable[[Document], Document] = shown
) -> list[dict[str, Any]] | Pages:
    """The documents that a view asks for.

    Raises:
        Refusal: 400, what it asks cannot be.
    """
    body = asked.body
    if not isinstance(body, Mapping):
        raise Refusal(400, "A view is asked for by a mapping.", 'Send {"query": {}, "projection": {}}.')
    projection = Projection(body.get("projection"))
    where = (Condition(store, "=", True), *conditions(body.get("query")))
    skip, limit = _number(body, "skip", 0), _limit(body)
    reading = _Reading(asked, Search(where, order=order, skip=skip), limit, lambda each: projection.of(told(each)))
    if limit is not None and limit <= PAGE:
        return reading.next() or []
    return Pages(reading.next)


class _Reading:
    """A search that is read page by page."""

    def __init__(self, asked: Asked, search: Search, left: int | None, told: Callable[[Document], Document]) -> None:
        self._asked, self._search, self._left, self._told = asked, search, left, told
        self._is_over = False

    def next(self) -> list[Document] | None:
        """The next page; None after the last one."""
        if self._is_over:
            return None
        size = PAGE if self._left is None else min(PAGE, self._left)
        page = self._asked.works.find(self._search._replace(limit=size))
        if self._left is not None:
            self._left -= len(page.works)
        self._is_over = page.after is None or self._left == 0
        self._search = self._search._replace(after=page.after, skip=0)
        return [self._told(each.document) for each in page.works]


def _limit(body: Mapping[str, Any]) -> int | None:
    """How many are asked for; None: all."""
    if "limit" in body and body["limit"] is None:
        return NULL
    found = _number(body, "limit", _USUAL, lowest=-1)
    return None if found <= 0 else found


def _number(body: Mapping[str, Any], name: str, usual: int, *, lowest: int = 0) -> int:
    value = body.get(name, usual)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= _LARGEST:
        raise Refusal(400, f"The {name} {shortened(repr(value))} is no number of works.", "Send a whole number.")
    return value


def change(asked: Asked, sent: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Give works these documents; returns for each whether it was taken."""
    there = by_id(asked, [each.get("id") for each in sent])
    readings = (CORE,) if asked.is_core else (CHIME,)
    found = []
    for each in sent:
        document, stored = received(each), there.get(str(each.get("id")))
        found.append(document if stored is None else merged(stored.document, document, readings))
    return asked.holder.with_id(lambda worker: asked.works.update(found, again=False, worker=worker))


def by_id(asked: Asked, ids: Sequence[Any]) -> dict[str, Found]:
    """The works of some ids, as far as there are any."""
    texts = list(dict.fromkeys(each for each in ids if isinstance(each, str)))
    page = asked.works.find(Search((Condition("id", "in", texts),), limit=None))
    return {each.document["id"]: each for each in page.works}
