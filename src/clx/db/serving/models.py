"""Rows of serving as records."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from clx.db.odd_rows import Reader
from clx.errors import UsageError

Residence = Literal["unloaded", "loaded", "warm"]
"""How a model is to stand: not served; served, and given up where its memory is needed; served, and never given up."""
COLD = "cold: loaded when it is asked for"
"""The reason of a model that is served, and not loaded for want of memory."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
VERSION = re.compile(r"[0-9]{1,18}")
LONGEST_TIMEOUT = 24 * 3600 * 1_000_000
"""Microseconds."""
LARGEST_BATCH = 1 << 16


class ModelRow(NamedTuple):
    """A version of a model.

    Attributes:
        name, version: of it.
        digest: of its bytes in the store; empty where it is a *callable*.
        size: bytes.
        callable: ``MODULE:NAME`` of what workers import.
        largest: rows of its largest batch; 0: as the model says.
        default_timeout: microseconds that a request has which says nothing; 0: any time.
        chosen: 1: it is the version that is served.
        residence: how it is to stand.
        state, reason: how it stood when a server last said so.
        grown: bytes by which a worker grew when it was loaded there; 0: nobody knows yet.
        created_at: milliseconds UTC.
        load_ns: nanoseconds that its last load took; 0: nobody knows yet.
    """

    name: str
    version: str
    digest: str
    size: int
    callable: str
    largest: int
    default_timeout: int
    chosen: int
    residence: str
    state: str
    reason: str
    grown: int
    created_at: int
    load_ns: int


class NewModel(NamedTuple):
    """A version that is to be there; as :class:`ModelRow`. *version*: empty: the one after the last."""

    name: str
    digest: str = ""
    size: int = 0
    callable: str = ""
    version: str = ""
    largest: int = 0
    default_timeout: int = 0
    residence: Residence = "loaded"


class RequestRow(NamedTuple):
    """What became of a request.

    Attributes:
        number: of the request, by its server.
        request: what its client calls it.
        model, version: what it asked.
        outcome: ``success``, or the ``code`` that its client was told.
        arrived_at: milliseconds UTC at which its first byte was read.
        arrived_ns, began_ns, answered_ns, deadline_ns: the same moment, that its batch was sent to a worker, that it
            was answered, that it had to be, on the monotonic clock of the server; 0: there was none.
        rows: of it.
        batch: number of the action that ran it; 0: none did.
    """

    number: int
    request: str
    model: str
    version: str
    outcome: str
    arrived_at: int
    arrived_ns: int
    began_ns: int
    answered_ns: int
    deadline_ns: int
    rows: int
    batch: int


class ActionRow(NamedTuple):
    """What a worker was told to do.

    Attributes:
        number: of the action, by its server.
        kind: ``load``, ``unload`` or ``infer``.
        worker: its number.
        model, version: whose.
        outcome: ``success``, or what kept it from that.
        sent_at: milliseconds UTC.
        sent_ns, ended_ns: when it was sent and when its end was known, on the monotonic clock of the server.
        expected_ns, took_ns: how long it was estimated to take, and took by the worker's clock; 0: nobody knows.
        requests, rows: that ran in it.
    """

    number: int
    kind: str
    worker: int
    model: str
    version: str
    outcome: str
    sent_at: int
    sent_ns: int
    ended_ns: int
    expected_ns: int
    took_ns: int
    requests: int
    rows: int


_READER = Reader.of("serving_models", ModelRow._fields)


def model_from_row(row: Any) -> ModelRow:
    """A row as a record; what is odd in it stands as something that programs can go on with."""
    return ModelRow._make(_READER.read(row)[0])


def check_new(model: NewModel) -> None:
    """See that a model can be kept so.

    Raises:
        UsageError: names what cannot.
    """
    if not NAME.fullmatch(model.name):
        raise UsageError(
            f"A model cannot be called {model.name[:200]!r}.", "Use A-Z a-z 0-9 . _ -, 128 of them at most."
        )
    if model.version and not VERSION.fullmatch(model.version):
        raise UsageError(f"{model.version[:40]!r} is no version.", "Give a whole number, 18 digits at most.")
    if not 0 <= model.default_timeout <= LONGEST_TIMEOUT:
        raise UsageError(f"No request has {model.default_timeout} µs.", "Give at most a day; 0: any time.")
    if not 0 <= model.largest <= LARGEST_BATCH:
        raise UsageError(f"No batch has {model.largest} rows.", f"Give at most {LARGEST_BATCH}; 0: as the model says.")
