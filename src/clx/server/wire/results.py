"""Results: works that have ended, kept for good."""

from __future__ import annotations

from typing import Any

from clx.db.works.models import ENDED, Found
from clx.db.works.searching import Condition, Search
from clx.server.answers import Refusal
from clx.server.wire.dialects import Document, received, shown
from clx.server.wire.exchange import Asked, Call
from clx.server.wire.mongo import conditions
from clx.server.wire.viewing import by_id, change, documents_in, view

_ENDED = ("success", "failure")
"""Statuses, as clients say them."""


def _told(document: Document) -> Document:
    """As Results show it: clients write into what they find there as results."""
    found = shown(document)
    return {**found, "results": {}} if found.get("results") is None else found


def _deposit(asked: Asked) -> dict[str, bool]:
    given = [received(each) for each in documents_in(asked.body)]
    for each in given:
        if each.get("status") not in _ENDED:
            raise Refusal(400, "A work that has not ended has no results.", "Deposit it when it has ended.")
    there = by_id(asked, [each.get("id") for each in given])
    live = [each for each in given if str(each.get("id")) in there and not _has_ended(there[str(each["id"])])]
    if not all(change(asked, live)):
        raise Refusal(409, "A work has begun anew since it was read.", "Read it again.")
    return dict.fromkeys(asked.works.enter_results(given), True)


def _has_ended(work: Found) -> bool:
    return work.document["status"] in ENDED


def _update(asked: Asked) -> dict[str, bool]:
    sent = documents_in(asked.body)
    taken = change(asked, sent)
    found: dict[str, bool] = {}
    for each, is_taken in zip(sent, taken, strict=True):
        pipeline = str(each["pipeline"])
        found[pipeline] = found.get(pipeline, True) and is_taken
    return found


def _delete(asked: Asked) -> dict[str, bool]:
    """Each pipeline with ids of it."""
    there = by_id(asked, [value for _, value in asked.query])
    found: dict[str, bool] = {}
    for pipeline in dict(asked.query):
        ids = [value for name, value in asked.query if name == pipeline]
        its = [each for each in ids if each in there and there[each].document.get("pipeline") == pipeline]
        found[pipeline] = bool(asked.works.delete(its, store="results"))
    return found


def _view(asked: Asked) -> Any:
    return view(asked, "in_results", "-id", _told)


def _count(asked: Asked) -> int:
    if not isinstance(asked.body, dict):
        raise Refusal(400, "A count is asked for by a mapping.", 'Send {"query": {"pipeline": "name"}}.')
    where = (Condition("in_results", "=", True), *conditions(asked.body.get("query")))
    return asked.works.count(Search(where))


def _status(asked: Asked) -> dict[str, int]:
    return asked.works.results()


CALLS = (
    Call("POST", "/results", "work", _deposit, writes=True, has_body=True),
    Call("PUT", "/results", "work", _update, writes=True, has_body=True),
    Call("DELETE", "/results", "work", _delete, writes=True),
    Call("POST", "/view", "read", _view, has_body=True),
    Call("POST", "/view/count", "read", _count, has_body=True),
    Call("GET", "/status", "read", _status),
)
"""What Results answer."""
