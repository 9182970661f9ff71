"""Buckets: works that wait, run, or have ended and were not moved on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clx.db.works.withdrawing import Asked as Wanted
from clx.server.answers import Refusal
from clx.server.wire.dialects import dialect_of, received
from clx.server.wire.exchange import Asked, Call, Told
from clx.server.wire.viewing import change, documents_in, ids_in, status_of, view
from clx.settings.problems import shortened

_LONGEST_AGE = 36_500.0
"""Days."""


def _deposit(asked: Asked) -> Told:
    given = [received(each) for each in documents_in(asked.body)]
    meant = asked.deposits.meant(given, asked.caller, asked.arrived, is_core=asked.is_core)
    ids = asked.works.deposit(given, anew=meant)
    wanted = [value for name, value in asked.query if name == "return_ids"]
    answer = ids if any(value.lower() in {"true", "1"} for value in wanted) else True
    return Told(answer, done=lambda: asked.deposits.note_answered(given))


def _withdraw(asked: Asked) -> Told | None:
    query = asked.body
    if not isinstance(query, Mapping):
        raise Refusal(400, "A withdrawal is asked for by a mapping.", 'Send {"pipeline": "name"}.')
    wanted, reader = _wanted(query), dialect_of(is_core=asked.is_core, query=query)
    found = asked.holder.with_id(lambda worker: asked.works.withdraw(wanted, worker=worker, accepts=reader.accepts))
    if found is None:
        return None
    # one that nobody has heard of was none: the attempt does not count
    return Told(reader.told(found), lambda: asked.works.update([{**found, "status": "queued"}]))


def _wanted(query: Mapping[str, Any]) -> Wanted:
    """What a withdrawal asks for.

    Raises:
        Refusal: 400, it says what cannot be.
    """
    given = {name: list(_values(value)) for name, value in query.items() if value is not None}
    if not given.get("pipeline"):
        raise Refusal(400, "A withdrawal needs a pipeline.", 'Send {"pipeline": "name"}.')
    for name, values in given.items():
        if name not in _KINDS:
            raise Refusal(400, f"Works are not withdrawn by {shortened(name)}.", f"Use {', '.join(_KINDS)}.")
        if not all(isinstance(each, _KINDS[name]) and not isinstance(each, bool) for each in values):
            raise Refusal(400, f"The {name} of a withdrawal cannot be that.", "Send what the client sends.")
    for name in ("site", "user", "priority"):
        if len(given.get(name, [])) > 1:
            raise Refusal(400, f"A withdrawal asks for one {name}.", "Leave the others out.")
    one = {name: (values[0] if values else None) for name, values in given.items()}
    return Wanted(
        tuple(given["pipeline"]), one.get("site"), one.get("user"), one.get("priority"),
        tuple(given.get("event", ())), tuple(given.get("tags", ())), tuple(given.get("config.parent", ())),
    )  # fmt: skip


_KINDS: dict[str, type] = {
    "pipeline": str, "site": str, "user": str, "priority": int, "event": int, "tags": str, "config.parent": str,
}  # fmt: skip


def _values(value: Any) -> Iterator[Any]:
    """The values one of which is to fit: one, or ``{"$in": [...]}``."""
    if isinstance(value, Mapping):
        for operator, each in value.items():
            if operator != "$in" or not isinstance(each, list):
                raise Refusal(
                    400, f"The operator {shortened(operator)} is not known in a withdrawal.", 'Use {"$in": [1, 2]}.'
                )
            yield from each
    elif isinstance(value, list):
        yield from value
    else:
        yield value


def _update(asked: Asked) -> bool:
    return all(change(asked, documents_in(asked.body)))


def _delete(asked: Asked) -> bool:
    return bool(asked.works.delete(ids_in(asked.query, "ids"), store="bucket"))


def _view(asked: Asked) -> Any:
    return view(asked, "in_bucket", "-deposit")


def _status(asked: Asked) -> dict[str, int]:
    return status_of(asked.works.status())


def _details(asked: Asked) -> dict[str, int]:
    return status_of(asked.works.status(asked.path["pipeline"]))


def _pipelines(asked: Asked) -> Sequence[str]:
    return asked.works.buckets()


def _failed(asked: Asked) -> int:
    return asked.works.audit("failed")


def _expired(asked: Asked) -> int:
    return asked.works.audit("expired")


def _stale(asked: Asked) -> int:
    try:
        days = float(asked.path["days"])
    except ValueError:
        days = -1.0
    if not 0 <= days <= _LONGEST_AGE:
        raise Refusal(400, f"{shortened(asked.path['days'])} is no number of days.", "Ask for /audit/stale/7.0")
    return asked.works.audit("stale", days)


def _valid(_asked: Asked) -> dict[str, bool]:
    """Whoever gets here has been let in."""
    return {"valid": True}


CALLS = (
    Call("POST", "/work", "work", _deposit, writes=True, has_body=True),
    Call("PUT", "/work", "work", _update, writes=True, has_body=True),
    Call("DELETE", "/work", "work", _delete, writes=True),
    Call("POST", "/work/withdraw", "work", _withdraw, writes=True, has_body=True),
    Call("POST", "/view", "read", _view, has_body=True),
    Call("GET", "/status", "read", _status),
    Call("GET", "/status/details/{pipeline:path}", "read", _details),
    Call("GET", "/status/pipelines", "read", _pipelines),
    Call("GET", "/audit/failed", "work", _failed, writes=True),
    Call("GET", "/audit/expired", "work", _expired, writes=True),
    Call("GET", "/audit/stale/{days}", "work", _stale),
    Call("GET", "/auth/verify", "read", _valid),
)
"""What Buckets answer."""
