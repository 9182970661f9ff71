"""Which engine runs the routines that a program calls: ``with clx.lifecycle("jobs.db", remote=True): …``."""

from __future__ import annotations

import os
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self

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
        DatabaseError, UsageError: as ``Queue.open``.
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
            from clx.routines.remote import Dispatcher, RemoteEngine

            return RemoteEngine(Dispatcher(queue, files, artifacts_pool(queue.database.path, settings)))
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
