"""What a call asks, and whether it was answered before; if not, which call was nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from clx.db.results import kept_result
from clx.routines.codecs import key_of
from clx.routines.performing import arguments_of
from clx.routines.readable import line
from clx.routines.routine import Call

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.routines.codecs.canonical import Files

_LOOKED_AT = 2000
"""Jobs among which the nearest call is looked for, newest first."""


class Difference(NamedTuple):
    """An argument that is another one: as asked for, and as it was; as text, None where there is none."""

    name: str
    asked: str | None
    was: str | None


class Explained(NamedTuple):
    """What is known about a call.

    Attributes:
        arguments: the canonical text.
        key: of the call; None: it is never answered by another one.
        age: seconds since the kept result was made; None: there is none.
        is_same_source: whether the code was the same then.
        is_too_old: whether it is older than the routine's ``ttl``.
        live: the job that does the same at this moment.
        nearest: another call whose result is kept, by its job, and what differs.
    """

    arguments: str
    key: str | None
    age: float | None
    is_same_source: bool
    is_too_old: bool
    live: int | None
    nearest: tuple[int, list[Difference]] | None


def explain(queue: Queue, call: Call[Any], files: Files) -> Explained:
    """What is known about *call*, which is not made."""
    call.close()
    routine, arguments = call.routine, arguments_of(call, files)
    if not routine.is_task or not routine.options.cache:
        return Explained(arguments, None, None, is_same_source=True, is_too_old=False, live=None, nearest=None)
    key = key_of(routine.name.name, routine.name.version, arguments)
    kept = kept_result(queue.database, routine.id, key) if routine.is_cached else None
    live = queue.search(type=routine.id, key=key, state=("queued", "running"), limit=1)
    age = None if kept is None else max(0, queue.database.clock.now() - kept.created_at)
    return Explained(
        arguments,
        key,
        None if age is None else age / 1000,
        is_same_source=kept is None or _source(kept.result) == routine.source,
        is_too_old=age is not None and routine.options.ttl is not None and age > routine.options.ttl,
        live=live[0].id if live else None,
        nearest=_nearest(queue, routine.id, arguments) if kept is None else None,
    )


def _source(result: Any) -> Any:
    return result.get("source") if isinstance(result, dict) else None


def _nearest(queue: Queue, type_: str, arguments: str) -> tuple[int, list[Difference]] | None:
    """The newest of the calls with a kept result that differ in the fewest arguments."""
    asked = msgspec.json.decode(arguments)
    done = queue.search(type=type_, state="succeeded", limit=_LOOKED_AT)
    kept = queue.results([job.key for job in done if job.key is not None], type=type_)
    found: tuple[int, list[Difference]] | None = None
    for job in done:
        was = job.payload.get("arguments") if job.key in kept else None
        if isinstance(was, dict):
            differing = _differences(asked, was)
            if found is None or len(differing) < len(found[1]):
                found = job.id, differing
    return found


def _differences(asked: dict[str, Any], was: dict[str, Any]) -> list[Difference]:
    return [
        Difference(name, line(asked[name]) if name in asked else None, line(was[name]) if name in was else None)
        for name in sorted(asked.keys() | was.keys())
        if msgspec.json.encode(asked.get(name)) != msgspec.json.encode(was.get(name))
        or (name in asked) != (name in was)
    ]
