"""Workers of Temporal for the days and steps of a flow: what a step is, is what it is on a worker of CLX."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from clx.daily.temporal.interpreter import DayWorkflow
from clx.daily.temporal.plan import queue_of, short, whole
from clx.errors import Discard
from clx.routines.failures import described
from clx.routines.performing import perform

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.routines.codecs.canonical import Files
    from clx.routines.routine import Routine

BEAT = 3.0
"""Seconds between two signs of life of a step."""
_Activity = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


async def serve(
    client: Any,
    flow: Flow,
    tasks: Mapping[str, Routine[..., Any]],
    files: Files,
    *,
    pools: Sequence[str] | None,
    count: int,
    grace: float,
) -> None:
    """Work for a flow until SIGTERM or SIGINT.

    Args:
        client: connected to the server.
        tasks: of the flow's steps, by their names.
        pools: whose steps are done; None: all, and the days.
        count: steps at a time, each in a thread.
        grace: seconds that steps have to end then.
    """
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    threads = ThreadPoolExecutor(count, "clx-step")
    queues = sorted({"", *(each.pool for each in flow.order)}) if pools is None else pools
    async with AsyncExitStack() as stack:
        for pool in queues:
            mine = [each for each in flow.order if each.pool == pool]
            worker = Worker(
                client,
                task_queue=queue_of(flow.name, pool),
                workflows=[DayWorkflow] if pools is None and not pool else [],
                activities=[_activity(f"{flow.name}.{each.name}", tasks[each.name], files, threads) for each in mine],
                max_concurrent_activities=count,
                graceful_shutdown_timeout=timedelta(seconds=grace),
            )
            await stack.enter_async_context(worker)
        await over.wait()
    threads.shutdown(wait=False, cancel_futures=True)


def _activity(name: str, routine: Routine[..., Any], files: Files, threads: ThreadPoolExecutor) -> _Activity:
    async def step(asked: dict[str, Any]) -> Any:
        done = asyncio.get_running_loop().run_in_executor(threads, _perform, routine, asked, files)
        while not done.done():
            activity.heartbeat()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(done), BEAT)
        return done.result()

    return activity.defn(name=name)(step)  # type: ignore[no-any-return]


def _perform(routine: Routine[..., Any], asked: dict[str, Any], files: Files) -> Any:
    """Do a step; what it gives is parsed canonical JSON."""
    arguments = {name: whole(each, files) for name, each in asked["arguments"].items()}
    try:
        told = perform(routine, msgspec.json.encode({"arguments": arguments}), files)
        found = msgspec.json.decode(told, type=dict[str, msgspec.Raw])
        return short(bytes(found["value"]).decode(), files, asked["inline"])
    except BaseException as error:
        said = described(error, routine.id)
        is_final = routine.options.max_runs is None or isinstance(error, Discard)
        raise ApplicationError(said["message"], type=said["type"], non_retryable=is_final) from error
