"""pgqueuer on PostgreSQL by asyncpg, 64 jobs at a time; an idle one is woken by a trigger that notifies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.queues.program import Tally, main, started

BATCH = 1000
AT_ONCE = 64


async def opened(where: str) -> Queries:
    """Its queries by a connection; its tables are made where there are none."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect(where)))
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    return queries


async def worker(where: str, body: Callable[..., None]) -> PgQueuer:
    """A manager whose one kind of job does *body*."""
    found = PgQueuer(AsyncpgDriver(await asyncpg.connect(where)))

    async def nothing(job: Job) -> None:
        body(job)

    found.entrypoint("t")(nothing)
    return found


def fill(where: str, jobs: int) -> None:
    async def work() -> None:
        queries = await opened(where)
        for begin in range(0, jobs, BATCH):
            part = [f'{{"n": {n}}}'.encode() for n in range(begin, min(jobs, begin + BATCH))]
            await queries.enqueue(["t"] * len(part), part, [0] * len(part))

    asyncio.run(work())


def drain(where: str, tally: Tally) -> None:
    async def work() -> None:
        found = await worker(where, tally.started)
        tally.ready()
        await found.qm.run(mode=QueueExecutionMode.drain, batch_size=AT_ONCE)
        tally.ended(tally.begun)

    asyncio.run(work())


def serve(where: str, ready: Callable[[], None]) -> None:
    async def work() -> None:
        found = await worker(where, started)
        ready()
        await found.run(batch_size=AT_ONCE)

    asyncio.run(work())


def putter(where: str) -> Callable[[], object]:
    loop = asyncio.new_event_loop()
    queries = loop.run_until_complete(opened(where))
    return lambda: loop.run_until_complete(queries.enqueue("t", b'{"n": 1}'))


if __name__ == "__main__":
    main(fill, drain, serve, putter)
