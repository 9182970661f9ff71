"""Where works lie: what a program named with :func:`at`, else the settings, else the project's database."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from clx.errors import ClxError, UsageError

_SAID = ("CLX_WORK__URL", "CLX_DATABASE__PATH", "CLX_DATABASE__URL")
"""Variables that name a place. Settings are read once for each of these, and for each directory."""


class Store(Protocol):
    """What keeps works; :class:`clx.db.works.table.Works` says what each of these means."""

    def deposit(self, documents: Sequence[dict[str, Any]]) -> list[str]: ...
    def withdraw(self, asked: Any, *, wait: float = 0.0, lease: float | None = None) -> dict[str, Any] | None: ...
    def wake(self) -> None: ...
    def renew(self, work_id: str, run: int, lease: float | None = None) -> bool: ...
    def note_run(
        self, work_id: str, run: int, *, stdout: str = "", stderr: str = "", peak_memory: int | None = None
    ) -> bool: ...
    def exchange(
        self, document: dict[str, Any], asked: Any, *, lease: float | None = None
    ) -> tuple[bool, dict[str, Any] | None]: ...
    def update(self, documents: Sequence[dict[str, Any]]) -> list[bool]: ...
    def updated(self, document: dict[str, Any]) -> Any: ...
    def delete(self, ids: Sequence[str], *, store: Any = None) -> list[str]: ...
    def get(self, work_id: str) -> Any: ...
    def find(self, search: Any) -> Any: ...
    def count(self, search: Any) -> int: ...
    def cancel(self, ids: Sequence[str]) -> list[str]: ...
    def retry(self, ids: Sequence[str]) -> list[str]: ...
    def wait(self, ids: Sequence[str], timeout: float | None = None) -> list[Any]: ...
    def runs(self, work_id: str) -> list[dict[str, Any]]: ...
    def status(self, pipeline: str | None = None) -> dict[str, int]: ...
    def status_by_bucket(self) -> dict[str, dict[str, int]]: ...
    def unattended(self) -> list[str]: ...
    def buckets(self) -> list[str]: ...
    def results(self) -> dict[str, int]: ...
    @property
    def pipelines(self) -> Any: ...


Where = Any
"""A path, a URL, a :class:`~clx.db.jobs.Queue`, or what keeps works."""
_CHOSEN: ContextVar[Store | None] = ContextVar("clx_works", default=None)
_opened: dict[tuple[Any, ...], tuple[Store, Any]] = {}


@contextmanager
def at(where: Where, *, token: str | None = None) -> Iterator[Store]:
    """Within it works are deposited and withdrawn there.

    Args:
        where: the path or URL of a database, an open queue, or ``http://HOST:PORT`` of a server.
        token: what the server is shown; None: the variable ``CLX_TOKEN``.

    Raises:
        UsageError, DatabaseError: it cannot be opened.
    """
    store, owned = _open(where, token)
    chosen = _CHOSEN.set(store)
    try:
        yield store
    finally:
        _CHOSEN.reset(chosen)
        if owned is not None:
            owned.close()


def store(where: Where = None) -> Store:
    """What keeps the works: *where*, what :func:`at` has named, or the one of the settings, which stays open.

    Raises:
        UsageError, DatabaseError: it cannot be opened.
    """
    if where is not None:
        return _kept(where)
    found = _CHOSEN.get()
    return _of_settings() if found is None else found


def _kept(where: Where) -> Store:
    if not isinstance(where, str | os.PathLike):
        return _open(where, None)[0]
    key = (os.getpid(), os.fspath(where), os.getcwd())  # noqa: PTH109  (a text, ten times as fast)
    return _remembered(key, lambda: _open(where, None))


def _of_settings() -> Store:
    key = (os.getpid(), None, os.getcwd(), *map(os.environ.get, _SAID))  # noqa: PTH109
    return _remembered(key, _open_settings)


def _remembered(key: tuple[Any, ...], open_it: Any) -> Store:
    found = _opened.get(key)
    if found is None:
        if not _opened:
            atexit.register(_close_all)
        found = _opened[key] = open_it()
    return found[0]


def _close_all() -> None:
    """What was withdrawn and not updated is handed back at once."""
    for key, (_, owned) in list(_opened.items()):
        del _opened[key]
        if key[0] == os.getpid() and owned is not None:
            with suppress(ClxError):
                owned.close()


def _open(where: Where, token: str | None) -> tuple[Store, Any]:
    """What keeps works there, and what is to be closed with it."""
    from clx.db.jobs import Queue

    if isinstance(where, Queue):
        return where.works, None
    if not isinstance(where, str | os.PathLike):
        if hasattr(where, "withdraw") and hasattr(where, "find"):
            return where, None
        raise UsageError(f"{where!r} keeps no works.", "Give a path, a URL, or an open Queue.")
    if os.fspath(where).startswith(("http://", "https://")):
        return _server(os.fspath(where), token)
    queue = Queue.open(where)
    return queue.works, queue


def _server(url: str, token: str | None) -> tuple[Store, Any]:
    from clx.remote.works import RemoteWorks

    works = RemoteWorks(url, token=token)
    return works, works


def _open_settings() -> tuple[Store, Any]:
    from clx.db.database import Database
    from clx.db.jobs import Queue
    from clx.db.of_project import database_path
    from clx.db.state import StateDirectory
    from clx.settings.resolve import resolve
    from clx.workers.platforms import database_options

    resolved = resolve(Path.cwd())
    url = resolved.work_url()
    if url is not None:
        if "://" not in url:
            raise UsageError(f"work.url is no URL: {url}.", "Name a file with database.path.")
        return _open(url, resolved.settings.work.token)
    path = database_path(resolved, None)
    if not path.parent.exists():
        StateDirectory.of(path).prepare()
    queue = Queue(Database.open(path, **database_options(resolved.settings)))
    return queue.works, queue
