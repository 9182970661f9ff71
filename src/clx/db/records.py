"""What goes into the queue and what comes out of it: plain immutable values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from clx.db.statements import NO_TIME
from clx.errors import QueueError

OnConflict = Literal["raise", "return", "replace"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

encode_bytes = msgspec.json.encode
decode = msgspec.json.decode


def encode(value: Any) -> str:
    """JSON text as the tables keep it."""
    return encode_bytes(value).decode()


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
        if not 1 <= self.priority <= 5:
            raise QueueError(f"The priority {self.priority} is not one of 1 to 5.", "5 is claimed first; 3 is usual.")
        if self.max_runs < 1 or not self.type or (self.timeout is not None and self.timeout < 1):
            raise QueueError("A job has a type, at least one run and, where it has one, a positive timeout.")


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


Report = Success | Failure


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
