"""Real processes: SIGKILL storm, SIGSTOP zombie, lock storm. Nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clx.db import storm
from clx.db.jobs import NewJob, Queue
from clx.db.storm import Storm
from clx.db.wait import Bells

_SOAK = bool(os.environ.get("CLX_SOAK"))


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_killing_workers_at_random_loses_nothing(mode: str, tmp_path: Path, judge: Callable[[], str]) -> None:
    raging = Storm(
        tmp_path / "jobs.db", jobs=20_000 if _SOAK else 600, workers=4, every=0.2, limit=1800 if _SOAK else 240,
        journal_mode=mode,
    )  # fmt: skip
    outcome = raging.run()

    assert (outcome.lost, outcome.doubled, outcome.problems) == (0, 0, [])
    assert outcome.kills > 0
    assert judge() == ""


def test_a_storm_tells_when_more_run_than_a_limit_allows(tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        queue.set_limit(storm._LIMIT, concurrency=3)
        queue.enqueue_many([NewJob("t", limit=storm._LIMIT)] * 3)
        still = Storm(tmp_path / "jobs.db", jobs=0, workers=0, every=1, limit=1)
        for allowed in (2, 3):
            assert len(queue.claim(["t"], allowed - queue.limits()[0].running)) > 0
            still._watch_limit()
            still._count([])
            found = ["3 jobs ran of which a limit lets 2 run at a time"] if allowed == 3 else []
            assert still.outcome.problems == found
        still._queue.close()


class _Enough(Exception):
    pass


def _take_for_dead(queue: Queue) -> None:
    for job in queue.search(state="running"):
        queue.rescue_worker(job.worker_id or 0, {"kind": "gone"})


def test_a_worker_of_a_storm_that_is_held_up_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than its lease, on a busy machine: others have the job, and it acknowledges nothing."""
    acknowledged: list[bytes] = []

    def enough(_bells: Bells, _seconds: float) -> None:
        raise _Enough

    with Queue.open(tmp_path / "jobs.db") as queue:
        job_id = queue.enqueue(NewJob("storm", max_runs=3))
        held_up = SimpleNamespace(sleep=lambda _seconds: _take_for_dead(queue))
        monkeypatch.setattr(storm, "time", held_up)
        monkeypatch.setattr(storm, "os", SimpleNamespace(write=lambda _pipe, text: acknowledged.append(text)))
        monkeypatch.setattr(Bells, "wait", enough)
        with pytest.raises(_Enough):
            storm.serve(str(tmp_path / "jobs.db"), "wal")
        assert [run["outcome"] for run in queue.runs(job_id)] == ["rescued"] * 3
    assert acknowledged == [b"1\n"]


def test_killing_who_enqueues_keeps_everything_acknowledged(tmp_path: Path, judge: Callable[[], str]) -> None:
    path = tmp_path / "jobs.db"
    code = (
        f"from clx.db.jobs import *\nq = Queue.open({str(path)!r})\n"
        "while True: print(q.enqueue(NewJob('t')), flush=True)"
    )
    acknowledged: set[int] = set()
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged |= {int(process.stdout.readline()) for _ in range(200)}
        process.kill()
        acknowledged |= {int(line) for line in process.stdout.read().splitlines() if line}
        process.wait()
        process.stdout.close()

    with Queue.open(path) as queue:
        there = {job.id for job in queue.search(limit=10**6)}
    assert acknowledged <= there
    assert len(there) <= len(acknowledged) + 3  # at most one each was committed and not told any more
    assert judge() == ""


_ZOMBIE = """
queue = Queue.open(path)
job = queue.claim(["t"], lease=300)[0]
print(job.id, flush=True)
sys.stdin.readline()
try:
    queue.finish(job.id, job.run, "from the dead")
except Exception as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.parametrize("meanwhile", ["done", "at it"])
def test_a_worker_that_was_stopped_and_comes_back_changes_nothing(
    meanwhile: str, tmp_path: Path, judge: Callable[[], str]
) -> None:
    path = tmp_path / "jobs.db"
    with Queue.open(path) as queue:
        job_id = queue.enqueue(NewJob("t"))
        code = f"import sys\nfrom clx.db.jobs import *\npath = {str(path)!r}\n{_ZOMBIE}"
        zombie: Any = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert zombie.stdout.readline() == f"{job_id}\n"
        zombie.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while not queue.rescue():
            assert time.monotonic() < deadline
            queue.wait([job_id], timeout=0.05)
        again = queue.claim(["t"])[0]
        if meanwhile == "done":
            queue.finish(again.id, again.run, "from the living")

        zombie.send_signal(signal.SIGCONT)
        told, _ = zombie.communicate("go\n", timeout=120)

        assert told == "LostRunError\n"
        if meanwhile == "at it":
            queue.finish(again.id, again.run, "from the living")
        found = queue.get(job_id)
        assert found is not None
        assert found.result == "from the living"
    assert judge() == ""


_CROWD = """
import random
path, mode, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
queue = Queue.open(path, journal_mode=mode)
for n in range(int(sys.argv[4])):
    queue.enqueue(NewJob("t", {"from": number}))
    for job in queue.claim(["t"]):
        queue.heartbeat(job.id, job.run)
        queue.finish(job.id, job.run)
queue.close()
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_eight_processes_at_one_table_get_through(mode: str, tmp_path: Path, judge: Callable[[], str]) -> None:
    path, each = tmp_path / "jobs.db", 400 if _SOAK else 25
    Queue.open(path, journal_mode=mode).close()
    code = f"import sys\nfrom clx.db.jobs import *\n{_CROWD}"
    crowd = [
        subprocess.Popen([sys.executable, "-c", code, str(path), mode, str(number), str(each)], stderr=subprocess.PIPE)
        for number in range(8)
    ]
    errors = [process.communicate(timeout=240)[1] for process in crowd]

    assert errors == [b""] * 8
    with Queue.open(path, journal_mode=mode) as queue:
        assert queue.stats() == {"t": {"succeeded": 8 * each}}
    assert judge() == ""
