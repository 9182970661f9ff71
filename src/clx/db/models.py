"""What goes into the queue and what comes out of it: plain immutable values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from clx.commands import told_in
from clx.db.clock import now_ms
from clx.db.durations import in_ms
from clx.db.odd_rows import Reader, as_text, is_unicode, shown
from clx.db.statements import COLUMNS, NO_TIME
from clx.db.validation import (
    SMALL,
    check_backoff,
    check_new_job,
    check_text,
    in_milliseconds,
    is_told,
    storable,
)
from clx.errors import ClxError, JobCancelledError, JobFailedError, JobTimeoutError, QueueError, UnknownJobError
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.jobs import Queue

_EMPTY: Mapping[str, Any] = MappingProxyType({})

OnConflict = Literal["raise", "return", "replace", "after"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

decode = msgspec.json.Decoder().decode


class Unreadable(str):
    """A text of the table that is no JSON, as it stands there. Only other programs write such rows."""

    __slots__ = ()


def decode_or_show(text: str | bytes) -> Any:
    """What the JSON *text* says; where it is none, the text itself as :class:`Unreadable`."""
    try:
        return decode(text)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return Unreadable(as_text(text))


_WAYS = "Use text, finite numbers, true, false, None, lists and mappings of these."


def _plain(value: Any) -> Any:
    """What msgspec is to encode for a kind that it does not know: somebody's own mapping, number or text."""
    match value:
        case Mapping():
            return dict(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return "".join(value)
    raise TypeError(f"objects of type {type(value).__name__} have no form in it")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def as_told(value: Any) -> Any:
    """What there is of *value* once it was written as JSON and read again.

    Raises:
        QueueError: as :func:`encode`.
    """
    try:
        encoded = _encode(value)
        found = decode(encoded)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        pass
    else:
        if len(encoded) <= SMALL and found == value:
            return found
    return decode(encode(value))


def encode(value: Any) -> str:
    """JSON text as the tables keep it; what is JSON already (:class:`msgspec.Raw`) as it is.

    Raises:
        QueueError: JSON cannot say it: an object of another kind, a number that is not finite, half a character, two
            keys that it writes the same; or it is too large, or nested too deeply, for everybody to read it again.
    """
    if value is None:  # what most handlers return
        return "null"
    try:
        encoded = _encode(value)
        # what reads as the same has no odd names and no NaN, as nearly always: these cost five times as much
        finite = bool(decode(encoded) == value) or is_told(value, encoded)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise QueueError(f"JSON cannot say this: {error}.", _WAYS) from error
    if not finite:
        raise QueueError("JSON cannot say this: a number is not finite (NaN or infinite).", _WAYS)
    if len(encoded) > SMALL:
        check_text(encoded)
    return encoded.decode()


def encode_error(error: Mapping[str, Any]) -> str:
    """JSON text of a failure; what JSON cannot say is told as text, because a failure must not get lost."""
    try:
        return encode(error)
    except QueueError:
        with suppress(RecursionError, QueueError):
            return encode(storable(error))
    return encode({"type": "Error", "message": "It is told in something that JSON cannot say."})


@dataclass(frozen=True, slots=True, init=False)
class NewJob:
    """A job to be.

    Attributes:
        type: which kind of worker does it.
        payload: its options, JSON-serialisable.
        pool: which workers may take it.
        key: digest of everything the result depends on; one live job per pool, type and key.
        priority: 1 to 5, 5 first.
        max_runs: runs it gets before it is failed.
        not_before: earliest claim: milliseconds UTC, a ``datetime`` with a time zone, or a ``timedelta`` from now.
        deadline: jobs with an earlier one are claimed first: milliseconds UTC, a ``datetime`` or a ``timedelta``.
        timeout: milliseconds one run may take, or a ``timedelta``.
        needs: ids of jobs that must have succeeded before this one can be claimed.
        delay: milliseconds, or a ``timedelta``, from the moment it goes in (by the table's clock) until it can be
            claimed.
        expires: when it is cancelled unless it has begun: a ``timedelta`` from the moment it goes in, a ``datetime``
            with a time zone, or milliseconds UTC.
        expires_in: what a ``timedelta`` for *expires* becomes: milliseconds from the moment it goes in.
        limit: name of the limit that it counts to (:meth:`~clx.db.jobs.Queue.set_limit`).
        unique_for: milliseconds, or a ``timedelta``, in which no other one of its pool, type and key goes in, even when
            it has ended; without a key, none of its pool, type and payload.

    Raises:
        QueueError: a value is outside what the table takes.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    pool: str = ""
    key: str | None = None
    priority: int = 3
    max_runs: int = 3
    not_before: int | datetime | timedelta = 0
    deadline: int | datetime | timedelta | None = None
    timeout: int | timedelta | None = None
    needs: Collection[int] = ()
    delay: int | timedelta = 0
    expires: int | datetime | timedelta | None = None
    expires_in: int | timedelta | None = None
    limit: str | None = None
    unique_for: int | timedelta | None = None

    def __init__(
        self,
        type: str,  # noqa: A002
        payload: Mapping[str, Any] = _EMPTY,
        pool: str = "",
        key: str | None = None,
        priority: int = 3,
        max_runs: int = 3,
        not_before: int | datetime | timedelta = 0,
        deadline: int | datetime | timedelta | None = None,
        timeout: int | timedelta | None = None,
        needs: Collection[int] = (),
        delay: int | timedelta = 0,
        expires: int | datetime | timedelta | None = None,
        expires_in: int | timedelta | None = None,
        limit: str | None = None,
        unique_for: int | timedelta | None = None,
    ) -> None:
        # by hand: what a frozen dataclass makes of itself takes twice as long, and every enqueue comes by
        _set_type(self, type)
        _set_payload(self, {} if payload is _EMPTY else payload)
        _set_pool(self, pool)
        _set_key(self, key)
        _set_priority(self, priority)
        _set_max_runs(self, max_runs)
        _set_not_before(self, not_before)
        _set_deadline(self, deadline)
        _set_timeout(self, timeout)
        _set_needs(self, needs)
        _set_delay(self, delay)
        _set_expires(self, expires)
        _set_expires_in(self, expires_in)
        _set_limit(self, limit)
        _set_unique_for(self, unique_for)
        check_new_job(self, NewJob._tell_times_in_milliseconds)

    def _tell_times_in_milliseconds(self) -> None:
        if isinstance(self.expires, timedelta):  # not now: the table's clock may be another one's
            object.__setattr__(self, "expires_in", self.expires)
            object.__setattr__(self, "expires", None)
        for name, since in _TIMES:
            value = getattr(self, name)
            if value is not None and value.__class__ is not int and isinstance(value, _TOLD):
                object.__setattr__(self, name, in_milliseconds(name, value, since))


(
    _set_type, _set_payload, _set_pool, _set_key, _set_priority, _set_max_runs, _set_not_before, _set_deadline,
    _set_timeout, _set_needs, _set_delay, _set_expires, _set_expires_in, _set_limit, _set_unique_for,
) = (getattr(NewJob, each.name).__set__ for each in fields(NewJob))  # fmt: skip

_TOLD = (datetime, timedelta)
_TIMES: tuple[tuple[str, Callable[[], int] | None], ...] = (
    ("not_before", now_ms),
    ("deadline", now_ms),
    ("expires", now_ms),
    ("timeout", None),
    ("delay", None),
    ("expires_in", None),
    ("unique_for", None),
)
"""Attributes that tell times, and from when a duration counts in those that are moments."""


def new_jobs(jobs: Iterable[NewJob]) -> list[NewJob]:
    """A list of *jobs*.

    Raises:
        QueueError: they are something else.
    """
    found = [] if isinstance(jobs, NewJob) else list(jobs)
    strange = {*map(type, found)} - {NewJob}
    if isinstance(jobs, NewJob) or not all(issubclass(each, NewJob) for each in strange):
        raise QueueError("Jobs go in as a list of NewJob.", 'Write [NewJob("type", {…})].')
    return found


def row_to_insert(
    job: NewJob, waits_for: int, batch: int | None, now: int, behind: int | None = None, *, since: int = 0
) -> tuple[Any, ...]:
    """What :data:`~clx.db.statements.INSERT` wants; *waits_for* counts the job's needs.

    Args:
        since: from when it may be claimed, where it does not say so itself.
    """
    waits_for += behind is not None
    not_before: Any = max(job.not_before, now + job.delay) if job.delay else job.not_before or since  # type: ignore[operator]
    return (
        job.type,
        job.pool,
        job.priority,
        5 - job.priority,
        encode(job.payload),
        job.key,
        job.max_runs,
        int(not_before <= now and not waits_for),
        not_before,
        NO_TIME if job.deadline is None else job.deadline,
        job.timeout,
        now,
        waits_for,
        int(batch is None),
        behind,
    )


def more_to_insert(job: NewJob, now: int) -> tuple[Any, ...]:
    """What :data:`~clx.db.statements.INSERT_MORE` wants besides."""
    moments: list[Any] = [job.expires, None if job.expires_in is None else now + job.expires_in]  # type: ignore[operator]
    return min((each for each in moments if each is not None), default=None), job.limit


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the job table; times in milliseconds UTC, ``timeout`` in milliseconds.

    Attributes:
        payload: its options; text (:class:`Unreadable`) where another program wrote what is no JSON.
        progress: what its run told last. For the function of a :class:`~clx.db.consumer.Consumer` it is what tells
            it: ``job.progress({"done": 3})`` stores any JSON value and renews the lease.
        released: runs that do not count against ``max_runs``.
        kills: runs whose worker died.
        rescues: how often it was taken from a worker that had died or was silent; then it is only held by itself.
        waits_for: how many jobs must still end before it can be claimed.
        after_id: the running job of its key that it waits behind.
        expires_at: when it is cancelled unless it has begun; None: never, or it has begun once.
        limit: the limit that it counts to.
        odd: what is odd in its row, in words; only other programs write such. Then NULL, the column's default or text
            stands for the odd value.
    """

    id: int
    type: str
    pool: str
    state: JobState
    priority: int
    payload: dict[str, Any]
    key: str | None
    run: int
    released: int
    kills: int
    max_runs: int
    not_before: int
    deadline: int | None
    timeout: int | None
    lease_until: int | None
    worker_id: int | None
    cancel_requested: bool
    progress: Any
    result: Any
    error: dict[str, Any] | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    waits_for: int
    rescues: int = 0
    after_id: int | None = None
    expires_at: int | None = None
    limit: str | None = None
    odd: tuple[str, ...] = ()
    _queue: Any = field(default=None, repr=False, compare=False)

    def cancelled(self) -> bool:
        """Whether somebody asked for this job to end; in a handler it is asked anew, else as of when it was read.

        A handler that heeds it raises :class:`~clx.errors.Cancelled`.
        """
        return self.cancel_requested if self._queue is None else bool(self._queue.is_cancelled(self.id, self.run))

    @property
    def queue(self) -> Queue:
        """In a handler, the queue that the job came from: to put more jobs in, say.

        Raises:
            QueueError: it is no handler that asks.
        """
        if self._queue is None:
            raise QueueError("Only in its handler does a job know its queue.", "Use the queue that it was read from.")
        return cast("Queue", self._queue)

    @property
    def batch(self) -> int | None:
        """In a handler, the newest batch that waits for the job: for ``enqueue_many(…, batch=job.batch)``; or None."""
        return self.queue.batch_of(self.id)

    @property
    def is_readable(self) -> bool:
        """Whether nothing in its row is odd."""
        return not self.odd

    @property
    def is_live(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in {"queued", "running"}


def result_in(path: Path, job_id: int, job: Job | None) -> Any:
    """As :func:`result_of`; what to type next names the database at *path*, unless that is found without."""
    try:
        return result_of(job_id, job)
    except ClxError as error:
        error.next_step = told_in(error.next_step, path)
        raise


def result_of(job_id: int, job: Job | None) -> Any:
    """What a job that has ended well left; *job* is None where there is none.

    Raises:
        JobFailedError, JobCancelledError, JobTimeoutError, UnknownJobError: it has not ended, or not well.
    """
    match job:
        case None:
            raise UnknownJobError(job_id)
        case Job(state="succeeded"):
            return job.result
        case Job(state="failed"):
            raise JobFailedError(job_id, job.error or {})
        case Job(state="cancelled"):
            raise JobCancelledError(job_id, job.error)
    raise JobTimeoutError(job_id, job.state)


@dataclass(frozen=True, slots=True)
class Success:
    """One run that succeeded, as a worker reports it; ``peak_memory`` in bytes, ``stderr`` what it said."""

    job_id: int
    run: int
    result: Any = None
    peak_memory: int | None = None
    stderr: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One run that failed, as a worker reports it.

    Attributes:
        error: what went wrong, as :meth:`clx.errors.ConversionError.as_dict` gives it.
        retry: whether another run may succeed; it happens only while runs are left.
        backoff: milliseconds, or a ``timedelta``, before that run; None: exponential with jitter
            (:func:`clx.db.backoff.backoff`).
        stderr: the last lines of what it said.
        peak_memory: bytes.
        cancelled: it ended because it heeded a request to; the job ends as cancelled.
    """

    job_id: int
    run: int
    error: Mapping[str, Any]
    retry: bool = False
    backoff: int | timedelta | None = None
    stderr: str | None = None
    peak_memory: int | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.error, Mapping):
            raise QueueError("A failure is described by a mapping.", 'Write {"message": "…"}.')
        if self.backoff is not None:
            object.__setattr__(self, "backoff", in_ms(self.backoff))
            check_backoff(cast("int", self.backoff))


Report = Success | Failure


def check_reports(reports: Sequence[Report]) -> Sequence[Report]:
    """Give *reports* back.

    Raises:
        QueueError: they are something else.
    """
    if not isinstance(reports, Sequence) or not all(isinstance(report, Success | Failure) for report in reports):
        raise QueueError("Reports are a list of Success and Failure.", "Write [Success(job.id, job.run, result)].")
    return reports


@dataclass(frozen=True, slots=True)
class Settled:
    """What one :meth:`~clx.db.jobs.Queue.settle` did.

    Attributes:
        claimed: jobs that are the worker's now, in claim order.
        lost: reports on runs that were no longer the worker's; nothing was changed for them.
    """

    claimed: list[Job]
    lost: list[Report]


_jobs = Reader.of("jobs", COLUMNS.split(", "))
_SET = [getattr(Job, each.name).__set__ for each in fields(Job)]
"""What sets each value of a job; a third faster than what a frozen dataclass makes of itself."""


def job_from_row(row: Sequence[Any], *, quickly: bool = False) -> Job:
    """The job of one row of :data:`clx.db.statements.COLUMNS`; what is odd in it is told, JSON shown as it stands.

    Args:
        quickly: look at the kinds of its values only, as a claim does: what else may be odd stops no worker.
    """
    values, told = _jobs.read_quickly(row) if quickly else _jobs.read(row)
    payload = decode_or_show(row[5])
    if type(payload) is not dict:
        told = (*told, f"payload is no JSON object: {shortened(str(payload))}")
    values[5] = payload
    key = values[6]
    if key is not None and not key.isascii() and not is_unicode(key):
        told = (*told, f"key is no UTF-8: {shown(key)}")
    values[12] = None if values[12] == NO_TIME else values[12]
    values[16] = bool(values[16])
    for index in (17, 18) if row[17] is not None or row[18] is not None else ():
        values[index] = None if row[index] is None else decode_or_show(row[index])
    values[19] = None if row[19] is None else told_or_shown(row[19])
    job = Job.__new__(Job)
    for set_value, value in zip(_SET, (*values, told, None), strict=True):
        set_value(job, value)
    return job


def told_or_shown(text: str | bytes | None) -> dict[str, Any] | None:
    """An error or a cause as the mapping it should be; what another program wrote in its place is its message."""
    if text is None:
        return None
    found = decode_or_show(text)
    return found if isinstance(found, dict) else {"type": "Unreadable", "message": str(found)}
