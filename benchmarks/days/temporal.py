"""The benchmark's day as whoever knows Temporal writes it: a workflow and activities of its SDK, and a worker.

``python -m benchmarks.rivals.day_temporal ADDRESS`` is the worker: one process, seven activities at a time.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bench-day"


@activity.defn  # type: ignore[untyped-decorator]
def arrive(day: str) -> str:
    return day


@activity.defn  # type: ignore[untyped-decorator]
def prepare(readings: str) -> str:
    return readings


@activity.defn  # type: ignore[untyped-decorator]
def infer(patterns: str, slm: int) -> str:
    return f"{patterns} {slm}"


@activity.defn  # type: ignore[untyped-decorator]
def silver(result: str) -> str:
    return f"silver of {result}"


@activity.defn  # type: ignore[untyped-decorator]
def gold(results: dict[int, str]) -> int:
    return len(results)


@workflow.defn
class Day:
    """Seventeen activities, seven side by side."""

    @workflow.run  # type: ignore[untyped-decorator]
    async def run(self, day: str) -> Any:
        """The day."""
        wait = timedelta(minutes=15)
        readings = await workflow.execute_activity(arrive, day, start_to_close_timeout=wait)
        patterns = await workflow.execute_activity(prepare, readings, start_to_close_timeout=wait)

        async def model(slm: int) -> Any:
            found = await workflow.execute_activity(infer, args=[patterns, slm], start_to_close_timeout=wait)
            return await workflow.execute_activity(silver, found, start_to_close_timeout=wait)

        kept = await asyncio.gather(*(model(slm) for slm in range(1, 8)))
        return await workflow.execute_activity(gold, dict(enumerate(kept, 1)), start_to_close_timeout=wait)


async def _work(address: str) -> None:
    client = await Client.connect(address)
    worker = Worker(
        client, task_queue=QUEUE, workflows=[Day], activities=[arrive, prepare, infer, silver, gold],
        activity_executor=ThreadPoolExecutor(7), max_concurrent_activities=7,
    )  # fmt: skip
    await worker.run()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
