"""CLX: a consumer, as a program of one's own would use it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.queues.program import Tally, main, started
from clx.db.consumer import Consumer
from clx.db.jobs import NewJob, Queue


def fill(where: str, jobs: int) -> None:
    with Queue.open(where) as queue:
        queue.enqueue_many([NewJob("t", {"n": n}) for n in range(jobs)])


def drain(where: str, tally: Tally) -> None:
    with Queue.open(where) as queue:
        consumer = Consumer(queue, {"t": tally.started})
        tally.ready()
        tally.ended(consumer.run(until_idle=True))


def serve(where: str, ready: Callable[[], None]) -> None:
    with Queue.open(where) as queue:
        consumer = Consumer(queue, {"t": started})
        ready()
        consumer.run()


def putter(where: str) -> Callable[[], object]:
    queue = Queue.open(where)
    return lambda: queue.enqueue(NewJob("t", {"n": 1}))


if __name__ == "__main__":
    main(fill, drain, serve, putter)
