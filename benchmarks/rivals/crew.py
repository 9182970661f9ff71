"""Workers of the benchmark's routines, and what they and others cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import peers
from clx.settings.schema import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "dask==2026.8.0", "dbos==3.4.0", "diskcache==5.6.3", "distributed==2026.8.0", "joblib==1.6.0", "numpy==2.4.6",
    "prefect==3.9.1", "redun==0.44.1",
)  # fmt: skip
LIMIT = 400
"""Seconds after which another's program counts as failed."""
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def workers(
    where: str, *, hosts: int = 1, tasks: int = 1, module: str = "benchmarks.rivals.tasks"
) -> Iterator[dict[str, list[subprocess.Popen[bytes]]]]:
    """So many hosts of workflows and workers of tasks, which import *module*."""
    told = msgspec.to_builtins(Settings())
    told["python"] |= {"modules": [module], "path": [str(ROOT)]}
    settings = msgspec.json.encode(told).decode()
    found: dict[str, list[subprocess.Popen[bytes]]] = {"workflow": [], "python": []}
    try:
        for kind, count in (("workflow", hosts), ("python", tasks)):
            command = [sys.executable, "-P", "-m", "clx.routines.worker", kind, "--db", where, "--settings", settings]
            for _ in range(count):
                found[kind].append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        yield found
    finally:
        for process in (*found["workflow"], *found["python"]):
            process.terminate()
        for process in (*found["workflow"], *found["python"]):
            process.wait(30)


def rival(program: str, name: str, count: int) -> dict[str, float] | None:
    """What another's program has measured; None where it failed, which is said."""
    python = peers.environment("bench-routines", PACKAGES)
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        quiet = {
            "PREFECT_HOME": folder,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        }
        command = [str(python), "-m", f"benchmarks.rivals.{program}", name, folder, str(count)]
        with Path(folder, "answer").open("w+") as answer, subprocess.Popen(
            command, cwd=ROOT, env=os.environ | quiet | {"DO_NOT_TRACK": "1"}, stdin=subprocess.DEVNULL,
            stdout=answer, stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                process.wait(LIMIT)
                answer.seek(0)
                found: dict[str, float] = json.loads(answer.read().splitlines()[-1])
            except (subprocess.TimeoutExpired, ValueError, IndexError):
                print(f"{name}: failed with {process.poll()}", flush=True)
                return None
            finally:  # servers that it has started, too
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return found


def tree(process: int) -> list[int]:
    """A process and all that come from it."""
    found = [process]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu(processes: list[int]) -> float:
    """Seconds of a processor that they have taken."""
    fields = (Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in processes)
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


def memory(processes: list[int]) -> int:
    """Bytes of memory that they share out among them."""
    total = 0
    for each in processes:
        try:
            rows = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(row.split()[1]) << 10 for row in rows if row.startswith("Pss:"))
    return total


class Peak:
    """The most memory that a process and all that come from it held within a ``with``, above what they held before."""

    def __init__(self, process: int) -> None:
        self._process, self._over = process, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.bytes = max(self.bytes, memory(tree(self._process)) - self._before)

    def __enter__(self) -> Peak:
        self._before = memory(tree(self._process))
        self._thread.start()
        return self

    def __exit__(self, *_exc: Any) -> None:
        self._over.set()
        self._thread.join()
