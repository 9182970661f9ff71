"""What the system lets a process have, in words: told before workers are started and where starting one fails."""

from __future__ import annotations

import errno

from clx.errors import WorkerStartupError
from clx.platforms import system

_FILES_ANYWAY = 32
"""Files that a process which keeps workers has open besides, with room for those it opens for a moment."""
_FILES_EACH = {"direct": 1, "docker": 8}
"""Files that it keeps open for each worker: its pidfd; two connections to the engine, a pipe, a log."""
_FEWER = "or ask for fewer workers."


def require_files(workers: dict[str, int]) -> None:
    """See that this process, or one that it starts, may have as many files open as so many workers of each mode need.

    The limit is raised where the system allows it; else this is a WorkerStartupError.
    """
    needed = _FILES_ANYWAY + sum(_FILES_EACH[mode] * count for mode, count in workers.items())
    if (allowed := system.allow_files(needed)) is not None:
        raise WorkerStartupError(
            f"{sum(workers.values())} workers need about {needed} open files, and {allowed} are allowed (ulimit -n).",
            f"Type: ulimit -n {needed} (in a systemd unit: LimitNOFILE={needed}), {_FEWER}",
        )


def not_started(error: OSError, what: str) -> WorkerStartupError:
    """Why the system did not let *what*, a worker or the supervisor, be started, and which limit it was."""
    fact = f"The {what} did not start: {error.strerror or error}"
    match error.errno:
        case errno.EMFILE:
            return WorkerStartupError(
                f"{fact}: {system.allowed('files')} open files are allowed (ulimit -n).",
                f"Type: ulimit -n 4096 (in a systemd unit: LimitNOFILE=4096), {_FEWER}",
            )
        case errno.EAGAIN:
            return WorkerStartupError(
                f"{fact}: {system.allowed('processes')} processes are allowed "
                "(ulimit -u, or the pids limit of a container).",
                f"Raise the limit, {_FEWER}",
            )
        case errno.ENFILE:
            return WorkerStartupError(f"{fact}.", f"Raise it for the machine: sysctl fs.file-max, {_FEWER}")
        case errno.ENOMEM:
            return WorkerStartupError(f"{fact}.", f"Free some memory, {_FEWER}")
    return WorkerStartupError(
        f"{fact}{f': {error.filename}' if error.filename else ''}.", "Check it with `clx doctor`."
    )
