"""Works: ``python -m benchmarks.works [PART …] [--count N]``; all of a part in one run.

* ``http``: ``Work(…).deposit()`` one by one, and cycles of withdraw and update, at a server of another process, beside
  the own clients of *workflow-core* 1.12 and *chime-frb-api* 3.4 at the same server, each in an environment of its own
  below ``build`` and with fewer calls;
* ``file``: the same on a file, without a server;
* ``search``: by a tag among a million works in a file, beside SQLite by hand with an index.

Without any: all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from tests.support.serving_process import ServerProcess, server_process

from benchmarks import peers
from benchmarks.measure import ENVIRONMENT, mark, rate_row, row, seconds
from clx import Work
from clx.db.jobs import Queue
from clx.work.place import at

RIVALS = {
    "workflow-core": (("workflow-core==1.12.3",), 50.0),
    "chime-frb-api": (("chime-frb-api==3.4.0", "pydantic<2"), 10.0),
}
"""What is installed, and how many times as fast a deposit is to be."""
AIM_HTTP, AIM_CYCLES, AIM_FILE, AIM_SEARCH = 1000, 500, 5000, 2.0
SHARE = 0.05
"""Of the deposits that others make."""
MILLION = 1_000_000


def main() -> None:
    """Print one line for each number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []])
    parser.add_argument("--count", type=int, default=2000)
    asked = parser.parse_args()
    peers.HOME.mkdir(exist_ok=True)
    for name in asked.parts or _PARTS:
        with tempfile.TemporaryDirectory(dir=peers.HOME) as folder:
            _PARTS[name](Path(folder), asked.count)


def _deposit(count: int) -> float:
    """Deposits a second."""
    return _rate(count, lambda n: Work("bench", parameters={"a": n}, tags=["night"], event=n, user="bench").deposit())


def _cycle(count: int) -> float:
    """Withdrawals with their updates a second."""

    def one(_: int) -> None:
        work = Work.withdraw("bench")
        assert work is not None
        work.results, work.status = {"sum": 3}, "success"
        work.update()

    return _rate(count, one)


def _rate(count: int, body: Callable[[int], object]) -> float:
    began = time.perf_counter()
    for n in range(count):
        body(n)
    return count / (time.perf_counter() - began)


def http(folder: Path, count: int) -> None:
    """At a server, beside others."""
    with server_process(folder / "jobs.db", "--no-token") as server, at(server.url, token=""):
        _deposit(50)
        _await_quiet(psutil.Process(server.process.pid))
        deposits, effort = _with_effort(server, count, _deposit)
        cycles, cycle_effort = _with_effort(server, count // 2, _cycle)
        ours = deposits, cycles
        _line("clx.Work over HTTP: deposits one by one", ours[0], AIM_HTTP)
        print(effort)
        _line("clx.Work over HTTP: cycles of withdraw and update", ours[1], AIM_CYCLES)
        print(cycle_effort, flush=True)
        for name, (packages, aim) in RIVALS.items():
            theirs = _rival(folder, name, packages, server.url, int(count * SHARE))
            if theirs is not None:
                rate_row(f"deposits, beside {name}'s own client", ours[0], theirs["deposits"], aim)
                rate_row(f"cycles, beside {name}'s own client", ours[1], theirs["cycles"], 1.0)


def _await_quiet(server: psutil.Process) -> None:
    """Until a server that was just started has read its templates, for a minute at most."""
    for _ in range(60):
        before = sum(server.cpu_times()[:2])
        time.sleep(1)
        if sum(server.cpu_times()[:2]) - before < 0.03:
            return


def _with_effort(server: ServerProcess, count: int, body: Callable[[int], float]) -> tuple[float, str]:
    """What *body* measures, and a line that tells what each of *count* calls took of a processor."""
    of_server = psutil.Process(server.process.pid)
    before = time.process_time(), sum(of_server.cpu_times()[:2])
    rate = body(count)
    here, there = time.process_time() - before[0], sum(of_server.cpu_times()[:2]) - before[1]
    told = f"{1e6 * here / count:8.0f} + {1e6 * there / count:.0f} µs"
    return rate, f"{'the same, of a processor: client + server':<66} {told}"


def _rival(folder: Path, name: str, packages: tuple[str, ...], url: str, count: int) -> dict[str, float] | None:
    """What another's client has measured; None where it failed, which is said."""
    python = peers.environment(f"bench-{name}", packages)
    workspace = folder / "workspace.yml"
    printed = subprocess.run(
        [sys.executable, "-m", "clx", "work", "workspace", "--url", url, "--site", "local"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    workspace.write_text(printed.stdout, encoding="utf-8")
    told = {"WORKFLOW_WORKSPACE": str(workspace), "WORKFLOW_HTTP_WORKSPACE": str(workspace), "HOME": str(folder)}
    command = [str(python), "-m", "benchmarks.rivals.works", name, f"{url}/workflow/buckets", str(count)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], env=os.environ | told, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: failed with {done.returncode}: {done.stderr.strip()[-300:]}", flush=True)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def file(folder: Path, count: int) -> None:
    """On a file."""
    with Queue.open(folder / "jobs.db") as queue, at(queue):
        _deposit(100)
        effort = time.process_time()
        rate = _deposit(count)
        effort = time.process_time() - effort
        _line("clx.Work on a file: deposits one by one", rate, AIM_FILE)
        print(f"{'the same, of a processor':<66} {1e6 * effort / count:8.0f} µs")
        _line("clx.Work on a file: cycles of withdraw and update", _cycle(count // 2), AIM_CYCLES)


def search(folder: Path, _count: int) -> None:
    """By a tag that a thousandth of a million works has."""
    with Queue.open(folder / "jobs.db") as queue, at(queue):
        _fill(folder / "jobs.db")
        by_hand = sqlite3.connect(folder / "jobs.db")
        query = (
            "SELECT w.document FROM work_labels l JOIN works w ON w.job_id = l.job_id "
            "WHERE l.kind = 'tag' AND l.value = 't7' ORDER BY l.job_id DESC LIMIT 100"
        )

        def ours() -> None:
            for _ in range(20):
                assert len(list(Work.search(tag="t7", limit=100))) == 100

        def theirs() -> None:
            for _ in range(20):
                assert len([json.loads(text) for (text,) in by_hand.execute(query).fetchall()]) == 100

        ours()
        theirs()  # what both read is in memory
        row("20 searches by a tag among 1,000,000 works", seconds(ours), seconds(theirs), AIM_SEARCH)
        by_hand.close()


def _fill(path: Path) -> None:
    connection = sqlite3.connect(path)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MILLION})"
    connection.execute(
        f"{numbers} INSERT INTO jobs (type, payload, created_at, state, finished_at, result) "
        "SELECT 'work:p' || (i % 20), '{}', 1700000000000 + i, 'succeeded', 1700000000000 + i, 'null' FROM n"
    )
    connection.execute(
        "INSERT INTO works (job_id, id, pipeline, site, owner, creation, retries, status, document) SELECT id, "
        "printf('%024x', id), substr(type, 6), 'local', 'u' || (id % 50), (1700000000000 + id) * 1000, 2, 'success', "
        """json_object('pipeline', substr(type, 6), 'tags', json_array('t' || (id % 1000)), 'parameters', """
        "json_object('dm', id % 700), 'path', '.', 'timeout', 3600, 'retries', 2, 'priority', 3, 'site', 'local') "
        "FROM jobs"
    )
    connection.execute("INSERT INTO work_labels SELECT job_id, 'tag', 't' || (job_id % 1000) FROM works")
    connection.commit()
    connection.close()


def _line(what: str, rate: float, aim: float) -> None:
    print(f"{what:<66} {rate:8,.0f}/s   aim ≥ {aim:,}/s {mark(rate >= aim)}", flush=True)


_PARTS: dict[str, Callable[[Path, int], None]] = {"http": http, "file": file, "search": search}

if __name__ == "__main__":
    main()
