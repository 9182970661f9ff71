"""Workflows that end the same whoever dies under them; copied beside a test, where tasks note that they begin."""

from __future__ import annotations

import time
from asyncio import gather
from pathlib import Path
from uuid import uuid4

from clx import define

NOTES = Path(__file__).with_name("notes")


def note(tag: str) -> None:
    with NOTES.open("a") as stream:
        stream.write(f"{tag} {time.time()}\n")


@define.task(name="leaf", version="1.0.0", max_runs=100)
def leaf(tag: str, seconds: float) -> str:
    note(tag)
    time.sleep(seconds)
    return "LEAF"


@define.task(name="number", version="1.0.0-dev", max_runs=100)
def number(tag: str, value: int) -> int:
    note(tag)
    time.sleep(0.02)
    return value


@define.workflow(name="tree")
async def tree(tag: str, depth: int) -> str:
    """Two below each, leaves at the end."""
    if depth == 0:
        return await leaf(tag, 0.1)
    below = await gather(*(tree(f"{tag}.{side}", depth - 1) for side in "lr"))
    return ("" if "." in tag else f"{tag}-") + "+".join(below)


@define.workflow(name="fan")
async def fan(tag: str, n: int) -> int:
    return sum(await gather(*(number(f"{tag}.{each}", each + 1) for each in range(n))))


@define.workflow(name="written")
async def written(tag: str) -> str:
    """What is recorded is part of what is asked for: another value would be another question."""
    seed = await define.record("seed", lambda: uuid4().hex)
    first = await leaf(f"{tag}.{seed}", 0.3)
    again = await define.record("again", lambda: f"{seed}{first}")
    last = await number(f"{tag}.{again}", 7)
    return f"{tag}:{'kept' if (again, last) == (f'{seed}LEAF', 7) else 'lost'}"
