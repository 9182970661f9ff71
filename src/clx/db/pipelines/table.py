"""The pipelines of a database: deployed, looked at, paused, stopped, tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from clx.db.database import Database
from clx.db.models import encode
from clx.db.pipelines import changing
from clx.db.pipelines import statements as sql
from clx.db.pipelines.advancing import PIPELINES
from clx.db.pipelines.documents import Document, config_document, pipeline_document
from clx.db.pipelines.models import ConfigDefinition
from clx.db.pipelines.scheduling import check_times, enter_schedule, name_of, remove_schedule, times_of
from clx.db.pipelines.spawning import enter_config, spawn
from clx.db.schedules import statements as schedules
from clx.db.transaction import Transaction
from clx.db.validation import check_limit, is_text
from clx.db.wait import SLOW_BEAT, Bells
from clx.db.writer import Writer
from clx.errors import QueueError
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.jobs import Queue


class Deployed(NamedTuple):
    """What a deployment has made: the config, and its pipelines."""

    config: str
    pipelines: list[str]


class Pipelines:
    """The pipelines of one database; :attr:`Queue.pipelines <clx.db.jobs.Queue.pipelines>` has them.

    Nobody has to watch over them: who ends the last work of a stage puts in those of the next one.
    Methods that take ids take those of pipelines and those of configs, which stand for all pipelines of theirs.

    Args:
        queue: the jobs.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.database: Database = queue.database
        self._write = Writer(queue.database).write

    # -- putting in, changing -------------------------------------------------------------------------

    def deploy(self, config: ConfigDefinition) -> Deployed:
        """Keep a config and begin its pipelines, all or none; the works of the first stage can be withdrawn then.

        One with a schedule begins them at its times, whoever fires what is due then (:attr:`Queue.schedules`).

        Raises:
            QueueError: it has no pipeline, or what it says cannot be kept.
        """
        if not config.pipelines:
            raise QueueError(f"{shortened(config.name)} has no pipeline.", "Its matrix is empty: give it values.")
        check_times(config)

        def body(tx: Transaction) -> Deployed:
            config_id = enter_config(tx, config)
            if config.cron:
                enter_schedule(tx, config_id, config.cron)
                return Deployed(config_id, [])
            return Deployed(config_id, spawn(tx, config_id, config.text()))

        return self._write("deploy_pipelines", body)

    def _named(self, ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """The pipelines that some ids stand for, and these ids: before anything is changed all are known to be some.

        Raises:
            QueueError: an id is none of a pipeline or a config.
        """
        named = _texts(ids)
        return self.expand(named), named

    def _times(self, ids: Iterable[str], body: Callable[[str], object]) -> list[str]:
        """Do something to the schedules of configs among *ids*; returns these configs."""
        found = [each for each in ids if self.database.read(schedules.GET, (name_of(each),))]
        for each in found:
            body(name_of(each))
        return found

    def forget_schedule(self, config_id: str) -> bool:
        """Have the pipelines of a config made no more; false where it has no schedule."""

        def body(tx: Transaction) -> bool:
            remove_schedule(tx, config_id)
            return bool(tx.execute(sql.FORGET_SCHEDULE, (config_id,)).rowcount)

        return self._write("forget_schedule", body)

    def pause(self, ids: Iterable[str]) -> list[str]:
        """Begin no stage and give out no work of them until they are resumed; returns those that are paused now.

        Configs with a schedule make no pipelines meanwhile.
        """
        wanted, named = self._named(ids)
        paused = self._times(named, self._queue.schedules.pause)
        return paused + [
            each for each in wanted if self._write("pause_pipeline", partial(changing.pause, pipeline_id=each))
        ]

    def resume(self, ids: Iterable[str]) -> list[str]:
        """Let paused ones go on; returns those that do."""
        wanted, named = self._named(ids)
        resumed = self._times(named, self._queue.schedules.resume)
        return resumed + [
            each for each in wanted if self._write("resume_pipeline", partial(changing.resume, pipeline_id=each))
        ]

    def stop(self, ids: Iterable[str]) -> list[str]:
        """Cancel them with their works; returns those that were live. Schedules of configs are paused."""
        wanted, named = self._named(ids)
        paused = self._times(named, self._queue.schedules.pause)
        return paused + [
            each for each in wanted if self._write("stop_pipeline", partial(changing.stop, pipeline_id=each))
        ]

    def retry(self, ids: Iterable[str]) -> list[str]:
        """Let failed and cancelled ones go on from the first stage that did not succeed; returns those that do."""
        return [
            each
            for each in self.expand(ids)
            if self._write("retry_pipeline", partial(changing.retry, pipeline_id=each))
        ]

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Remove those that have ended, configs with all their pipelines; returns what was. Their works stay.

        Raises:
            QueueError: an id is none of a pipeline or a config; nothing was removed.
        """
        _, named = self._named(ids)
        removed = []
        for each in named:
            if self._is_config(each):
                inside = self._of_config(each)
                if self._write("remove_pipelines", partial(changing.remove_config, config_id=each, pipelines=inside)):
                    removed.append(each)
            elif self._write("remove_pipeline", partial(changing.remove, pipeline_id=each)):
                removed.append(each)
        return removed

    # -- looking --------------------------------------------------------------------------------------

    def expand(self, ids: Iterable[str]) -> list[str]:
        """The pipelines that some ids stand for.

        Raises:
            QueueError: an id is none of a pipeline or a config.
        """
        found: dict[str, None] = {}
        for each in _texts(ids):
            if self._is_config(each):
                found |= dict.fromkeys(self._of_config(each))
            elif self.database.read(sql.STATE, (each,)):
                found[each] = None
            else:
                raise unknown(each)
        return list(found)

    def _is_config(self, config_id: str) -> bool:
        return bool(self.database.read(f"{sql.CONFIGS} WHERE id = ?", (config_id,)))

    def _of_config(self, config_id: str) -> list[str]:
        return [row[0] for row in self.database.read(sql.IDS_OF, (config_id,))]

    def configs(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, pipeline: str | None = None,
        limit: int = 1000,
    ) -> list[Document]:  # fmt: skip
        """Configs that fit everything given, newest first.

        Args:
            pipeline: the one that has this pipeline.
        """
        where, named = self._where("id", ids, "name", name, limit)
        if pipeline is not None:
            where.append("id IN (SELECT config_id FROM pipelines WHERE id = :pipeline)")
            named["pipeline"] = pipeline
        rows = self.database.read(f"{sql.CONFIGS} WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT :n", named)
        return [
            config_document(row, self._of_config(row[0]), times_of(self.database.read, str(row[0]))) for row in rows
        ]

    def find(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, config: str | None = None,
        status: Sequence[str] = (), limit: int = 1000,
    ) -> list[Document]:  # fmt: skip
        """Pipelines that fit everything given, newest first."""
        where, named = self._where("p.id", ids, "c.name", name, limit)
        if config is not None:
            where.append("p.config_id = :config")
            named["config"] = config
        if status:
            where.append(f"p.status IN ({self.database.sql.texts('status')})")
            named["status"] = encode(list(status))
        rows = self.database.read(f"{sql.PIPELINES} WHERE {' AND '.join(where)} ORDER BY p.id DESC LIMIT :n", named)
        return [self._document(row) for row in rows]

    def _document(self, row: Sequence[Any]) -> Document:
        steps = self.database.read(sql.STEPS_OF, (row[0],))
        return pipeline_document(row, steps, self.database.read(sql.WORKS_OF, (row[0],)))

    def _where(
        self, id_column: str, ids: Iterable[str] | None, name_column: str, name: str | None, limit: int
    ) -> tuple[list[str], dict[str, Any]]:
        check_limit(limit)
        where, named = ["1 = 1"], dict[str, Any]({"n": limit})
        if ids is not None:
            where.append(f"{id_column} IN ({self.database.sql.texts('ids')})")
            named["ids"] = encode(_texts(ids))
        if name is not None:
            where.append(f"{name_column} = :name")
            named["name"] = name
        return where, named

    def get(self, pipeline_id: str) -> Document | None:
        """The pipeline of that id; None where there is none."""
        return next(iter(self.find(ids=[pipeline_id])), None)

    def made_at(self, config_id: str) -> list[tuple[str, float]]:
        """The pipelines of a config, and when they were made: seconds UTC."""
        return [(str(row[0]), row[1] / 1000) for row in self.database.read(sql.MADE_AT, (config_id,))]

    def statuses(self) -> dict[str, int]:
        """How many pipelines are of each status."""
        return {str(row[0]): row[1] for row in self.database.read(sql.STATUSES)}

    def counts(self, of: str = "pipelines") -> dict[str, int]:
        """How many ``pipelines``, or ``configs``, there are of each name."""
        query = sql.COUNT_CONFIGS if of == "configs" else sql.COUNT_PIPELINES
        return {row[0]: row[1] for row in self.database.read(query)}

    def wait(self, ids: Iterable[str], timeout: float | None = None) -> list[Document]:
        """Wait until every one has ended; returns them as they are then, or when the time is up.

        Args:
            timeout: seconds; None: for as long as it takes.
        """
        wanted = self.expand(ids)
        ends_at = None if timeout is None else time.monotonic() + timeout
        with Bells(self.database, [PIPELINES]) as bells:
            while self._are_live(wanted):
                left = SLOW_BEAT if ends_at is None else min(SLOW_BEAT, ends_at - time.monotonic())
                if left <= 0:
                    break
                bells.wait(left)
                bells.silence()
        return self.find(ids=wanted, limit=max(1, len(wanted)))

    def live_jobs(self, ids: Iterable[str]) -> list[int]:
        """The jobs of the works of pipelines that wait or run."""
        return [row[0] for each in self.expand(ids) for row in self.database.read(sql.LIVE_JOBS, {"id": each})]

    def _are_live(self, ids: Sequence[str]) -> bool:
        query = f"SELECT 1 FROM pipelines WHERE ended_at IS NULL AND id IN ({self.database.sql.texts('ids')}) LIMIT 1"
        return bool(self.database.read(query, {"ids": encode(list(ids))}))


def _texts(ids: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys([ids] if isinstance(ids, str) else ids))
    for each in found:
        if not is_text(each):
            raise unknown(each)
    return found


def unknown(id_: object) -> QueueError:
    """The error for an id that is none."""
    return QueueError(f"There is no pipeline or config {shortened(str(id_))}.", "See `clx pipelines list`.")
