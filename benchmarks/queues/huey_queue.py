"""huey: SqliteHuey and the worker of its consumer, both with their defaults.

It deletes a task when it fetches it, so a killed worker loses it. An idle worker looks after 0.1 s, then at intervals
that grow by 1.15 up to 10 s; an error while it fetches is logged and counts as nothing found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from huey import SqliteHuey
from huey.consumer import Worker

from benchmarks.queues.program import Tally, main, started

INITIAL_DELAY, MAX_DELAY, BACKOFF = 0.1, 10.0, 1.15


def make(where: str, body: Callable[..., None]) -> tuple[Any, Any]:
    huey = SqliteHuey(filename=where)
    return huey, huey.task(name="nothing")(body)


def worker(huey: Any) -> Any:
    made = Worker(huey, threading.Event(), INITIAL_DELAY, MAX_DELAY, BACKOFF)
    made.initialize()
    return made


def fill(where: str, jobs: int) -> None:
    huey, task = make(where, started)
    rows = [(huey.name, huey.serialize_task(task.s(n)), 0) for n in range(jobs)]
    with huey.storage.db(commit=True) as cursor:
        cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", rows)


def drain(where: str, tally: Tally) -> None:
    huey, _ = make(where, tally.started)
    loop = worker(huey)
    tally.ready()
    while True:
        before = loop.task_count
        loop.loop()
        if loop.task_count > before:
            tally.ended()
        elif not huey.storage.queue_size():
            return


def serve(where: str, ready: Callable[[], None]) -> None:
    huey, _ = make(where, started)
    loop = worker(huey)
    ready()
    while True:
        loop.loop()


def putter(where: str) -> Callable[[], object]:
    _, task = make(where, started)
    return lambda: task(1)


if __name__ == "__main__":
    main(fill, drain, serve, putter)
