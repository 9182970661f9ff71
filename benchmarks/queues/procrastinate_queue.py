"""procrastinate on PostgreSQL, with the defaults of its worker; an idle one is woken by LISTEN/NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import procrastinate

from benchmarks.queues.program import Tally, main, started

BATCH = 1000


def make(where: str, body: Callable[..., None]) -> tuple[procrastinate.App, procrastinate.tasks.Task]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=where))

    async def nothing(n: int) -> None:
        body(n)

    return app, app.task(name="nothing")(nothing)


def opened(where: str) -> procrastinate.tasks.Task:
    """The task of an application that is connected; its tables are made where there are none."""
    app, task = make(where, started)
    app.open()
    if not app.check_connection():
        app.schema_manager.apply_schema()
    return task


def fill(where: str, jobs: int) -> None:
    task = opened(where)
    for begin in range(0, jobs, BATCH):
        task.batch_defer(*({"n": n} for n in range(begin, min(jobs, begin + BATCH))))


def drain(where: str, tally: Tally) -> None:
    async def work() -> None:
        app, _ = make(where, tally.started)
        async with app.open_async():
            tally.ready()
            await app.run_worker_async(wait=False)
            tally.ended(tally.begun)

    asyncio.run(work())


def serve(where: str, ready: Callable[[], None]) -> None:
    async def work() -> None:
        app, _ = make(where, started)
        async with app.open_async():
            ready()
            await app.run_worker_async()

    asyncio.run(work())


def putter(where: str) -> Callable[[], object]:
    task = opened(where)
    return lambda: task.defer(n=1)


if __name__ == "__main__":
    main(fill, drain, serve, putter)
