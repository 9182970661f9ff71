"""What goes over the wire: the shape of every request and answer, from which the OpenAPI document is made too.

Times are milliseconds UTC, durations milliseconds, as in Python, unless a name says seconds.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from clx.db.batches import Batch
from clx.db.models import Job, NewJob
from clx.db.summary import BatchProgress
from clx.db.tokens import Token
from clx.db.validation import LONGEST
from clx.db.workers import WorkerRow

MOST = 2**63 - 1
LONGEST_WAIT = 60
"""Seconds that one call waits for jobs; who waits longer calls again."""
MOST_AT_ONCE = 10_000
"""Jobs, ids or keys that one call may name."""

Id = Annotated[int, Meta(ge=1, le=MOST)]
Ids = Annotated[list[Id], Meta(max_length=MOST_AT_ONCE)]
Moment = Annotated[int, Meta(ge=0, le=MOST)]
Length = Annotated[int, Meta(ge=1, le=LONGEST)]
Pause = Annotated[int, Meta(ge=0, le=LONGEST)]
Whole = Annotated[int, Meta(ge=1, le=MOST)]
Text = Annotated[str, Meta(pattern="^[^\\x00]*$", max_length=1000)]
Name = Annotated[str, Meta(pattern="^[^\\x00]+$", min_length=1, max_length=1000)]
Key = Text
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_WAIT)]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OnConflict = Literal["return", "raise", "replace", "after"]


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Base of what is taken: a name that nobody knows is refused."""


class JobToBe(Request, frozen=True):
    """A job to be; the fields of ``NewJob``."""

    type: Name
    payload: dict[str, Any] = {}
    pool: Text = ""
    key: Key | None = None
    priority: Annotated[int, Meta(ge=1, le=5)] = 3
    max_runs: Whole = 3
    not_before: Moment = 0
    deadline: Moment | None = None
    timeout: Whole | None = None
    needs: Annotated[tuple[Id, ...], Meta(max_length=MOST_AT_ONCE)] = ()
    delay: Pause = 0
    expires: Moment | None = None
    expires_in: Length | None = None
    limit: Name | None = None
    unique_for: Length | None = None

    def job(self) -> NewJob:
        """The job that the queue takes."""
        return NewJob(**{name: value for name in _NEW if (value := getattr(self, name)) is not _USUAL[name]})


_NEW = tuple(field.name for field in fields(NewJob))
_USUAL = dict.fromkeys(_NEW) | {field.name: field.default for field in fields(NewJob)}


class OneJob(JobToBe, frozen=True):
    """One job to queue."""

    on_conflict: OnConflict = "return"


class ManyJobs(Request, frozen=True):
    """Jobs to queue in one transaction: all, or none."""

    jobs: Annotated[list[JobToBe], Meta(max_length=MOST_AT_ONCE)]
    batch: Id | None = None
    on_conflict: OnConflict = "return"


class BatchToBe(Request, frozen=True):
    """Jobs, and one that is queued when the last of them has ended."""

    jobs: Annotated[list[JobToBe], Meta(max_length=MOST_AT_ONCE)]
    callback: JobToBe
    name: Text = ""


class JobIds(Request, frozen=True):
    """Jobs by their ids."""

    ids: Ids


class WaitFor(JobIds, frozen=True):
    """Jobs to wait for, and for how many seconds."""

    timeout: Seconds = LONGEST_WAIT


class Keys(Request, frozen=True):
    """Keys whose results are asked for."""

    keys: Annotated[list[Key], Meta(max_length=MOST_AT_ONCE)]
    type: Name | None = None


class Search(Request, frozen=True):
    """Which jobs; ``state`` may be given several times; ``before`` an id, to have the next page."""

    type: Name | None = None
    pool: Text | None = None
    state: list[State] = []
    key: Key | None = None
    batch: Id | None = None
    worker: Id | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = 100


class Wait(Request, frozen=True):
    """How many seconds to wait for the job's end."""

    wait: Seconds = 0


class WorkerToBe(Request, frozen=True):
    """A worker of another machine that asks here for work."""

    type: Name
    pool: Text = ""
    host: Text = ""
    pid: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    version: Text = ""


class SuccessReport(Request, frozen=True, tag="success", tag_field="outcome"):
    """A run that succeeded."""

    job_id: Id
    run: Whole
    result: Any = None
    peak_memory: Moment | None = None
    stderr: Text | None = None


class FailureReport(Request, frozen=True, tag="failure", tag_field="outcome"):
    """A run that failed, or that ended because it was asked to (``cancelled``)."""

    job_id: Id
    run: Whole
    error: dict[str, Any]
    retry: bool = False
    backoff: Pause | None = None
    stderr: Text | None = None
    peak_memory: Moment | None = None
    cancelled: bool = False


class Settle(Request, frozen=True):
    """Reports of ended runs, and how many jobs of which types to take next, in one transaction."""

    worker: Id
    reports: Annotated[list[SuccessReport | FailureReport], Meta(max_length=MOST_AT_ONCE)] = []
    types: Annotated[list[Name], Meta(max_length=100)] = []
    n: Annotated[int, Meta(ge=0, le=1000)] = 0
    pool: Text = ""
    lease: Length = 30_000


class Heartbeat(Request, frozen=True):
    """That a run goes on, and how far it is."""

    run: Whole
    lease: Length | None = None
    progress: Any = None


class RunOf(Request, frozen=True):
    """A run that is handed back, uncounted; ``delay`` in milliseconds."""

    run: Whole
    delay: Pause = 0


# -- answers ------------------------------------------------------------------------------------------


def _alike(name: str, kind: type) -> type[msgspec.Struct]:
    """A structure with the public fields of a dataclass."""
    hints = get_type_hints(kind)
    hints |= {"payload": Any, "error": Any} if kind is Job else {}  # another program may have written something else
    chosen = [
        (field.name, hints[field.name]) for field in fields(kind) if field.name != "digest" and field.name[0] != "_"
    ]
    made = msgspec.defstruct(name, chosen, module=__name__, frozen=True)
    made.__doc__ = f"{(kind.__doc__ or name).splitlines()[0]}"
    return made


JobDocument = _alike("Job", Job)
WorkerDocument = _alike("Worker", WorkerRow)
BatchDocument = _alike("Batch", Batch)
TokenDocument = _alike("Token", Token)


def told(kind: type[msgspec.Struct], value: Any) -> Any:
    """*value* as the structure made of its class."""
    return kind(*(getattr(value, name) for name in kind.__struct_fields__))


class Enqueued(msgspec.Struct, frozen=True):
    """The id of the job that was queued, or of the live one that has its key."""

    id: int


class Changed(msgspec.Struct, frozen=True):
    """The ids of jobs, in the order in which they were asked for."""

    ids: list[int]


class BatchMade(msgspec.Struct, frozen=True):
    """The id of a batch, and those of its jobs."""

    batch: int
    ids: list[int]


class Jobs(msgspec.Struct, frozen=True):
    """Some jobs; ``next`` is the ``before`` of the next page, null where there is none."""

    jobs: list[JobDocument]  # type: ignore[valid-type]
    next: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended; ``state`` tells whether it did."""

    id: int
    state: State
    result: Any
    error: Any


class History(msgspec.Struct, frozen=True):
    """The ended runs of a job, oldest first, and what it needs."""

    runs: list[dict[str, Any]]
    needs: list[int]


class Counts(msgspec.Struct, frozen=True):
    """Number of jobs by type and state."""

    types: dict[str, dict[str, int]]


class Results(msgspec.Struct, frozen=True):
    """Kept results by key."""

    results: dict[str, Any]


class Workers(msgspec.Struct, frozen=True):
    """Workers."""

    workers: list[WorkerDocument]  # type: ignore[valid-type]


class Batches(msgspec.Struct, frozen=True):
    """Batches that have not ended, with the states of their jobs."""

    batches: list[BatchProgress]


class Tokens(msgspec.Struct, frozen=True):
    """Tokens, without their texts."""

    tokens: list[TokenDocument]  # type: ignore[valid-type]


class Settled(msgspec.Struct, frozen=True):
    """Jobs that are the worker's now, and the reports that were not taken, each as job id and run."""

    jobs: list[JobDocument]  # type: ignore[valid-type]
    lost: list[tuple[int, int]]


class Answer(msgspec.Struct, frozen=True):
    """What the worker is to do: ``go on`` or ``cancel``."""

    answer: Literal["go on", "cancel"]


class Registered(msgspec.Struct, frozen=True):
    """The id of a worker."""

    id: int


class Done(msgspec.Struct, frozen=True):
    """That it was done; ``changed`` is false where there was nothing to do."""

    changed: bool


class Version(msgspec.Struct, frozen=True):
    """Which CLX this is."""

    version: str


class Error(msgspec.Struct, frozen=True):
    """Why a request was refused: the fact, the next step; ``type`` and ``detail`` are for programs."""

    error: str
    next_step: str
    type: str = ""
    detail: dict[str, Any] = {}
