"""What builds that follow one another share: warm workers, and the news that makes a build pointless."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from clx.course.plan import PlannedJob
from clx.course.watched import Watched
from clx.db.batches import BatchTable
from clx.db.database import Database
from clx.errors import ClxError
from clx.jobtypes.notebook.reader import DeckReader
from clx.settings.schema import Settings
from clx.workers.platforms import database_options
from clx.workers.supervision.build_workers import BuildWorkers


class SupersededError(ClxError):
    """A build was given up because its sources have changed since; the next one goes on with what it had queued."""


class Session:
    """A row of builds in one process.

    The workers belong to the session, so they stay warm. A batch that was given up stays open until the
    next build has queued its own: what both want so goes on running.

    Args:
        watched: learns which files matter to the builds.
    """

    def __init__(self, watched: Watched | None = None) -> None:
        self.watched = watched
        self._database: Database | None = None
        self._workers: BuildWorkers | None = None
        self._given_up: int | None = None
        self.reader = DeckReader()
        self.changed: Callable[[], Collection[str]] = tuple
        """The sources that have changed since the running build began, as paths below the course root."""

    def workers(self, database: Database, settings: Settings, note: Callable[[str], None]) -> BuildWorkers:
        """The session's workers; those that died meanwhile are accounted for."""
        if self._workers is None:
            self._database = Database.open(database.path, **database_options(settings))
            self._workers = BuildWorkers(self._database, settings, None, note)
        self._workers.note = note
        self._workers.tend()
        return self._workers

    def pointless(self, jobs: Iterable[PlannedJob]) -> list[PlannedJob] | None:
        """Which of *jobs* an edit has made pointless; None while there was no edit."""
        changed = set(self.changed())
        if not changed:
            return None
        return [job for job in jobs if not changed.isdisjoint(path for path, _digest in job.files)]

    def give_up(self, batch: int) -> None:
        """Keep a batch open until :meth:`close_given_up`."""
        self.close_given_up()
        self._given_up = batch

    def close_given_up(self) -> None:
        """Close the batch that was given up: what nobody else wants is cancelled."""
        if self._given_up is not None and self._database is not None:
            BatchTable(self._database).close(self._given_up, abandoned=True)
        self._given_up = None

    def close(self, *, grace: float) -> None:
        """End the workers; jobs not finished within *grace* seconds are handed back."""
        self.close_given_up()
        self.reader.close()
        if self._workers is not None:
            self._workers.stop(grace=grace)
            self._workers = None
        if self._database is not None:
            self._database.close()
            self._database = None
