"""The routines that are measured; workers import them."""

from __future__ import annotations

import asyncio
import time
from asyncio import gather
from pathlib import Path
from typing import Any

import numpy as np

from clx import define

Array = np.ndarray[Any, np.dtype[Any]]


@define.task(name="bench-inc", version="1.0.0")
def inc(n: int) -> int:
    return n + 1


@define.workflow(name="bench-fan")
async def fan(first: int, count: int) -> float:
    """Seconds that so many tasks take, as the workflow sees it."""
    began = time.perf_counter()
    assert sum(await gather(*(inc(n) for n in range(first, first + count)))) == count * (2 * first + count + 1) // 2
    return time.perf_counter() - began


@define.task(name="bench-now", version="1.0.0", cache=False)
def now() -> float:
    """When it ran."""
    return time.time()


@define.workflow(name="bench-resumed")
async def resumed(count: int, reached: str, gate: str) -> float:
    """Many children; then it says so and waits; then one more, which tells when it ran."""
    await gather(*(inc(n) for n in range(count)))
    Path(reached).touch()
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    return await now()


@define.task(name="bench-made", version="1.0.0-dev")
def made(mebibytes: int) -> Array:
    return np.arange(mebibytes << 17, dtype=np.int64)


@define.task(name="bench-used", version="1.0.0-dev")
def used(array: Array) -> int:
    return int(array.sum())


@define.workflow(name="bench-array")
async def handed_on(mebibytes: int) -> int:
    return await used(await made(mebibytes))
