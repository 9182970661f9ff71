"""The benchmark's day by others: ``python -m benchmarks.rivals.day NAME FOLDER DAYS``.

Seventeen steps that compute nothing, seven side by side. *Prefect* runs them in threads of its process, with its
ephemeral server; *DBOS* as steps and, the seven models, as workflows on a queue of its process; both on SQLite.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import Any


def arrive(day: str) -> str:
    return day


def infer(patterns: str, slm: int) -> str:
    return f"{patterns} {slm}"


def silver(result: str) -> str:
    return f"silver of {result}"


def gold(results: list[str]) -> int:
    return len(results)


def prefect(_folder: str) -> Any:
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    first, prepare, model, keep, last = (task(each) for each in (arrive, arrive, infer, silver, gold))

    def day(name: str) -> Any:
        patterns = prepare(first(name))
        return last([each.result() for each in [keep.submit(model.submit(patterns, slm)) for slm in range(1, 8)]])

    return flow(day, task_runner=ThreadPoolTaskRunner(max_workers=7))


def dbos(folder: str) -> Any:
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.db", "application_version": "1",
            "executor_id": "bench", "log_level": "ERROR",
        }
    )  # fmt: skip
    first, prepare, model, keep, last = (
        DBOS.step(name=name)(each)
        for name, each in (
            ("arrive", arrive),
            ("prepare", arrive),
            ("infer", infer),
            ("silver", silver),
            ("gold", gold),
        )
    )

    def one(patterns: str, slm: int) -> Any:
        return keep(model(patterns, slm))

    of_model = DBOS.workflow(name="model")(one)

    def day(name: str) -> Any:
        patterns = prepare(first(name))
        handles = [DBOS.start_workflow(of_model, patterns, slm) for slm in range(1, 8)]
        return last([each.get_result(polling_interval_sec=0.01) for each in handles])

    run = DBOS.workflow(name="day")(day)
    DBOS.launch()
    return run


def main() -> None:
    """Print seconds of a day, the median."""
    name, folder, days = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run: Any = {"prefect": prefect, "dbos": dbos}[name](folder)
    found = []
    for number in range(days + 2):
        began = time.perf_counter()
        assert run(f"day {number}") == 7
        found.append(time.perf_counter() - began)
    print(json.dumps({"seconds": statistics.median(found[2:])}), flush=True)
    os._exit(0)  # their threads need seconds to end


if __name__ == "__main__":
    main()
