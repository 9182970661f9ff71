"""What it takes to tell of many days."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from clx import Queue
from clx.daily.days import DayRow, days_of, flows_of

FLOWS, DAYS, STEPS = 10, 365, 17
AIM = 0.3
_FLOW = """
from clx.daily import Flow, Step

def nothing() -> int:
    return 0

flow = Flow("flow-0", [Step("nothing", nothing)])
"""
_JOBS = (
    "INSERT INTO jobs (type, payload, key, created_at, state, run, started_at, finished_at, result) "
    "VALUES (?, ?, ?, 0, 'succeeded', 1, 0, 5000, ?)"
)


def status(folder: Path, _days: int) -> None:
    """Ask for each of the flows once, and for one by the command."""
    from benchmarks.routines import row

    (folder / ".clx").mkdir(mode=0o700)
    (folder / "flow.py").write_text(_FLOW)
    with Queue.open(folder / ".clx" / "jobs.db") as queue:
        _fill(queue)
        asks: tuple[tuple[str, Callable[[], dict[str, list[DayRow]]]], ...] = (
            (f"what became of {DAYS} days of {FLOWS} flows", lambda: flows_of(queue.database)),
            (f"what became of {DAYS} days of one of them", lambda: {"": days_of(queue.database, "flow-3")}),
        )
        for what, body in asks:
            taken = []
            for _ in range(7):
                began = time.process_time()
                assert all(len(each) == DAYS for each in body().values())
                taken.append(time.process_time() - began)
            row(f"{what}, CPU", statistics.median(taken), "s", AIM)
    command = [sys.executable, "-P", "-m", "clx", "daily", "status", "flow.py", "--days", str(DAYS), "--format", "json"]
    before = children()
    for _ in range(5):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        assert len(json.loads(done.stdout)["days"]) == DAYS
    row("clx daily status of one of them, the whole command, CPU", (children() - before) / 5, "s", AIM)


def children() -> float:
    """Seconds of a processor that ended processes of this one have taken."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def _fill(queue: Queue) -> None:
    """As days leave it: a workflow and its steps for each."""
    days = [date(2026, 1, 1) + timedelta(days=each) for each in range(DAYS)]
    rows = []
    for day in days:
        for number in range(FLOWS):
            told = json.dumps({"arguments": {"data_date": {"$date": day.isoformat()}}})
            rows.append(
                (f"workflow:flow-{number}", told, day.isoformat(), json.dumps({"value": {"missing": {}, "errors": {}}}))
            )
            for step in range(STEPS):
                rows.append(
                    (
                        f"task:flow-{number}.step-{step}:1.0.0",
                        told,
                        f"{day}{number}{step}".encode().hex(),
                        json.dumps({"value": "x" * 200}),
                    )
                )
    queue.database.write("bench_fill", lambda tx: [tx.execute(_JOBS, each) for each in rows])
