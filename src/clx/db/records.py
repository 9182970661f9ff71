"""What goes into the queue and what comes out of it: plain immutable values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from clx.db.statements import NO_TIME
from clx.db.validation import SMALL, check_backoff, check_new_job, check_text, is_finite, storable
from clx.errors import QueueError

OnConflict = Literal["raise", "return", "replace"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

decode = msgspec.json.decode
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


def encode(value: Any) -> str:
    """JSON text as the tables keep it; what is JSON already (:class:`msgspec.Raw`) as it is.

    Raises:
        QueueError: JSON cannot say it: an object of another kind, a number that is not finite, half a character;
            or it is too large, or nested too deeply, for everybody to read it again.
    """
    try:
        encoded = _encode(value)
        # NaN becomes null: worth a look only where there is one
        finite = b"null" not in encoded or isinstance(value, msgspec.Raw | None) or is_finite(value)
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


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be.

    Attributes:
        type: which kind of worker does it.
        payload: its options, JSON-serialisable.
        pool: which workers may take it.
        key: digest of everything the result depends on; one live job per pool and key.
        priority: 1 to 5, 5 first.
        max_runs: runs it gets before it is failed.
        not_before: earliest claim, milliseconds UTC.
        deadline: jobs with an earlier one are claimed first, milliseconds UTC.
        timeout: milliseconds one run may take.
        needs: ids of jobs that must have succeeded before this one can be claimed.

    Raises:
        QueueError: a value is outside what the table takes.
    """

    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    pool: str = ""
    key: str | None = None
    priority: int = 3
    max_runs: int = 3
    not_before: int = 0
    deadline: int | None = None
    timeout: int | None = None
    needs: Collection[int] = ()

    def __post_init__(self) -> None:
        check_new_job(self)


def new_jobs(jobs: Iterable[NewJob]) -> list[NewJob]:
    """A list of *jobs*.

    Raises:
        QueueError: they are something else.
    """
    found = [] if isinstance(jobs, NewJob) else list(jobs)
    if isinstance(jobs, NewJob) or not all(isinstance(job, NewJob) for job in found):
        raise QueueError("Jobs go in as a list of NewJob.", 'Write [NewJob("type", {…})].')
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the job table; times in milliseconds UTC, ``timeout`` in milliseconds.

    ``waits_for`` counts the jobs that must still succeed before it can be claimed.
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

    @property
    def is_live(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in {"queued", "running"}


@dataclass(frozen=True, slots=True)
class Success:
    """One run that succeeded, as a worker reports it; ``peak_memory`` in bytes."""

    job_id: int
    run: int
    result: Any = None
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One run that failed, as a worker reports it.

    Attributes:
        error: what went wrong, as :meth:`clx.errors.ConversionError.as_dict` gives it.
        retry: whether another run may succeed; it happens only while runs are left.
        backoff: milliseconds before that run; None: exponential with jitter (:func:`clx.db.backoff.backoff`).
        stderr: the last lines of what it said.
        peak_memory: bytes.
    """

    job_id: int
    run: int
    error: Mapping[str, Any]
    retry: bool = False
    backoff: int | None = None
    stderr: str | None = None
    peak_memory: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.error, Mapping):
            raise QueueError("A failure is described by a mapping.", 'Write {"message": "…"}.')
        if self.backoff is not None:
            check_backoff(self.backoff)


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


def job_from_row(row: Sequence[Any]) -> Job:
    """The job of one row of :data:`clx.db.statements.COLUMNS`."""
    values = list(row)
    values[5] = decode(row[5])
    values[12] = None if row[12] == NO_TIME else row[12]
    values[16] = bool(row[16])
    for index in (17, 18, 19):
        if row[index] is not None:
            values[index] = decode(row[index])
    return Job(*values)
