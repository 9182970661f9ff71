"""A cached call of others: ``python -m benchmarks.rivals.cached NAME FOLDER CALLS`` in the environment that has them.

Each answers the same: a function that adds one, asked again with arguments that it knows (a hit), and with new ones (a
miss). *joblib* and *diskcache* run a miss in the same process, *redun* in a thread of it (its default; it starts a
process for each otherwise, which takes seconds); *Prefect* hands it to another process, as CLX does.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KNOWN = 10
"""Different arguments that are asked again."""
Run = Callable[[list[int]], list[int]]
"""Calls the cached function with each number in turn."""


def inc(n: int) -> int:
    return n + 1


@contextmanager
def joblib(folder: str) -> Iterator[tuple[Run, Run]]:
    from joblib import Memory

    cached = Memory(folder, verbose=0).cache(inc)
    run: Run = lambda numbers: [cached(n) for n in numbers]  # noqa: E731
    yield run, run


@contextmanager
def diskcache(folder: str) -> Iterator[tuple[Run, Run]]:
    from diskcache import Cache

    with Cache(folder) as cache:
        cached = cache.memoize()(inc)
        run: Run = lambda numbers: [cached(n) for n in numbers]  # noqa: E731
        yield run, run


@contextmanager
def prefect(_folder: str) -> Iterator[tuple[Run, Run]]:
    from prefect import flow, task
    from prefect.cache_policies import INPUTS
    from prefect.task_runners import ProcessPoolTaskRunner

    cached = task(inc, persist_result=True, cache_policy=INPUTS)

    def hits(numbers: list[int]) -> list[int]:
        return [cached(n) for n in numbers]

    def misses(numbers: list[int]) -> list[int]:
        return [cached.submit(n).result() for n in numbers]

    yield flow(hits), flow(misses, task_runner=ProcessPoolTaskRunner(max_workers=1))


@contextmanager
def redun(folder: str) -> Iterator[tuple[Run, Run]]:
    from redun import Scheduler
    from redun.config import Config

    from benchmarks.rivals.redun_tasks import inc as cached

    scheduler = Scheduler(config=Config({"backend": {"db_uri": f"sqlite:///{folder}/redun.db"}}))
    scheduler.load()
    logging.getLogger("redun").setLevel(logging.ERROR)
    run: Run = lambda numbers: [scheduler.run(cached(n)) for n in numbers]  # noqa: E731
    yield run, run


def main() -> None:
    """Print milliseconds per call: wall and CPU of this process, for hits and for misses."""
    name, folder, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    found = {}
    with {"joblib": joblib, "diskcache": diskcache, "prefect": prefect, "redun": redun}[name](folder) as (hits, misses):
        assert misses(list(range(KNOWN))) == list(range(1, KNOWN + 1))
        hits(list(range(KNOWN)))
        for what, run, first in (("hit", hits, 0), ("miss", misses, KNOWN)):
            numbers = [first + n if what == "miss" else n % KNOWN for n in range(calls)]
            began, cpu = time.perf_counter(), time.process_time()
            assert run(numbers) == [n + 1 for n in numbers]
            found[what] = 1000 * (time.perf_counter() - began) / calls
            found[f"{what}_cpu"] = 1000 * (time.process_time() - cpu) / calls
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
