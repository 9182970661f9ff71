"""Memory of idle workers and of a build: ``python -m benchmarks.memory``. Reported, not judged.

Proportional set size (what a process would free by ending) in MiB, from ``/proc``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.build import write_course
from benchmarks.measure import ENVIRONMENT, clx
from benchmarks.queues import postgres
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable

_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def pss(pid: int) -> float:
    """Proportional set size of a process, MiB."""
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def idle_worker(type_: str, folder: Path) -> float:
    """PSS of a registered worker that has had no job."""
    database = folder / type_ / "jobs.db"
    with Database.open(database) as opened:
        command = [sys.executable, "-m", "clx.workers", type_, "--db", str(database)]
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        try:
            while not WorkerTable(opened).list():
                time.sleep(0.01)
            return pss(process.pid)
        finally:
            process.terminate()
            process.wait()


def idle_function_worker(where: str, folder: Path) -> float:
    """PSS of a process of `clx worker` that has had no job, on the table at a path or URL."""
    (folder / "no_jobs.py").write_text("handlers = {'t': print}\n")
    with Queue.open(where) as queue:
        command = [
            sys.executable,
            "-P",
            "-m",
            "clx.workers.functions",
            "no_jobs:handlers",
            "--db",
            str(queue.database.path),
        ]
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        try:
            while not WorkerTable(queue.database).list():
                time.sleep(0.01)
            time.sleep(1.0)  # it begins to wait
            return pss(process.pid)
        finally:
            process.terminate()
            process.wait()


def build_peak(folder: Path) -> float:
    """Peak resident size of the build process itself, 20 decks, MiB."""
    spec = write_course(folder / "course", 20)
    process = subprocess.Popen([str(word) for word in clx("build", spec, "-q")], env=ENVIRONMENT)
    peak = 0.0
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        peak = max(peak, int(found.group(1)) / 1024 if found else 0.0)
        time.sleep(0.02)
    process.wait()
    return peak


def main() -> None:
    """Print one line each."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for type_ in ("notebook", "plantuml", "drawio"):
            print(f"idle {type_} worker (nothing run yet): {idle_worker(type_, folder):.0f} MiB")
        print(f"idle `clx worker`, SQLite: {idle_function_worker(f'{folder}/functions.db', folder):.0f} MiB")
        with postgres.server() as server:
            if server is not None:
                found = idle_function_worker(server.database(), folder)
                print(f"idle `clx worker`, PostgreSQL {server.version}: {found:.0f} MiB")
        print(f"build process, 20 decks, peak: {build_peak(folder):.0f} MiB")


if __name__ == "__main__":
    main()
