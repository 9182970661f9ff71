"""Which engine runs the routines that a program calls: ``with clx.lifecycle("jobs.db", remote=True): …``."""

from __future__ import annotations

import os
from contextvars import Token
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from clx.commands import SERVED, on_database
from clx.errors import UsageError
from clx.routines.context import ENGINE, Engine

if TYPE_CHECKING:
    from clx.db.jobs import Queue


class lifecycle:  # noqa: N801  (read as a verb: with clx.lifecycle(…))
    """While it is open, routines that are called use a job table.

    ``with`` or ``async with``; calls of the same thread or task, and of tasks made in it.

    Args:
        queue: an open :class:`~clx.db.jobs.Queue`, or what ``Queue.open`` takes.
        remote: False: routines run here, and the results of tasks are looked up in the table and kept there. True:
            calls become jobs of workers (``clx routines work``, services), and are waited for.

    Raises:
        DatabaseError, UsageError: as ``Queue.open``; or workers are to take jobs from a file that is not there.
    """

    def __init__(self, queue: Queue | str | os.PathLike[str], *, remote: bool = False) -> None:
        self._where = queue
        self._remote = remote
        self._token: Token[Engine | None] | None = None
        self._opened: Queue | None = None

    def __enter__(self) -> Self:
        from clx.db.jobs import Queue

        if isinstance(self._where, Queue):
            queue = self._where
        else:
            if self._remote:
                _require_there(self._where)
            queue = self._opened = Queue.open(self._where)
        self._token = ENGINE.set(self._engine(queue))
        return self

    def _engine(self, queue: Queue) -> Engine:
        from clx.remote.stores import open_store
        from clx.settings.resolve import resolve
        from clx.workers.pools import artifacts_pool

        settings = resolve().settings
        files = open_store(queue.database.state.shared / "artifacts", settings.artifacts)
        if self._remote:
            from clx.db.async_queue import THREADS
            from clx.routines.remote import Dispatcher, RemoteEngine

            pool = artifacts_pool(queue.database.path, settings)
            queue.database.let_go()  # of those who wait there are many: from a server each keeps two connections
            return RemoteEngine(Dispatcher(queue, files, pool, threads=1 if queue.database.is_served else THREADS))
        from clx.routines.local import KeptEngine

        return KeptEngine(queue, files)

    def __exit__(self, *_exc: object) -> None:
        if self._token is not None:
            ENGINE.reset(self._token)
            self._token = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc: Any) -> None:
        self.__exit__(*exc)


def _require_there(where: str | os.PathLike[str]) -> None:
    """See that a file is there, from which workers are to take jobs: nobody would ever look into a mistyped one."""
    path = Path(where)
    if "://" not in str(where) and not path.name.endswith(SERVED) and not path.exists():
        raise UsageError(
            f"There is no job table {path}, so no workers can be waited for.",
            f"Start some, which make it: {on_database('clx routines work', path)}",
        )
