"""What the queue takes: everything else is refused before it reaches the table, with the name of what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, is_
from typing import Any

import msgspec

from clx.db.clock import Clock
from clx.db.durations import in_ms
from clx.db.statements import NO_TIME
from clx.errors import QueueError
from clx.settings.problems import did_you_mean, shortened


def _is_whole(value: object, lowest: int = 0, highest: int = NO_TIME) -> bool:
    return isinstance(value, int) and lowest <= value <= highest


def is_text(value: object) -> bool:
    """Whether *value* is a text that every table can keep: without NUL (PostgreSQL), and UTF-8 can say it."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_id(value: object) -> bool:
    return _is_whole(value, -NO_TIME - 1)


def _are_ids(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes) and all(map(_is_id, value))


LONGEST = 100 * 365 * 24 * 3600 * 1000
"""Milliseconds that no lease and no pause exceeds."""
MOST_AT_A_TIME = 1000
"""Jobs that one consumer does at a time."""
DEEPEST = 200
"""Lists and mappings within each other. Reading takes a step of Python's stack for each, and whoever reads may stand
deep in it already: a job that was put in with more could stop every worker that looks at it."""
LARGEST = 200_000_000
"""Bytes of one JSON text. A row takes 10^9 (SQLite): with payload, progress, result and error of this size a job can
still be ended. With a larger payload its result might not fit, and every worker would fail to report it."""
SMALL = 2 * DEEPEST
"""Bytes of a JSON text that cannot be nested too deeply."""
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKET = re.compile(rb"[][{}]")
_MISSING = object()
_NEW_JOB: tuple[tuple[str, object, Callable[[Any], bool], str], ...] = (
    ("type", _MISSING, lambda value: bool(value) and is_text(value), "a text that is not empty, without NUL"),
    ("payload", _MISSING, lambda value: type(value) is dict or isinstance(value, Mapping), "a mapping"),
    ("pool", "", is_text, "plain text without NUL"),
    ("key", None, is_text, "plain text without NUL, or None"),
    ("priority", 3, lambda value: _is_whole(value, 1, 5), "1 to 5; 5 is claimed first, 3 is usual"),
    ("max_runs", 3, lambda value: _is_whole(value, 1), "a whole number from 1"),
    ("not_before", 0, _is_whole, "milliseconds UTC, a whole number"),
    ("deadline", None, _is_whole, "milliseconds UTC, a whole number, or None"),
    ("timeout", None, lambda value: _is_whole(value, 1), "milliseconds, a whole number from 1, or None"),
    ("needs", (), _are_ids, "a list of job ids"),
    ("delay", 0, lambda value: _is_whole(value, 0, LONGEST), "milliseconds, a whole number, or a timedelta"),
    ("expires", None, _is_whole, "a timedelta, a datetime, or milliseconds UTC"),
    ("expires_in", None, lambda value: _is_whole(value, 1, LONGEST), "milliseconds, a whole number from 1, or None"),
    ("limit", None, lambda value: bool(value) and is_text(value), "a text that is not empty, without NUL, or None"),
    ("unique_for", None, lambda value: _is_whole(value, 1, LONGEST), "milliseconds from 1, a timedelta, or None"),
)
"""Attribute, the value that needs no look (most jobs have it), whether another is allowed, and what is."""
_SELDOM_GIVEN = attrgetter(*(name for name, usual, _, _ in _NEW_JOB if usual is not _MISSING))
_USUAL = tuple(usual for _, usual, _, _ in _NEW_JOB if usual is not _MISSING)
_NO_TIMES = {type(None), int, str, tuple, list}
"""Types of values that are no times which milliseconds are to be made of."""


def check_new_job(job: Any, tell_times: Callable[[Any], None]) -> None:
    """Hold a :class:`~clx.db.models.NewJob` to what the table takes.

    Args:
        tell_times: makes milliseconds of its times; called where anything but type and payload was given.

    Raises:
        QueueError: names the attribute, its value and what is allowed.
    """
    # the usual job in one comparison: the loop would be a tenth of what enqueueing costs
    given = _SELDOM_GIVEN(job)
    is_usual = all(map(is_, given, _USUAL))
    if not is_usual and not {*map(type, given)} <= _NO_TIMES:
        tell_times(job)
        given = _SELDOM_GIVEN(job)
    if is_usual and type(job.payload) is dict and type(job.type) is str and job.type and is_text(job.type):
        return
    for (name, usual, is_allowed, allowed), value in zip(_NEW_JOB, (job.type, job.payload, *given), strict=True):
        if value is not usual and not is_allowed(value):
            raise QueueError(f"The {name} {_shown(value)} of a job is not possible.", f"It is {allowed}.")


SECONDS = 100_000_000_000
"""Milliseconds below which a moment (of before 1973) must be meant in seconds."""


def check_moments(jobs: Sequence[Any], clock: Clock) -> None:
    """Hold the moments of new jobs to milliseconds.

    Raises:
        QueueError: one is so early that it must be seconds, which would be taken for the past.
    """
    for job in jobs:
        if not job.not_before and job.deadline is None and job.expires is None:
            continue
        for name in ("not_before", "deadline", "expires"):
            moment = getattr(job, name)
            if moment and moment < SECONDS <= clock.now():
                raise QueueError(
                    f"The {name} {moment} of a job lies in {1970 + moment // 31_557_600_000}: these are seconds.",
                    f"Give milliseconds (× 1000), a datetime, or a timedelta from now: {name}=timedelta(hours=1).",
                )


def in_milliseconds(name: str, value: datetime | timedelta, since: Callable[[], int] | None) -> int:
    """*value* as the table keeps times; a duration counts from *since*.

    Raises:
        QueueError: it is a moment of no time zone, or a moment where a duration is wanted, as *since* = None says.
    """
    if isinstance(value, timedelta):
        return (since() if since else 0) + in_ms(value)
    if value.tzinfo is None or since is None:
        wanted = "a timedelta" if since is None else "a datetime with its zone, datetime.now(UTC) say"
        raise QueueError(f"The {name} {_shown(value)} of a job is not possible.", f"Give {wanted}.")
    return round(value.timestamp() * 1000)


def check_batch(name: object, callback: Any) -> None:
    """Hold the name of a batch to a text, and its callback to a job that can always be put in.

    Raises:
        QueueError: it is no new job, or has needs or a key.
    """
    if not is_text(name):
        raise QueueError(f"A batch cannot be called {_shown(name)}.", "Give a text.")
    has_key = getattr(callback, "key", None) is not None or getattr(callback, "unique_for", None) is not None
    if not hasattr(callback, "needs") or callback.needs or has_key:
        raise QueueError(
            "The callback of a batch is a NewJob without needs and without a key.",
            "It waits for its batch, and belongs to it alone.",
        )


def check_claim(types: Sequence[str], n: int, lease: int, pool: str = "") -> None:
    """Hold the arguments of a claim to what they mean.

    Raises:
        QueueError: names the argument.
    """
    if isinstance(types, str) or not isinstance(types, Collection):
        raise QueueError(f"Job types are given as a list, not as {_shown(types)}.", f"Write [{_shown(types)}].")
    if not all(map(is_text, types)):
        raise QueueError(f"No job is of a type in {_shown(types)}.", "Give a list of job types.")
    if not is_text(pool):
        raise QueueError(f"No job is of the pool {_shown(pool)}.", "Give a text without NUL.")
    if not _is_whole(n):
        raise QueueError(f"{_shown(n)} jobs cannot be claimed.", "Give a whole number.")
    check_lease(lease)


def check_types(types: Collection[str]) -> None:
    """Hold the types of a claim that found nothing to types that a job can have.

    Raises:
        QueueError: there are none.
    """
    if not types:
        raise QueueError(f"No job is of a type in {_shown(types)}.", "Give a list of job types.")


def check_handlers(handlers: Mapping[str, Callable[..., Any]]) -> None:
    """Hold the functions of a consumer to what they are.

    Raises:
        QueueError: names the one that is none.
    """
    if not isinstance(handlers, Mapping) or not handlers:
        raise QueueError("A consumer is given a function for each type of job.", 'Write {"type": function}.')
    for type_, function in handlers.items():
        if not callable(function) or not isinstance(type_, str):
            raise QueueError(f"{_shown(function)} is no function for {_shown(type_)}.", 'Write {"type": function}.')


def check_consumer(
    handlers: Mapping[str, Callable[..., Any]],
    lease: int,
    ahead: int,
    limit: int | None,
    stop_after: float,
    concurrency: int,
) -> None:
    """Hold the arguments of a consumer to what they mean.

    Raises:
        QueueError: names the argument.
    """
    check_handlers(handlers)
    check_lease(lease)
    if not _is_whole(ahead, 1):
        raise QueueError(f"{_shown(ahead)} jobs cannot be held ahead.", "Give a whole number from 1; 1 holds none.")
    if not _is_whole(concurrency, 1) or concurrency > MOST_AT_A_TIME:
        advice = f"Give a whole number from 1 to {MOST_AT_A_TIME}."
        raise QueueError(f"{_shown(concurrency)} jobs cannot be done at a time.", advice)
    if limit is not None and not _is_whole(limit):
        raise QueueError(f"A limit of {_shown(limit)} jobs is not possible.", "Give a whole number, or None.")
    if not isinstance(stop_after, int | float) or not 0 <= stop_after <= LONGEST:
        raise QueueError(f"Nobody can stop after {_shown(stop_after)} seconds.", "Give a number of seconds.")


def check_timeout(timeout: float | None) -> None:
    """Hold a time to wait to seconds.

    Raises:
        QueueError: it is something else.
    """
    if timeout is not None and not (isinstance(timeout, int | float) and timeout == timeout):  # noqa: PLR0124  (NaN)
        raise QueueError(f"Nobody can wait for {_shown(timeout)} seconds.", "Give a number of seconds, or None.")


def check_limit(limit: int) -> None:
    """Hold the number of jobs to be shown to a whole number.

    Raises:
        QueueError: it is something else.
    """
    if not _is_whole(limit):
        raise QueueError(f"A limit of {_shown(limit)} jobs is not possible.", "Give a whole number.")


def check_type(type_: object, pool: object) -> None:
    """Hold a type of jobs and a pool to what a job can have.

    Raises:
        QueueError: it is something else.
    """
    if not type_ or not is_text(type_):
        raise QueueError(f"No job is of the type {_shown(type_)}.", "Give a text that is not empty.")
    if not is_text(pool):
        raise QueueError(f"No job is of the pool {_shown(pool)}.", "Give a text.")


def check_limit_of_jobs(name: object, concurrency: object, rate: object, period: object) -> None:
    """Hold a limit to whole numbers.

    Raises:
        QueueError: one is something else, or the rate has no time.
    """
    if not name or not is_text(name):
        raise QueueError(f"No limit can be called {_shown(name)}.", "Give a text that is not empty.")
    for what, value in (("concurrency", concurrency), ("rate", rate), ("per", period)):
        if value is not None and not _is_whole(value, 1, LONGEST):
            wanted = "milliseconds from 1, or a timedelta" if what == "per" else "a whole number from 1"
            raise QueueError(f"{what}={_shown(value)} is not possible.", f"Give {wanted}, or None.")
    if (rate is None) != (period is None):
        raise QueueError(
            "A rate is so many jobs within a time; one of both is missing.",
            "Write set_limit(…, rate=100, per=timedelta(minutes=1)).",
        )


def check_keys(keys: object) -> None:
    """Hold an argument to a collection of keys.

    Raises:
        QueueError: it is one key, or something else.
    """
    if isinstance(keys, str) or not isinstance(keys, Collection) or not all(map(is_text, keys)):
        raise QueueError(f"Results are asked for by a list of keys, not by {_shown(keys)}.", "Write [key].")


def check_lease(lease: int) -> None:
    """Hold a lease to milliseconds.

    Raises:
        QueueError: it is something else.
    """
    if not _is_whole(lease, 1, LONGEST):
        raise QueueError(f"A lease of {_shown(lease)} is not possible.", "It is milliseconds, a whole number from 1.")


def check_backoff(backoff: int) -> None:
    """Hold a pause before the next run to milliseconds.

    Raises:
        QueueError: it is something else.
    """
    if not _is_whole(backoff, 0, LONGEST):
        raise QueueError(f"A backoff of {_shown(backoff)} is not possible.", "It is milliseconds, a whole number.")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Hold an argument to the words it may be.

    Raises:
        QueueError: it is another.
    """
    if value not in allowed:
        raise QueueError(f"{name} cannot be {_shown(value)}.", did_you_mean(str(value), allowed))


def check_id(job_id: object) -> None:
    """Hold an argument to one job id.

    Raises:
        QueueError: it is something else.
    """
    if not _is_id(job_id):
        raise QueueError(
            f"A job is named by its id, not by {_shown(job_id)}.", "Give a whole number from 1 to 2^63 - 1."
        )


def check_search(texts: Mapping[str, object], numbers: Mapping[str, object]) -> None:
    """Hold what jobs are looked for by to texts and numbers; None says nothing.

    Raises:
        QueueError: names the argument.
    """
    for name, value in texts.items():
        if value is not None and not is_text(value):
            raise QueueError(f"No job has the {name} {_shown(value)}.", "Give a text without NUL, or None.")
    for name, value in numbers.items():
        if value is not None and not _is_id(value):
            raise QueueError(f"{name}={_shown(value)} is not possible.", "Give a whole number, or None.")


def check_ids(job_ids: object) -> None:
    """Hold an argument to a collection of job ids.

    Raises:
        QueueError: it is one id, or something else.
    """
    if not _are_ids(job_ids):
        raise QueueError(f"Jobs are named by a list of ids, not by {_shown(job_ids)}.", "Write [id], below 2^63.")


_NEVER_INFINITE = frozenset({str, int, bool, type(None)})
_LISTED: dict[type, Callable[[Any], Iterable[Any]]] = {dict: dict.values, list: iter}
"""What holds others, and how they are found."""


def is_finite(value: Any) -> bool:
    """Whether no number in *value*, something that msgspec encodes, is one that JSON cannot say (NaN, infinite)."""
    left = [value]
    while left:
        each = left.pop()
        if each.__class__ in _NEVER_INFINITE:  # as most are; a pattern takes five times as long
            continue
        if each.__class__ in _LISTED:  # likewise
            left.extend(_LISTED[each.__class__](each))
            continue
        match each:
            case None | str() | int() | msgspec.Raw():
                continue
            case float() as number:
                if not math.isfinite(number):
                    return False
            case Mapping() as found:
                left.extend(found.values())
            case list() | tuple() | set() | frozenset() as found:
                left.extend(found)
            case other if (plain := msgspec.to_builtins(other)) is not other:
                left.append(plain)
    return True


_PLAIN = frozenset({str, int, float, bool, type(None)})
_NAMES = frozenset({str})
_check = msgspec.json.Decoder().decode


def check_names(value: Any) -> bool:
    """Look at the names in *value*, something that msgspec encodes.

    Returns:
        Whether there may be ready-made JSON in it (:class:`msgspec.Raw`), which nobody has read yet.

    Raises:
        QueueError: two names of one mapping are the same in JSON (1 and "1"), or one is no finite number.
    """
    kind = type(value)
    if kind is dict:  # in one sweep each: nearly every payload is a flat mapping, and every enqueue comes by
        if not _NAMES.issuperset(map(type, value)):
            _check_odd_names(value)
        if _PLAIN.issuperset(map(type, value.values())):
            return False
        return any(check_names(each) for each in value.values() if type(each) not in _PLAIN)
    if kind is list or kind is tuple:
        return any(check_names(each) for each in value if type(each) not in _PLAIN)
    return kind not in _PLAIN


def _check_odd_names(value: Mapping[Any, Any]) -> None:
    told_names = set()
    for name in value:
        if isinstance(name, float) and not math.isfinite(name):
            raise QueueError(f"JSON cannot say this: {name} as a name in a mapping.", "Use text for names.")
        told_names.add(_check(msgspec.json.encode({name: None})).popitem()[0] if not isinstance(name, str) else name)
    if len(told_names) < len(value):
        raise QueueError(
            f"JSON cannot say this: two names of {_shown(value)} are the same in it.", "Use text for names."
        )


def check_syntax(encoded: bytes) -> None:
    """See that *encoded*, which holds JSON that somebody else wrote, is JSON.

    Raises:
        msgspec.DecodeError, ValueError: it is not.
    """
    _check(encoded)


def is_told(value: Any, encoded: bytes) -> bool:
    """Whether all numbers of a value are finite, the names of which and what is JSON already can be read.

    Raises:
        QueueError, ValueError, msgspec.MsgspecError: these cannot.
    """
    if check_names(value):
        check_syntax(encoded)
    # NaN becomes null: worth a look only where there is one
    return b"null" not in encoded or isinstance(value, msgspec.Raw | None) or is_finite(value)


def check_text(encoded: bytes) -> None:
    """Hold a JSON text of more than :data:`SMALL` bytes to what everybody can read and every row can take.

    Raises:
        QueueError: it is too large, or nested too deeply.
    """
    if len(encoded) > LARGEST:
        raise QueueError(
            f"{len(encoded) / 1e6:.0f} MB are more than the {LARGEST / 1e6:.0f} MB that a job may carry.",
            "Put it in a file, and say where that is.",
        )
    if encoded.count(b"[") + encoded.count(b"{") <= DEEPEST:
        return
    depth = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", encoded)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            raise QueueError(
                f"This is nested deeper than {DEEPEST} lists and mappings.", "Make it flatter, or give text."
            )


def storable(value: Any) -> Any:
    """*value* with everything that JSON cannot say replaced by its text: a failure is always told."""
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else repr(value)
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {storable(str(name)): storable(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [storable(each) for each in value]
    return storable(told(value, repr))


def told(value: object, how: Callable[[Any], str]) -> str:
    """*value* as text, also where *how* raises, as somebody's own class may."""
    try:
        return how(value)
    except Exception:
        return f"<{type(value).__name__} that has no text>"


def _shown(value: object) -> str:
    return shortened(repr(value))
