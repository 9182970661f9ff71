"""Many trivial tasks from one workflow, by others: ``python -m benchmarks.rivals.fan NAME FOLDER TASKS``.

Two processes do the tasks. *Dask* (distributed) keeps everything in memory; *Prefect* and *DBOS* in a table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def inc(n: int) -> int:
    return n + 1


def dask(_folder: str, tasks: int) -> float:
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        run: Callable[[range], Any] = lambda numbers: client.gather(client.map(inc, numbers, pure=False))  # noqa: E731
        run(range(20))
        began = time.perf_counter()
        assert sum(run(range(tasks))) == tasks * (tasks + 1) // 2
        return time.perf_counter() - began


def prefect(_folder: str, tasks: int) -> float:
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    one = task(inc)

    def fan(count: int) -> int:
        return sum(each.result() for each in one.map(list(range(count))))

    run = flow(fan, task_runner=ThreadPoolTaskRunner(max_workers=2))
    run(4)
    began = time.perf_counter()
    assert run(tasks) == tasks * (tasks + 1) // 2
    return time.perf_counter() - began


def dbos(folder: str, tasks: int, *, leads: bool = True) -> float:
    """It looks for work at intervals; 0.1 s instead of its default of 1 s is in its favour."""
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.db", "application_version": "1",
            "executor_id": str(os.getpid()), "log_level": "ERROR",
        }
    )  # fmt: skip
    one = DBOS.workflow(name="inc")(inc)

    def fan(count: int) -> int:
        handles = [DBOS.enqueue_workflow("bench", one, n) for n in range(count)]
        return sum(each.get_result() for each in handles)

    run = DBOS.workflow(name="fan")(fan)
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=100, polling_interval_sec=0.1)
    if not leads:
        print("ready", flush=True)
        while True:
            time.sleep(60)
    command = [sys.executable, "-m", "benchmarks.rivals.fan", "dbos-worker", folder, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            run(4)
            began = time.perf_counter()
            assert run(tasks) == tasks * (tasks + 1) // 2
            return time.perf_counter() - began
        finally:
            other.kill()


def main() -> None:
    """Print tasks per second."""
    name, folder, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if name == "dbos-worker":
        dbos(folder, 0, leads=False)
    programs: dict[str, Callable[[str, int], float]] = {"dask": dask, "prefect": prefect, "dbos": dbos}
    seconds = programs[name](folder, tasks)
    print(json.dumps({"rate": tasks / seconds}), flush=True)
    os._exit(0)  # their threads need seconds to end


if __name__ == "__main__":
    main()
