"""What a day costs whose steps compute nothing, by engine."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client

import clx
from benchmarks.days.flow import flow
from benchmarks.days.temporal import QUEUE, Day
from benchmarks.measure import row
from benchmarks.rivals.crew import ROOT, cpu, rival, tree, workers
from clx import Queue
from clx.daily.registering import workflow_of

AIM = 0.5
AIM_OTHERS = 1.0
_WARM = 5
_FIRST = date(2026, 1, 1)


def overhead(folder: Path, days: int) -> None:
    """CLX and Temporal in turns, a day each; the others behind them."""
    where = str(folder / "jobs.db")
    ours: list[float] = []
    theirs: list[float] = []
    with (
        Queue.open(where) as queue,
        workers(where, tasks=2, module="benchmarks.days.flow") as crew,
        clx.lifecycle(queue, remote=True),
        _temporal(folder) as (address, temporal),
    ):
        clx_processes = [each.pid for kind in crew.values() for each in kind]
        with asyncio.Runner() as runner:
            client = runner.run(Client.connect(address))
            efforts = [0.0, 0.0]
            for number in range(_WARM + days):
                if number == _WARM:
                    efforts = [cpu(_all(clx_processes)), cpu(_all(temporal))]
                    ours, theirs = [], []
                began = time.perf_counter()
                found = workflow_of(flow.name)(_FIRST + timedelta(days=number)).result()
                ours.append(time.perf_counter() - began)
                assert found == {"missing": {}, "errors": {}}
                began = time.perf_counter()
                assert (
                    runner.run(client.execute_workflow(Day.run, str(number), id=f"day-{number}", task_queue=QUEUE)) == 7
                )
                theirs.append(time.perf_counter() - began)
            spent = [cpu(_all(clx_processes)) - efforts[0], cpu(_all(temporal)) - efforts[1]]
    row(
        "a day of 17 steps that compute nothing, median wall, by Temporal's",
        statistics.median(ours),
        statistics.median(theirs),
        AIM,
    )
    row("the same, CPU of servers and workers, by Temporal's", spent[0] / days, spent[1] / days, AIM)
    for name in ("prefect", "dbos"):
        if (found := rival("day", name, days)) is not None:
            row(f"the same, median wall, by {name}'s", statistics.median(ours), found["seconds"], AIM_OTHERS)


def _all(processes: list[int]) -> list[int]:
    return [each for process in processes for each in tree(process)]


@contextmanager
def _temporal(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A development server and a worker: the address, and their processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, program = f"127.0.0.1:{port}", Path(sys.executable).with_name("temporal")
    command = [str(program), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(
        [*command, "--db-filename", str(folder / "temporal.db"), "--log-level", "error"],
        env={**os.environ, "HOME": str(folder)},
        **quiet,
    ) as server:
        try:
            health: list[str | Path] = [program, "operator", "cluster", "health", "--address", address]
            while subprocess.run(health, capture_output=True).returncode:
                time.sleep(0.1)
            with subprocess.Popen(
                [sys.executable, "-m", "benchmarks.days.temporal", address], cwd=ROOT, **quiet
            ) as worker:
                try:
                    yield address, [server.pid, worker.pid]
                finally:
                    worker.kill()
        finally:
            server.kill()
