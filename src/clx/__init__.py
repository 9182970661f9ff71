"""CLX: runs work from a job table in one file, and builds teaching material with it.

Public names, loaded when they are first used: ``Queue``, ``AsyncQueue`` (the same, awaited), ``Client`` (the same by a
server), ``NewJob``, ``Job``, ``Consumer``, ``Schedule``; the reports that ``Queue.settle`` takes: ``Success``,
``Failure``; ``task``, which makes functions jobs; ``Hooks``; what a job's function raises to end otherwise:
``Cancelled``, ``Retry``, ``Discard``; for routines ``define``, ``lifecycle``, ``progress``, and ``File``, which travels
with a call; and every error that they raise.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
DISTRIBUTION = "clx-build"
"""What is installed to have ``clx``: the name ``clx`` itself is somebody else's on PyPI."""

_PUBLIC = {
    "AsyncQueue": "clx.db.async_queue",
    "Client": "clx.remote.client",
    "Consumer": "clx.db.consumer",
    "Failure": "clx.db.models",
    "File": "clx.routines.codecs.files",
    "Hooks": "clx.db.hooks",
    "Job": "clx.db.models",
    "NewJob": "clx.db.models",
    "Queue": "clx.db.jobs",
    "Schedule": "clx.db.schedules.models",
    "Success": "clx.db.models",
    "Task": "clx.db.tasks",
    "Work": "clx.work.work",
    "lifecycle": "clx.routines.lifecycle",
    "progress": "clx.routines.context",
    "task": "clx.db.tasks",
    **dict.fromkeys(
        (
            "AccessError",
            "ArtifactError",
            "ArtifactMissingError",
            "Cancelled",
            "ClxError",
            "CommitInDoubtError",
            "DatabaseBusyError",
            "DatabaseCorruptError",
            "DatabaseError",
            "DatabaseFullError",
            "DatabaseInUseError",
            "DatabaseWriteError",
            "Discard",
            "JobCancelledError",
            "JobExistsError",
            "JobFailedError",
            "JobTimeoutError",
            "LostBatchError",
            "LostRunError",
            "LostWorkerError",
            "NotStorableError",
            "OddRowError",
            "QueueError",
            "Retry",
            "RoutineError",
            "RoutineValueError",
            "ServerError",
            "UnknownJobError",
            "UsageError",
        ),
        "clx.errors",
    ),
}
"""Name → where it is; ``__init__.pyi`` tells type checkers the same."""
_MODULES = {"define": "clx.routines.define"}

__all__ = [*_PUBLIC, *_MODULES]  # noqa: PLE0604  (names that __getattr__ gives)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
