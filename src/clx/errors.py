"""Every error CLX raises on purpose, in one tree.

::

    ClxError                     the fact, the next step, an exit code
    ├── UsageError          2    something the user wrote is wrong
    │   ├── SettingsError        … in a settings file, a variable or an option
    │   ├── UntrustedError       a file is somebody else's, or a project's program was not trusted
    │   ├── CourseError          … in a course: spec, topics, decks, output paths
    │   └── RoutineValueError    … an argument or a result of a routine cannot be sent, or cannot be read
    ├── StartupError        3    work cannot begin
    │   ├── ToolMissingError     a program or package that a converter needs is absent
    │   ├── WorkerStartupError   a worker did not register
    │   ├── NoWorkersError       nobody is there to do the work
    │   └── EngineError          the container engine does not answer
    ├── DatabaseError       4    the job table cannot be used
    │   ├── DatabaseBusyError    locked beyond the retry limit
    │   ├── DatabaseFullError    no space left
    │   │   └── DatabaseWriteError   … or a quota, a limit, a fault of the disk
    │   ├── OddRowError          a row that another program wrote is in the way
    │   ├── DatabaseInUseError   opened by open() in a program that uses it
    │   └── DatabaseCorruptError damaged, or not a CLX database
    ├── ServerError         4    a server of a job table does not answer as one
    │   └── AccessError          … or refuses: the token is none, or may not do this
    ├── ArtifactError       1    an artifact is missing or damaged
    │   └── ArtifactMissingError … it is nowhere: it is made again
    ├── OutputError         1    the output tree cannot be written
    ├── Cancelled           1    raised by a job's function: it heeds that it was asked to end
    ├── Retry               1    … it wants another run, after a time that it names
    ├── Discard             1    … no other run would succeed
    ├── JobFailedError      1    the result of a job was asked for that has failed
    ├── JobCancelledError   1    … or was cancelled
    ├── JobTimeoutError     1    … or has not ended in time
    ├── RoutineError        1    a task or workflow that was awaited has failed
    ├── JobError            1    a job failed
    │   └── ConversionError      … because of what is in its inputs
    ├── QueueError          2    the queue was asked for something that cannot be
    │   ├── JobExistsError       a live job has the same key
    │   ├── UnknownJobError      a job that is not in the table was named
    │   ├── NotStorableError     a value that no column takes
    │   └── LostBatchError       a batch that has ended was given more jobs
    ├── LostRunError        1    a worker reported on a run that is no longer its own
    └── LostWorkerError     1    a worker that was struck off asked for work

Messages follow one form: the *fact* in one line, the *next step* to type or do in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from datetime import timedelta

EXIT_DONE = 0
"""Everything asked for is there."""
EXIT_JOB_FAILED = 1
"""A job failed, or an output could not be written; everything else was done. From `clx status --check`: it warns."""
EXIT_USAGE = 2
"""The command line, a setting or the course is wrong; nothing was started."""
EXIT_STARTUP = 3
"""Workers, a tool they need, or the container engine could not start."""
EXIT_DATABASE = 4
"""The job table could not be read or written."""
EXIT_TIMEOUT = 124
"""What was waited for has not ended in time (`clx work wait --timeout`)."""
EXIT_INTERRUPTED = 130
"""Stopped by SIGINT (Ctrl-C)."""
EXIT_TERMINATED = 143
"""Stopped by SIGTERM."""


class ClxError(Exception):
    """Root of all errors that CLX raises on purpose.

    Args:
        fact: what is the case, in one line.
        next_step: what the user can type or do about it; empty when there is nothing to add.
    """

    exit_code: ClassVar[int] = EXIT_JOB_FAILED

    def __init__(self, fact: str, next_step: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.fact}\n{self.next_step}" if self.next_step else self.fact


class UsageError(ClxError):
    """Something the user wrote is wrong; nothing was started."""

    exit_code = EXIT_USAGE


class SettingsError(UsageError):
    """A setting is unknown, malformed or has the wrong type."""


class UntrustedError(UsageError):
    """A file is somebody else's, may be written by others or is not what it should be, or programs are not trusted."""


class CourseError(UsageError):
    """A course cannot be built as it is written."""


class RoutineValueError(UsageError):
    """A value cannot be sent to a routine or from it, or what came is no value: the fact names the place in it."""


class StartupError(ClxError):
    """Work cannot begin."""

    exit_code = EXIT_STARTUP


class ToolMissingError(StartupError):
    """A program or package that a converter needs is absent.

    Args:
        fact: what is missing.
        next_step: what to type or correct.
        settings: the settings, as dotted keys, that name what is not there.
    """

    def __init__(self, fact: str, next_step: str = "", *, settings: Sequence[str] = ()) -> None:
        super().__init__(fact, next_step)
        self.settings = settings


class WorkerStartupError(StartupError):
    """A worker did not register in time."""


class NoWorkersError(StartupError):
    """There is no worker for a job type and none may be started."""


class EngineError(StartupError):
    """The container engine does not answer or refuses."""


class DatabaseError(ClxError):
    """The job table cannot be used."""

    exit_code = EXIT_DATABASE


class DatabaseBusyError(DatabaseError):
    """The database stayed locked beyond the retry limit."""


class DatabaseFullError(DatabaseError):
    """The database cannot grow: no space left."""


class CommitInDoubtError(DatabaseError):
    """The connection to a server was lost at a COMMIT, and nobody can tell whether it was done."""


PASSING = (DatabaseBusyError, DatabaseFullError, CommitInDoubtError)
"""After these who reports, renews or looks after others, all of which may be done twice, tries on: they pass."""


class DatabaseWriteError(DatabaseFullError):
    """The file system refuses to write: a quota, a limit on the size of files, or a fault of the disk."""


class OddRowError(DatabaseError):
    """A row that another program wrote, against the rules of the table, is in the way of a change."""


class DatabaseInUseError(DatabaseError, PermissionError):
    """A program opens the file of a database that it uses: closing it would drop its own locks."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is a database that this program uses: closing another handle on it would drop its locks.",
            'Look by queue.sql("SELECT …") or sqlite3.connect, copy by queue.backup(FILE) or `clx db backup FILE`.',
        )

    def __str__(self) -> str:
        return ClxError.__str__(self)


class DatabaseCorruptError(DatabaseError):
    """The file is damaged or not a CLX database; nothing was touched."""


class ServerError(ClxError):
    """A server of a job table does not answer, or not as one."""

    exit_code = EXIT_DATABASE


class AccessError(ServerError):
    """A server refuses: there is no token, none that is taken, or one whose role may not do this."""


class ArtifactError(ClxError):
    """An artifact is missing from the store or its bytes do not match its digest."""


class ArtifactMissingError(ArtifactError):
    """An artifact is in no store that could be asked; whoever needs it has it made again."""


class OutputError(ClxError):
    """A file of the output tree cannot be written."""


class Cancelled(ClxError):
    """Raised by the function of a job: the job ends as cancelled, not as failed."""

    def __init__(self, fact: str = "The job was cancelled.", next_step: str = "") -> None:
        super().__init__(fact, next_step)


class Retry(ClxError):
    """Raised by the function of a job: this run has failed, and the next one is to come after *delay*.

    It counts as a run, as any failure does: when none is left the job has failed, with the reason.

    Args:
        reason: why, as it is stored with the run.
        delay: milliseconds, or a ``timedelta``; None: as after any failure, longer each time.
    """

    def __init__(self, reason: str = "The job asked for another run.", *, delay: int | timedelta | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Discard(ClxError):
    """Raised by the function of a job: it has failed for good, whatever runs are left."""

    def __init__(self, reason: str = "The job asked for no other run.") -> None:
        super().__init__(reason)


class JobFailedError(ClxError):
    """The result of a job was asked for, and it has failed.

    Args:
        job_id: the job.
        error: what is stored with it.

    Attributes:
        type, message, traceback: of the exception that its function raised, as texts; empty where there is none.
        cause: what ended it where no exception did: ``{"kind": "need", "job": 3, "state": "failed"}``; or None.
    """

    def __init__(self, job_id: int, error: Mapping[str, Any]) -> None:
        self.job_id, self.error = job_id, dict(error)
        self.type, self.message, self.traceback = (
            str(error.get(name, "")) for name in ("type", "message", "traceback")
        )
        self.cause = error.get("cause")
        super().__init__(f"Job {job_id} failed: {self.type}: {self.message}", f"See `clx jobs show {job_id}`.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.job_id, self.error), {"next_step": self.next_step}


class RoutineError(ClxError):
    """A task or workflow that was awaited has failed; where it can be, also of the type that its function raised.

    Args:
        routine: its id.
        error: what is stored with its job.
        job_id: None where it was no job.

    Attributes:
        type, message, traceback, module: of the exception, as texts; empty where there is none.
        cause: what ended it where no exception did, or the routine below it that failed first; or None.
    """

    def __init__(self, routine: str, error: Mapping[str, Any], job_id: int | None = None) -> None:
        self.routine, self.error, self.job_id = routine, dict(error), job_id
        self.type, self.message, self.traceback, self.module = (
            str(error.get(name, "")) for name in ("type", "message", "traceback", "module")
        )
        self.cause = error.get("cause")
        fact = f"{routine} failed: {self.type}: {self.message}".rstrip(": ")
        step = str(error.get("next_step", "")) or ("" if job_id is None else f"See `clx jobs show {job_id}`.")
        super().__init__(fact, step)

    def __reduce__(self) -> tuple[Any, ...]:
        return RoutineError, (self.routine, self.error, self.job_id)


class JobCancelledError(ClxError):
    """The result of a job was asked for, and it was cancelled.

    Attributes:
        job_id: the job.
        cause: why, where nobody asked for it: ``{"kind": "expired"}``, ``{"kind": "need", …}``; or None.
    """

    def __init__(self, job_id: int, error: Mapping[str, Any] | None = None) -> None:
        self.job_id, self.error = job_id, dict(error or {})
        self.cause = self.error.get("cause")
        why = f": {self.error['message']}" if self.error.get("message") else ""
        super().__init__(f"Job {job_id} was cancelled{why}", f"See `clx jobs show {job_id}`.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.job_id, self.error), {"next_step": self.next_step}


class JobTimeoutError(ClxError, TimeoutError):
    """The result of a job was asked for, and it has not ended in time; ``job_id`` and ``state`` say how it stands."""

    def __init__(self, job_id: int, state: str) -> None:
        super().__init__(f"Job {job_id} is still {state}.", f"Wait longer, or see `clx jobs show {job_id}`.")
        self.job_id, self.state = job_id, state

    def __str__(self) -> str:
        return ClxError.__str__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.job_id, self.state), {"next_step": self.next_step}


class JobError(ClxError):
    """A job failed."""


class ConversionError(JobError):
    """A converter cannot turn its inputs into outputs.

    Args:
        fact: what is wrong, in one line, without the name of the source.
        next_step: what the author can do about it.
        cell: 1-based number of the cell in the expanded deck, where it applies.
        line: 1-based line: within the cell when *cell* is given, else within the source.
        source_line: where *cell* is given, the 1-based line of the source file, if it can be known.
        traceback: the full text for the report; plain text, no terminal colours.
        retryable: true when the same inputs may succeed next time (a crash, a timeout of a tool);
            false (the default) when the failure is a property of the inputs.
    """

    def __init__(
        self,
        fact: str,
        next_step: str = "",
        *,
        cell: int | None = None,
        line: int | None = None,
        source_line: int | None = None,
        traceback: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(fact, next_step)
        self.cell = cell
        self.line = line
        self.source_line = source_line
        self.traceback = traceback
        self.retryable = retryable

    def as_dict(self) -> dict[str, Any]:
        """The error as it is stored with the job and written to reports."""
        found = {
            "type": type(self).__name__,
            "message": self.fact,
            "next_step": self.next_step,
            "cell": self.cell,
            "line": self.line,
            "source_line": self.source_line,
            "traceback": self.traceback,
            "retryable": self.retryable,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}


class QueueError(ClxError):
    """The queue was asked for something that cannot be."""

    exit_code = EXIT_USAGE


class JobExistsError(QueueError):
    """A live job with the same key exists already.

    Args:
        job_id: that job.
        state: ``queued`` or ``running``; else its key is taken for a time (``unique_for``).
    """

    def __init__(self, job_id: int, state: str) -> None:
        if state in {"queued", "running"}:
            fact, step = f"is {state}.", f"Wait for it, or cancel it: clx jobs cancel {job_id}"
        else:
            fact, step = "went in less than unique_for ago.", "Wait until that time is over."
        super().__init__(f"Job {job_id} with the same key {fact}", step)
        self.job_id = job_id


class UnknownJobError(QueueError):
    """A job that is not in the table was named; ``job_id`` says which."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"There is no job {job_id}.", "See `clx jobs list`; old jobs are pruned.")
        self.job_id = job_id


class NotStorableError(QueueError):
    """A value was given that no column of the table takes."""


class LostBatchError(QueueError):
    """A batch that has ended, or whose owner was taken for dead, was given more jobs."""


class LostWorkerError(ClxError):
    """A worker that was struck off asked for work."""


class LostRunError(ClxError):
    """A worker reported on a run that was taken from it (its lease ended, or the job was cancelled)."""
