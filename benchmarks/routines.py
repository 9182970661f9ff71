"""Routines beside others: ``python -m benchmarks.routines [PART …] [--tasks N]``; all of a part in one run.

*joblib*, *diskcache*, *Prefect*, *redun*, *Dask* and *DBOS* are in an environment of their own (`benchmarks/rivals`);
the slow ones get fewer calls. The table of CLX is a SQLite file on the disk of `build`, or with ``--postgresql`` on a
server with its default settings, thrown away afterwards. CPU is that of the process that calls, as the kernel counts
it: the wall of a call depends on what else the machine does.

Parts: ``cached`` (hit, and miss with a hop to a worker), ``known`` (1,000 known calls in one workflow), ``fan``
(trivial tasks from one workflow, two workers), ``resume`` (after kill -9 of a host), ``array`` (1 GB from task to
task), ``import``. Without any: all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import clx
from benchmarks.measure import mark, rate_row
from benchmarks.peers import HOME
from benchmarks.queues import postgres
from benchmarks.rivals import tasks
from benchmarks.rivals.crew import PACKAGES, ROOT, Peak, cpu, rival, workers
from clx import Queue
from clx.db.workers import WorkerTable
from clx.settings.schema import Settings
from clx.workers.pools import artifacts_pool

AIM_HIT, AIM_MISS = 0.1, 1.0
"""Milliseconds."""
AIM_KNOWN, AIM_RESUME = 0.1, 0.5
"""Seconds."""
AIMS_FAN = {"dask": 1.0, "prefect": 20.0, "dbos": 20.0}
SHARES = {"dask": 1.0, "prefect": 0.004, "dbos": 0.02}
"""Of the tasks."""
CALLS = {"joblib": 1000, "diskcache": 1000, "redun": 50, "prefect": 20}
AIM_ARRAY, AIM_MEMORY, AIM_IMPORT = 1.3, 1.2, 2.0


def row(what: str, value: float, unit: str, aim: float | None = None) -> None:
    """Print one line: a value, and the aim that it is not to exceed."""
    told = "" if aim is None else f"   aim ≤ {aim:g} {unit} {mark(value <= aim)}"
    print(f"{what:<66} {value:8.3f} {unit}{told}", flush=True)


def cached(where: str, _count: int) -> None:
    """A call that is known, and one that is not."""
    with Queue.open(where) as queue, workers(where, hosts=0), clx.lifecycle(queue, remote=True):
        assert asyncio.run(_calls(range(50))) == list(range(1, 51))
        many = [n % 50 for n in range(2000)]
        for what, body in (
            ("hit, .result() of a program", lambda: [tasks.inc(n).result() for n in many]),
            ("hit, awaited by a program", lambda: asyncio.run(_calls(many))),
        ):
            seconds, effort = _cost(body)
            row(f"clx: {what}, wall", 1000 * seconds / len(many), "ms")
            row(f"clx: {what}, CPU", 1000 * effort / len(many), "ms", AIM_HIT)
        seconds, effort = _cost(lambda: asyncio.run(_misses(range(1000, 1300))))
        row("clx: miss, done by a worker, awaited one after another, CPU", 1000 * effort / 300, "ms")
        row("clx: miss, done by a worker, median wall", 1000 * statistics.median(_WALLS), "ms", AIM_MISS)
        row("clx: miss, done by a worker, the fastest tenth, wall", 1000 * sorted(_WALLS)[30], "ms")
    for name, count in CALLS.items():
        if (found := rival("cached", name, count)) is not None:
            for what in ("hit", "miss"):
                row(f"{name}: {what}, wall", found[what], "ms")
                row(f"{name}: {what}, CPU", found[f"{what}_cpu"], "ms")


_WALLS: list[float] = []


async def _calls(numbers: list[int] | range) -> list[int]:
    return [await tasks.inc(n) for n in numbers]


async def _misses(numbers: range) -> None:
    for n in numbers:
        began = time.perf_counter()
        await tasks.inc(n)
        _WALLS.append(time.perf_counter() - began)


def _cost(body: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and those of a processor."""
    wall, effort = time.perf_counter(), time.process_time()
    body()
    return time.perf_counter() - wall, time.process_time() - effort


def known(where: str, _count: int) -> None:
    """Many calls in one workflow that are answered by what is kept."""
    with Queue.open(where) as queue, workers(where) as crew, clx.lifecycle(queue, remote=True):
        tasks.fan(0, 1000).result()
        host = [crew["workflow"][0].pid]
        found, before = [tasks.fan(0, 1000).result() for _ in range(10)], cpu(host)
        found += [tasks.fan(0, 1000).result() for _ in range(10)]
        row("1,000 known calls in one workflow, wall", statistics.median(found), "s", AIM_KNOWN)
        row("the same, CPU of the host, the workflow itself included", (cpu(host) - before) / 10, "s")


def fan(where: str, count: int) -> None:
    """Many trivial tasks that one workflow calls at once."""
    with Queue.open(where) as queue, workers(where, tasks=2) as crew, clx.lifecycle(queue, remote=True):
        tasks.fan(0, 100).result()
        processes = [each.pid for kind in crew.values() for each in kind]
        before = cpu(processes)
        ours = count / tasks.fan(1000, count).result()
        print(f"clx: {count:,} tasks, {1e6 * (cpu(processes) - before) / count:.0f} µs CPU each", flush=True)
    for name, aim in AIMS_FAN.items():
        if (found := rival("fan", name, int(count * SHARES[name]))) is not None:
            rate_row(f"trivial tasks from one workflow, two workers, by {name}'s", ours, found["rate"], aim)


def resume(where: str, _count: int) -> None:
    """A workflow with 1,000 finished children goes on elsewhere."""
    folder = Path(where).parent
    reached, gate = folder / "reached", folder / "gate"
    with Queue.open(where) as queue, workers(where, hosts=2) as crew:
        pool = artifacts_pool(queue.database.path, Settings())
        job_id = queue.enqueue(_job(str(reached), str(gate), pool))
        while not reached.exists():
            time.sleep(0.01)
        job = queue.get(job_id)
        assert job is not None
        [host] = [each.pid for each in WorkerTable(queue.database).list() if each.id == job.worker_id]
        gate.touch()
        next(each for each in crew["workflow"] if each.pid == host).kill()
        killed = time.time()
        [ended] = queue.wait([job_id], timeout=60)
        assert ended.run == 2, ended
        assert ended.started_at is not None
        row("kill -9 of a host until another has its workflow", ended.started_at / 1000 - killed, "s")
        first = ended.result["value"] - ended.started_at / 1000
        row("from there to the first new task, 1,000 children finished", first, "s", AIM_RESUME)


def _job(reached: str, gate: str, pool: str) -> clx.NewJob:
    arguments = {"count": 1000, "reached": reached, "gate": gate}
    return clx.NewJob("workflow:bench-resumed", {"arguments": arguments}, pool=pool, max_runs=100)


_BY_HAND = """
import sys, time, os
import numpy as np
how, path, mebibytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
began = time.perf_counter()
if how == "write":
    array = np.arange(mebibytes << 17, dtype=np.int64)
    with open(path, "wb") as stream:
        array.tofile(stream)
        os.fsync(stream.fileno())
else:
    int(np.memmap(path, dtype=np.int64, mode="r").sum())
print(time.perf_counter() - began)
"""


def array(where: str, _count: int) -> None:
    """A large array that one task makes and the next one reads."""
    mebibytes, folder = 1024, Path(where).parent
    by_hand = []
    with Queue.open(where) as queue, workers(where) as crew, clx.lifecycle(queue, remote=True):
        tasks.handed_on(1).result()
        peaks, ours = [], []
        for turn in range(2):
            path = folder / f"array-{turn}"
            by_hand.append(sum(_by_hand(how, path, mebibytes) for how in ("write", "map")))
            path.unlink()
            with Peak(crew["python"][0].pid) as peak:
                began = time.perf_counter()
                tasks.handed_on(mebibytes + turn).result()
                ours.append(time.perf_counter() - began)
            peaks.append(peak.bytes)
    row("1 GB from task to task", min(ours), "s")
    row("written, synced and mapped by hand", min(by_hand), "s")
    row("the one by the other", min(ours) / min(by_hand), "×", AIM_ARRAY)
    row("memory of the worker and its processes, by that of the array", max(peaks) / (mebibytes << 20), "×", AIM_MEMORY)


def _by_hand(how: str, path: Path, mebibytes: int) -> float:
    command = [sys.executable, "-c", _BY_HAND, how, str(path), str(mebibytes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def imports(_where: str, _count: int) -> None:
    """What it takes to import the decorators."""
    found: dict[str, list[float]] = {"import clx.routines.define": [], "import click": []}
    for _ in range(15):
        for what, seconds in found.items():
            code = f"import time; began = time.process_time(); {what}; print(time.process_time() - began)"
            told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
            seconds.append(float(told.stdout))
    ours, theirs = (statistics.median(seconds) for seconds in found.values())
    row("import of clx.define, CPU", 1000 * ours, "ms")
    row("import of click, CPU", 1000 * theirs, "ms")
    row("the one by the other", ours / theirs, "×", AIM_IMPORT)


PARTS = {"cached": cached, "known": known, "fan": fan, "resume": resume, "array": array, "import": imports}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--postgresql", action="store_true", help="CLX alone, its table on a server")
    parser.add_argument("--tasks", type=int, default=10_000, help="trivial tasks from one workflow")
    options = parser.parse_args()
    HOME.mkdir(exist_ok=True)
    if options.postgresql:
        CALLS.clear()
        AIMS_FAN.clear()
    else:
        print(f"beside: {', '.join(PACKAGES)}", flush=True)
    for name in options.parts or PARTS:
        with (
            tempfile.TemporaryDirectory(dir=HOME, ignore_cleanup_errors=True) as folder,
            _on_a_server(folder) if options.postgresql else nullcontext(f"{folder}/jobs.db") as where,
        ):
            PARTS[name](where, options.tasks)


@contextmanager
def _on_a_server(folder: str) -> Iterator[str]:
    """The file that stands for an empty database of a server."""
    os.environ["XDG_STATE_HOME"] = folder
    with postgres.server() as server:
        if server is None:
            raise SystemExit(f"There is no PostgreSQL here: {postgres.INSTALL}")
        with Queue.open(server.database()) as queue:
            yield str(queue.database.path)


if __name__ == "__main__":
    main()
