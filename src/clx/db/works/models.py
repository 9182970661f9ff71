"""What the table keeps of a Work: its row and labels, made of a document, and the document, made of a row."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from clx.db.models import decode, decode_or_show, encode, told_or_shown
from clx.db.statements import NO_TIME
from clx.db.validation import SMALL, check_text, is_text
from clx.errors import QueueError
from clx.settings.problems import shortened

WORK = "work:"
"""What the types of jobs begin with that are Works."""
STATUSES = ("queued", "running", "success", "failure", "cancelled")
ENDED = ("success", "failure", "cancelled")
LIVE_AND_ENDED = {"queued": "queued", "running": "running", "succeeded": "success", "failed": "failure"}
"""State of a job → status of a Work, where they are not the same word."""
MOST_RUNS = 100
_LONGEST = 366 * 24 * 3600
"""Seconds that a Work may take at most, whoever deposited it."""
SAID = "_said"
"""What an update may tell besides of the run that it ends: a mapping with ``output`` and ``peak_memory``."""
_TOLD = ("run", "error", "progress", SAID)
"""What the job of a Work tells; not kept in the document."""
_DIGITS = bytes(ord("0") if chr(code) in "0123456789abcdef" else ord(" ") for code in range(256))
"""Each byte of a text → ``0`` where it is a hexadecimal digit."""
_DIGEST = b"0" * 64
_LAST_TICK = (1 << 48) - 1
"""The last 65,536th of a second that twelve digits have."""
_BACK = 60 * 65536
"""How far an id may be ahead of the clock for the sake of order."""
_LATEST = 253_402_300_799
"""The last second of the year 9999."""

MOST_SAID = 64 << 10
"""Characters that are kept of what an attempt said."""

Document = dict[str, Any]


def is_work(type_: object) -> bool:
    """Whether jobs of a type are Works."""
    return isinstance(type_, str) and type_.startswith(WORK)


# -- ids --------------------------------------------------------------------------------------------------


class Ids:
    """New ids: 24 hexadecimal digits that rise with time, as those of MongoDB; and within a process one by one.

    After a clock was set back by more than a minute they go on from where it is now. From the year 2106 on all of
    them begin alike.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tick = self._count = 0

    def next(self, now: int) -> str:
        """The next one.

        Args:
            now: milliseconds UTC.
        """
        tick = min(now * 65536 // 1000, _LAST_TICK)
        with self._lock:
            if not 0 <= self._tick - tick <= _BACK:
                self._tick, self._count = tick, 0
            else:
                self._count += 1
                if self._count == 65536:
                    self._tick, self._count = min(self._tick + 1, _LAST_TICK), 0
            return f"{self._tick:012x}{self._count:04x}{os.urandom(4).hex()}"


new_id = Ids().next

# -- from a document to a row -----------------------------------------------------------------------------


class Fields(NamedTuple):
    """What stands in columns of its own; times in microseconds UTC, ``timeout`` in milliseconds."""

    pipeline: str
    site: str
    owner: str
    creation: int | None
    start: int | None
    stop: int | None
    attempt: int
    retries: int
    status: str
    archived: int
    locked: int
    names_artifacts: int
    document: str
    priority: int
    timeout: int
    labels: frozenset[tuple[str, str]]

    @property
    def type(self) -> str:
        """The type of its job."""
        return f"{WORK}{self.pipeline}"


def _whole(document: Mapping[str, Any], name: str, usual: int, lowest: int, highest: int) -> int:
    value = document.get(name)
    if value.__class__ is int and lowest <= value <= highest:  # as nearly always
        whole: int = value
        return whole
    if value is None:
        return usual
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise _wrong(name, value, f"a whole number from {lowest} to {highest}")
    return value


def _text(document: Mapping[str, Any], name: str, usual: str | None) -> str:
    value = document.get(name)
    if value.__class__ is str and value and value.isascii() and "\0" not in value:  # as nearly always
        text: str = value
        return text
    if value is None and usual is not None:
        return usual
    if not is_text(value) or not value:
        raise _wrong(name, value, "a text that is not empty, without NUL")
    return str(value)


def microseconds(name: str, seconds: Any) -> int | None:
    """A moment in seconds UTC as the table keeps it; None for None.

    Raises:
        QueueError: it is no moment.
    """
    if seconds is None:
        return None
    if seconds.__class__ is float and 0.0 <= seconds <= _LATEST:  # as nearly always
        return round(seconds * 1_000_000)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LATEST:
        raise _wrong(name, seconds, "seconds since 1970, a number")
    return round(seconds * 1_000_000)


def _wrong(name: str, value: Any, allowed: str) -> QueueError:
    return QueueError(f"The {name} {shortened(repr(value))} of a work is not possible.", f"It is {allowed}.")


def _labels(document: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    found = set()
    config = document.get("config")
    parent = document.get("parent") or (
        None if config is None or not isinstance(config, Mapping) else config.get("parent")
    )
    for kind, value in (
        ("tag", document.get("tags")),
        ("group", document.get("group")),
        ("event", document.get("event")),
        ("parent", parent),
    ):
        if value is None:
            continue
        for each in value if isinstance(value, list | tuple) else (value,):
            if each.__class__ is int or (each.__class__ is str and each.isascii() and "\0" not in each):
                found.add((kind, str(each)))  # as nearly always
            elif each is not None:
                if isinstance(each, bool) or not isinstance(each, int | float | str) or not is_text(str(each)):
                    raise _wrong(kind, each, "a text without NUL, or a list of texts; events are whole numbers")
                found.add((kind, label(each)))
    return frozenset(found)


def label(value: Any) -> str:
    """How a tag, group, event or parent stands among the labels."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _flag(document: Mapping[str, Any], name: str) -> int:
    results = document.get("results")
    return int(results is not None and isinstance(results, Mapping) and results.get(name) is True)


def _names_digest(text: str) -> bool:
    """Whether a text has 64 hexadecimal digits in a row; a pattern takes ten times as long."""
    return _DIGEST in text.encode("utf-8", "replace").translate(_DIGITS)


def _said_again(kept: Document) -> str:
    """JSON text of what was JSON a moment ago: only whether everybody can read it again is looked at.

    Raises:
        QueueError: it is too large, or nested too deeply, or has a number that is.
    """
    try:
        encoded = msgspec.json.encode(kept)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return encode(kept)  # which tells why
    if len(encoded) > SMALL:
        check_text(encoded)
    return encoded.decode()


def fields_of(document: Mapping[str, Any], *, was_json: bool = False) -> Fields:
    """What a document says, checked.

    Args:
        was_json: whether it comes from a JSON text, so that JSON can say all of it.

    Raises:
        QueueError: names the field that is not possible.
    """
    if document.__class__ is not dict and not isinstance(document, Mapping):
        raise QueueError(f"A work is a mapping, not {shortened(repr(document))}.", 'Write {"pipeline": "name"}.')
    kept = dict(document)
    for name in _TOLD:
        kept.pop(name, None)
    text = _said_again(kept) if was_json else encode(kept)
    timeout = document.get("timeout")
    if timeout is None:
        timeout = 3600
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _LONGEST:
        raise _wrong("timeout", timeout, f"seconds, more than 0 and up to {_LONGEST}")
    pipeline = _text(document, "pipeline", None)
    status = document.get("status") or "created"
    if not isinstance(status, str) or status not in {"created", *STATUSES}:
        raise _wrong("status", status, f"one of created, {', '.join(STATUSES)}")
    return Fields(
        pipeline,
        _text(document, "site", "local"),
        _text(document, "user", "unknown"),
        microseconds("creation", document.get("creation")),
        None if (start := document.get("start")) is None else microseconds("start", start),
        None if (stop := document.get("stop")) is None else microseconds("stop", stop),
        _whole(document, "attempt", 0, 0, 1_000_000),
        _whole(document, "retries", 2, 0, MOST_RUNS),
        "queued" if status == "created" else str(status),
        int(document.get("archived") is True),
        _flag(document, "locked"),
        int(_names_digest(text)),
        text,
        _whole(document, "priority", 3, 1, 5),
        max(1, round(timeout * 1000)),
        _labels(document),
    )


def job_row(fields: Fields, work_id: str, now: int) -> tuple[Any, ...]:
    """The row of the job of a new Work, as :data:`clx.db.statements.INSERT` wants it."""
    return (
        fields.type, "", fields.priority, 5 - fields.priority, f'{{"work":{encode(work_id)}}}', None,
        max(1, fields.retries), 1, 0, NO_TIME, fields.timeout, now, 0, 1, None,
    )  # fmt: skip


class Key(NamedTuple):
    """By what a deposit that is made again is known: microseconds UTC, texts, and parameters as JSON."""

    creation: int
    pipeline: str
    owner: str
    parameters: str


def deposit_key(document: Mapping[str, Any], fields: Fields) -> Key | None:
    """By what a deposit that is made again is known; None: by nothing."""
    if fields.creation is None or document.get("id") is not None:
        return None
    return Key(fields.creation, fields.pipeline, fields.owner, encode(document.get("parameters")))


def parameters_in(text: str) -> str:
    """The parameters in the text of a document, as JSON."""
    document = decode_or_show(text)
    return encode(document.get("parameters")) if isinstance(document, dict) else ""


# -- from a row to a document -----------------------------------------------------------------------------

_OWN = ("id", "creation", "start", "stop", "attempt", "status", "document", "job_id", "in_bucket", "in_results")
OWN_COLUMNS = ", ".join(_OWN)
"""What a document is made of, of the table of works alone; its job has the rest."""
COLUMNS = ", ".join([*(f"w.{name}" for name in _OWN), "j.error", "j.progress"])
"""All that a document is made of, of works ``w`` and jobs ``j``."""


class Found(NamedTuple):
    """A Work as it was found: its document, and what is not in it.

    Attributes:
        job_id: the id of its job.
        in_bucket, in_results: in which of the two stores its clients see it.
    """

    document: Document
    job_id: int
    in_bucket: bool
    in_results: bool


def found_from_row(row: Sequence[Any]) -> Found:
    """The Work of a row of :data:`COLUMNS`."""
    *own, error, progress = row
    return found_from(
        own,
        None if error is None else told_or_shown(error),
        None if progress is None else decode_or_show(progress),
    )


def found_from(own: Sequence[Any], error: dict[str, Any] | None, progress: Any) -> Found:
    """The Work of a row of :data:`OWN_COLUMNS`, and what its job says: its last error, and how far it is."""
    work_id, creation, start, stop, attempt, status, text, job_id, in_bucket, in_results = own
    try:
        document = decode(text)
    except (ValueError, TypeError, RecursionError):
        document = decode_or_show(text)
    if document.__class__ is not dict:  # another program wrote it
        document = {"pipeline": "", "odd": str(document)}
    document["id"] = work_id
    document["creation"] = _exactly(document.get("creation"), creation)
    document["start"] = None if start is None else _exactly(document.get("start"), start)
    document["stop"] = None if stop is None else _exactly(document.get("stop"), stop)
    document["attempt"] = attempt
    document["status"] = status
    if error is not None:
        document["error"] = error
    if progress is not None:
        document["progress"] = progress
    return Found(document, job_id, in_bucket != 0, in_results != 0)


def _exactly(told: Any, moment: Any) -> float | None:
    """A moment of the table as whoever told it has *told* it, who had more digits."""
    if isinstance(told, float) and 0 <= told <= _LATEST and round(told * 1_000_000) == moment:
        return told
    return seconds(moment)


def seconds(moment: Any) -> float | None:
    """A moment of the table in seconds UTC; None for None, and for what another program wrote in its place."""
    return moment / 1_000_000 if isinstance(moment, int) else None


def bounded(said: str) -> str:
    """Beginning and end of what an attempt said where that is long, as text that every table takes."""
    said = said.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    half = MOST_SAID // 2
    left_out = len(said) - 2 * half
    return f"{said[:half]}\n... {left_out} characters were left out here ...\n{said[-half:]}" if left_out > 0 else said


def by_position(ids: Iterable[str]) -> list[str]:
    """Some ids, each once, in their order; what is no text cannot be one.

    Raises:
        QueueError: one is no text.
    """
    found = list(dict.fromkeys([ids] if isinstance(ids, str) else ids))
    for each in found:
        if not is_text(each):
            raise QueueError(f"No work has the id {shortened(repr(each))}.", "Ids of works are texts.")
    return found
