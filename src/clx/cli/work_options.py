"""What the commands about works share: where these lie, on a database or a server, and the fields of a work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from clx.cli.next_steps import remember
from clx.cli.options import database_option
from clx.cli.project import Here, open_or_make
from clx.errors import UsageError
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.settings.resolve import Resolved
    from clx.work.place import Store

F = TypeVar("F", bound=Callable[..., Any])


class There:
    """Where works lie: what was named on the command line, else ``work.url`` of the settings, else the project's table.

    Args:
        here: the database.
        url: a server, or None.
    """

    def __init__(self, here: Here, url: str | None) -> None:
        self._here = here
        self._url = url
        self._by_path = _was_typed("db_path")
        if url is not None and self._by_path:
            raise UsageError("--url and --db-path name two places.", "Give one of them.")
        if url is not None and "://" not in url:  # it would be taken for a file
            raise UsageError(f"--url {shortened(url)} is no address of a server.", "Write http://HOST:PORT.")

    @contextmanager
    def look(self) -> Iterator[Store | None]:
        """What keeps them, to be read only; None where there is nothing yet."""
        with self._opened(self._here.look) as store:
            yield store

    @contextmanager
    def change(self) -> Iterator[Store | None]:
        """What keeps them; None where there is nothing yet."""
        with self._opened(self._here.change) as store:
            yield store

    @contextmanager
    def make(self) -> Iterator[Store]:
        """What keeps them, made where there is nothing yet."""
        with self._opened(lambda: open_or_make(self._here.resolved, self._here.path)) as store:
            assert store is not None
            yield store

    @contextmanager
    def _opened(self, database: Callable[[], Any]) -> Iterator[Store | None]:
        from clx.work.place import at

        url, token = self._server()
        if url is not None:
            logging.getLogger("urllib3").setLevel(logging.ERROR)  # that it tries again, before the error says so
            with at(url, token=token) as store:
                yield store
            return
        found = database()
        if found is None:
            yield None
            return
        from clx.db.jobs import Queue

        with Queue(found) as queue:
            yield queue.works

    def _server(self) -> tuple[str | None, str | None]:
        if self._url is not None or self._by_path:
            return self._url, None  # a token of the settings is meant for the server that they name
        resolved = self._here.resolved
        return resolved.work_url(), resolved.settings.work.token

    @property
    def resolved(self) -> Resolved:
        """The settings that hold here."""
        return self._here.resolved

    @staticmethod
    def queue_of(store: Store) -> Queue | None:
        """The queue whose works *store* keeps; None where a server does."""
        from clx.db.jobs import Queue
        from clx.db.works.table import Works

        return Queue(store.database) if isinstance(store, Works) else None

    @property
    def nobody(self) -> str:
        """That there is nothing yet."""
        return self._here.nobody

    def unknown(self, work_id: str, *, is_there: bool = True) -> UsageError:
        """That a work was named and is not there; or, unless *is_there*, nothing at all."""
        if is_there:
            return self._here.unknown(f"work {shortened(work_id)}", "clx work search")
        fact = f"There is no work {shortened(work_id)}. {self.nobody}"
        return UsageError(fact, "Deposit one first (clx work deposit), or name another place with --db-path or --url.")


def _was_typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) == ParameterSource.COMMANDLINE


def about_works(command: F) -> F:
    """``--db-path`` and ``--url``; the command gets the :class:`There` they name as ``there``."""

    @wraps(command)
    def run(*arguments: Any, db_path: Path | None, url: str | None, **options: Any) -> Any:
        return command(*arguments, there=There(Here(db_path), url), **options)

    return click.option(  # type: ignore[return-value]
        "--url",
        metavar="URL",
        callback=remember,
        help="A server instead, http://HOST:PORT; its token: the variable CLX_TOKEN. [default: work.url]",
    )(database_option(run))
