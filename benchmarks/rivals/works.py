"""Works by another's own client: ``python -m benchmarks.rivals.works NAME URL COUNT``, where that is installed.

*chime-frb-api* 3.4 and *workflow-core* 1.12 are what their users call: ``Work(…).deposit()``, and a cycle of
``Work.withdraw``, results, ``update()``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any


def frb(url: str) -> tuple[Callable[[int], None], Callable[[], None]]:
    from chime_frb_api.workflow import Work

    def deposit(n: int) -> None:
        work = Work(pipeline="bench", parameters={"a": n}, tags=["night"], event=[n + 1], site="local", user="bench")
        work.deposit(base_url=url)

    def cycle() -> None:
        end(Work.withdraw(pipeline="bench", base_url=url)).update(base_url=url)

    return deposit, cycle


def core(_url: str) -> tuple[Callable[[int], None], Callable[[], None]]:
    from workflow.definitions.work import Work

    def deposit(n: int) -> None:
        Work(
            pipeline="bench", parameters={"a": n}, tags=["night"], event=[n + 1], site="local", user="bench",
            function="os.getpid",
        ).deposit()  # fmt: skip

    def cycle() -> None:
        end(Work.withdraw(pipeline="bench")).update()

    return deposit, cycle


def end(work: Any) -> Any:
    """A work with a success."""
    work.results = {"sum": 3}
    work.status = "success"
    return work


def main(name: str, url: str, count: str) -> None:
    """Print how many deposits and cycles there are in a second."""
    logging.disable()
    warnings.simplefilter("ignore")
    deposit, cycle = {"chime-frb-api": frb, "workflow-core": core}[name](url)
    deposit(0)
    began = time.perf_counter()
    for n in range(int(count)):
        deposit(n)
    deposits = int(count) / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(int(count)):
        cycle()
    print(json.dumps({"deposits": deposits, "cycles": int(count) / (time.perf_counter() - began)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
