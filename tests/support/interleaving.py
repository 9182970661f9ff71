"""Two connections to one server at once: a step of one is held up before a statement, while another does its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import psycopg

from clx.db.jobs import Queue
from clx.errors import LostBatchError, LostRunError, LostWorkerError, QueueError

_EXPECTED = (LostRunError, LostWorkerError, LostBatchError, QueueError)
"""With these a step may end when another came first."""


class Scene:
    """A table that is as it was prepared before each run, and two queues on it.

    Args:
        url: of an empty table.
        steps: what a queue may do, by name.
        prepare: fills the table.
    """

    def __init__(self, url: str, steps: Mapping[str, Callable[[Queue], Any]], prepare: Callable[[Queue], None]) -> None:
        self.one, self.other = Queue.open(url), Queue.open(url)
        self._steps = steps
        prepare(self.one)
        self._looker = psycopg.connect(url, autocommit=True)
        self._thread = ThreadPoolExecutor(1)
        self._backend = self._thread.submit(lambda: self.other.database.connection().raw.info.backend_pid).result()
        filled = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'clx'"
        names = {row[0] for row in self._looker.execute(filled).fetchall()} - {"alembic_version"}
        self._looker.execute("CREATE SCHEMA saved")
        # those that others name come last when they are emptied, and first when they are filled
        last = [name for name in ("jobs", "batches", "schedules", "pipelines", "pipeline_configs") if name in names]
        order = [*sorted(names - set(last)), *last]
        for name in order:
            self._looker.execute(f"CREATE TABLE saved.{name} AS TABLE clx.{name}")
        self._restore = "; ".join(
            [f"DELETE FROM clx.{name}" for name in order]
            + [f"INSERT INTO clx.{name} SELECT * FROM saved.{name}" for name in reversed(order)]
        )

    def restore(self) -> None:
        self._looker.execute(self._restore)

    def run(self, first: str, second: str, before: int) -> tuple[list[str], bool]:
        """Do *first*, and *second* before its statement number *before*, until it has ended or waits for a lock.

        Returns:
            What came of each, and whether the second was done: the first may have fewer statements.
        """
        self.restore()
        told: list[Future[str]] = []
        count = 0

        def pause(_statement: str) -> None:
            nonlocal count
            count += 1
            if count == before:
                told.append(self._thread.submit(self._do, second, self.other))
                self._until_done_or_waiting(told[0])

        connection = self.one.database.connection()
        connection.set_trace_callback(pause)
        try:
            answer = self._do(first, self.one)
        finally:
            connection.set_trace_callback(None)
        return [answer, told[0].result(20) if told else ""], bool(told)

    def _until_done_or_waiting(self, task: Future[str]) -> None:
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        ends = time.monotonic() + 20
        while not task.done() and not self._looker.execute(waits, (self._backend,)).fetchone():
            assert time.monotonic() < ends
            time.sleep(0.001)

    def found(self, query: str) -> list[tuple[Any, ...]]:
        return self._looker.execute(query).fetchall()

    def close(self) -> None:
        self._thread.submit(self.other.close).result()
        self._thread.shutdown()
        self.one.close()
        self._looker.execute("DROP SCHEMA saved CASCADE")
        self._looker.close()

    def _do(self, step: str, queue: Queue) -> str:
        try:
            self._steps[step](queue)
        except _EXPECTED as error:
            return type(error).__name__
        return "done"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def in_any_order(
    scene: Scene, steps: Iterable[str], first: str, wrong: Callable[[str], list[str]], *, share: int, least: int = 2
) -> None:
    """Have *first* meet the other steps, held up before each of its statements, and see that nothing is *wrong* then.

    Args:
        wrong: what is not as any order of the two steps would leave it, given the second.
        share: all pairs take minutes: by day each step meets one in so many of the others, with CLX_SOAK all.
        least: the number of places at which every second step must at least have come in between.
    """
    names = [*steps]
    met = names if os.environ.get("CLX_SOAK") else names[names.index(first) % share :: share]
    for second in met:
        before = 1
        while True:
            told, was_run = scene.run(first, second, before)
            if not was_run:
                break
            assert wrong(second) == [], (first, second, before, told)
            before += 1
        assert before > least
