"""What it takes to tell of many days."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from benchmarks.rivals.crew import ROOT
from clx import Queue
from clx.daily.days import days_of

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
        taken, together = [], []
        for _ in range(5):
            began = time.process_time()
            for number in range(FLOWS):
                assert len(days_of(queue.database, f"flow-{number}")) == DAYS
            taken.append(time.process_time() - began)
    row(f"what became of {DAYS} days of each of {FLOWS} flows, CPU", statistics.median(taken), "s", AIM)
    command = [sys.executable, "-P", "-m", "clx", "daily", "status", "flow.py", "--days", str(DAYS), "--format", "json"]
    walls = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        walls.append(time.perf_counter() - began)
        assert len(json.loads(done.stdout)["days"]) == DAYS
    row("clx daily status of one of them, the whole command, wall", statistics.median(walls), "s", AIM)


def _fill(queue: Queue) -> None:
    """As days leave it: a workflow and its steps for each."""
    days = [date(2026, 1, 1) + timedelta(days=each) for each in range(DAYS)]
    rows = []
    for day in days:
        for number in range(FLOWS):
            told = json.dumps({"arguments": {"data_date": {"$date": day.isoformat()}}})
            rows.append((f"workflow:flow-{number}", told, day.isoformat(), json.dumps({"value": {"missing": {}, "errors": {}}})))
            for step in range(STEPS):
                rows.append((f"task:flow-{number}.step-{step}:1.0.0", told, f"{day}{number}{step}".encode().hex(), json.dumps({"value": "x" * 200})))
    queue.database.write("bench_fill", lambda tx: [tx.execute(_JOBS, each) for each in rows])
