"""What the programs of all queues share: how they are told what to do, and how they say what happened.

A program is started as ``python -m benchmarks.queues.<queue> MODE WHERE [JOBS]`` in the environment that has its queue.
Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable


class Tally(logging.Handler):
    """What one draining process did: how many jobs, when its first began and when its last was reported."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.done = 0
        self.first: float | None = None
        self.last: float | None = None
        self.locked = 0

    def ready(self) -> None:
        """Everything is imported and connected: wait for the others."""
        logging.getLogger().addHandler(self)
        print("ready", flush=True)
        sys.stdin.readline()

    def started(self, *_: object) -> None:
        """A job begins; this is the job."""
        self.begun += 1
        if self.first is None:
            self.first = time.monotonic()

    def ended(self, jobs: int = 1) -> None:
        """So many more jobs are done and reported."""
        self.done += jobs
        if jobs:
            self.last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Count what a queue's own loop logs and lives with."""
        told = f"{record.getMessage()} {record.exc_info[1] if record.exc_info else ''}"
        self.locked += "locked" in told

    def __str__(self) -> str:
        """For the process that counts."""
        return json.dumps({"done": self.done, "first": self.first, "last": self.last, "locked": self.locked})


def started(*_: object) -> None:
    """A job that says when it began."""
    print(time.monotonic(), flush=True)


def main(
    fill: Callable[[str, int], None],
    drain: Callable[[str, Tally], None],
    serve: Callable[[str, Callable[[], None]], None],
    putter: Callable[[str], Callable[[], object]],
) -> None:
    """Do what the command line says.

    Args:
        fill: put so many jobs into an empty queue.
        drain: do jobs until none is left; calls ``tally.ready()`` before the first.
        serve: do jobs for ever; each calls :func:`started`. Calls what it is given once it waits.
        putter: gives a function that puts one job.
    """
    mode, where, *rest = sys.argv[1:]
    if mode == "fill":
        fill(where, int(rest[0]))
    elif mode == "drain":
        tally = Tally()
        drain(where, tally)
        print(tally, flush=True)
    elif mode == "serve":
        serve(where, lambda: print("ready", flush=True))
    else:
        put = putter(where)
        print("ready", flush=True)
        for _ in sys.stdin:
            at = time.monotonic()
            put()
            print(at, flush=True)
