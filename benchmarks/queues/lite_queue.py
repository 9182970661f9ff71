"""litequeue: pop and done; its pages name several processes as its use, and no way to wait but to pop again.

A pop that meets a lock is tried again, which its pages leave to the caller.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from litequeue import LiteQueue

from benchmarks.queues.program import Tally, main, started

POLL = 0.010
"""Seconds between two looks of an idle process; short, so in litequeue's favour."""


def again(tally: Tally | None, call: Callable[..., Any], *arguments: object) -> Any:
    while True:
        try:
            return call(*arguments)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if tally is not None:
                tally.locked += 1


def fill(where: str, jobs: int) -> None:
    queue = LiteQueue(where)
    with queue.transaction():
        for n in range(jobs):
            queue.put(str(n))


def drain(where: str, tally: Tally) -> None:
    queue = again(None, LiteQueue, where)
    tally.ready()
    while (message := again(tally, queue.pop)) is not None:
        tally.started()
        again(tally, queue.done, message.message_id)
        tally.ended()


def serve(where: str, ready: Callable[[], None]) -> None:
    queue = LiteQueue(where)
    ready()
    while True:
        if (message := again(None, queue.pop)) is None:
            time.sleep(POLL)
            continue
        started()
        again(None, queue.done, message.message_id)


def putter(where: str) -> Callable[[], object]:
    queue = LiteQueue(where)
    return lambda: again(None, queue.put, "1")


if __name__ == "__main__":
    main(fill, drain, serve, putter)
