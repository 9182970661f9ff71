"""Routines that behave badly; copied beside a test, where they note what ran."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import clx
from clx import define

NOTES = Path(__file__).with_name("notes")


def note(*words: Any) -> None:
    """Write a line of what happens, and when."""
    line = " ".join(map(str, (*words, time.time()))) + "\n"
    with NOTES.open("a") as stream:
        stream.write(line)


@define.task(name="work", version="1.0.0")
def work(tag: str, seconds: float = 0.0, go: str = "") -> str:
    note(tag)
    time.sleep(seconds)
    while go and not Path(go).exists():
        time.sleep(0.02)
    return tag.upper()


@define.task(name="draft", version="1.0.0-dev")
def draft(tag: str, seconds: float = 0.0, go: str = "") -> str:
    note(tag)
    time.sleep(seconds)
    while go and not Path(go).exists():
        time.sleep(0.02)
    return tag.upper()


@define.task(name="raises", version="1.0.0", cache=False)
def raises(how: str) -> Any:
    match how:
        case "surrogate":
            raise ValueError("a \udc80 lone one")
        case "nul":
            raise ValueError("a \0 byte")
        case "mute":
            raise Mute
        case "long":
            raise ValueError("x" * 10_000_000)
        case "surrogate result":
            return "\udc80"
        case "deep result":
            return deep(100_000)
        case "progress":
            clx.progress(object(), "\udc80", "\udc80")  # type: ignore[arg-type]
        case "memory":
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
            return len(bytearray(4 << 30))
        case "gil":
            import ctypes

            ctypes.PyDLL(None).sleep(1000)  # a PyDLL call keeps the lock of the interpreter
    return how


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def deep(n: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(n):
        found = [found]
    return found


@define.workflow(name="flow_raises")
async def flow_raises(how: str) -> Any:
    match how:
        case "exit":
            sys.exit(3)
        case "exit below":
            await asyncio.gather(leave())
        case "interrupt below":
            await asyncio.create_task(interrupt())
        case "cancel":
            raise asyncio.CancelledError
        case "generator":
            raise GeneratorExit
        case "task":
            return await raises("nul")
        case "kill":
            os._exit(9)
        case "database":
            raise clx.DatabaseError("Mine is not there.", "Make it.")
    return await asyncio.to_thread(raises.function, how)


async def leave() -> None:
    sys.exit(3)


async def interrupt() -> None:
    raise KeyboardInterrupt


@define.workflow(name="calls_poison")
async def calls_poison() -> Any:
    return await flow_raises("kill")


@define.workflow(name="stubborn")
async def stubborn(tag: str, go: str) -> list[str]:
    """Swallows every exception that it can, and begins while *go* is not there."""
    said = []
    for number in range(3):
        try:
            said.append(await work(f"{tag}{number}"))
        except Exception as error:
            said.append(type(error).__name__)
        if number == 0:
            note("begun")
            while not Path(go).exists():
                await asyncio.sleep(0.02)
    return said


@define.workflow(name="blocks")
async def blocks(seconds: float) -> str:
    note("blocks")
    time.sleep(seconds)
    return await work("after blocking")


@define.workflow(name="waits")
async def waits(tag: str, seconds: float) -> str:
    note("begun", tag)
    return await work(tag, seconds)


@define.workflow(name="gate")
async def gate(tag: str, go: str) -> str:
    note("begun", tag)
    while not Path(go).exists():
        await asyncio.sleep(0.05)
    return await work(tag)


@define.workflow(name="many")
async def many(tag: str, n: int, go: str = "") -> int:
    first = await asyncio.gather(*(work(f"{tag}{number}") for number in range(n)))
    note("all are done")
    if go:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while not Path(go).exists():
                    await asyncio.sleep(0.05)
        note("replayed")
        await work(f"{tag} new")
    return len(first)


@define.workflow(name="fickle")
async def fickle(go: str) -> str:
    """Asks for other things in every life."""
    told = await work(f"life {os.getpid()}")
    while not Path(go).exists():
        await asyncio.sleep(0.05)
    return told
