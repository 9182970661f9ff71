"""persist-queue: SQLiteAckQueue, get and ack; for the threads of one process, says its maintainer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import persistqueue

from benchmarks.queues.program import Tally, main, started


def fill(where: str, jobs: int) -> None:
    queue = persistqueue.SQLiteAckQueue(where, auto_commit=True)
    for n in range(jobs):
        queue.put(n)


def drain(where: str, tally: Tally) -> None:
    queue = persistqueue.SQLiteAckQueue(where, auto_commit=True)
    tally.ready()
    while True:
        try:
            item = queue.get(block=False)
        except persistqueue.Empty:
            return
        tally.started()
        queue.ack(item)
        tally.ended()


def serve(where: str, ready: Callable[[], None]) -> None:
    raise NotImplementedError("another process hears nothing of a put; see putter")


def putter(where: str) -> Callable[[], object]:
    """The idle worker is a thread of this process, which its event wakes; another process would look every 10 s."""
    queue = persistqueue.SQLiteAckQueue(where, auto_commit=True, multithreading=True)

    def work() -> None:
        while True:
            item = queue.get()
            started()
            queue.ack(item)

    threading.Thread(target=work, daemon=True).start()
    return lambda: queue.put(1)


if __name__ == "__main__":
    main(fill, drain, serve, putter)
