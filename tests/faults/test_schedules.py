"""Four processes fire the same schedules by a clock that runs and is set back, and are killed at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from clx import NewJob, Queue, Schedule
from clx.db.clock import Clock

_SOAK = bool(os.environ.get("CLX_SOAK"))
_MINUTE = 60_000
_PROCESSES = 4

_LOOK = """
import random, sys, time
from clx.db.clock import Clock
from clx.db.jobs import Queue

class Fast(Clock):
    back = 0
    def steady(self): return round(time.monotonic() * 1000 * 1800)
    def now(self): return self.steady() - self.back

clock = Fast()
with Queue.open(sys.argv[1], clock=clock) as queue:
    while True:
        clock.back = random.choice([0] * 20 + [1_800_000])
        queue.schedules.fire_due()
"""


class _Fast(Clock):
    """Half an hour in a second, the same in all processes."""

    is_certain = True

    def now(self) -> int:
        return round(time.monotonic() * 1000 * 1800)

    steady = now


class _Crowd:
    """Processes that look without a pause; one that ends by itself has failed."""

    def __init__(self, url: str, said: Path) -> None:
        self._url = url
        self._said = said.open("w+")
        self._processes = [self._start() for _ in range(_PROCESSES)]
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _LOOK, self._url], stderr=self._said)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            self._said.seek(0)
            pytest.fail(f"one ended by itself: {self._said.read()[-3000:]}")
        process.kill()
        process.wait()

    def kill_one(self) -> None:
        """At random; another one takes its place."""
        self.kill(self._processes.pop(random.randrange(_PROCESSES)))
        self._processes.append(self._start())
        self.kills += 1

    def __enter__(self) -> _Crowd:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._said.close()


def _work(queue: Queue) -> int:
    jobs = queue.claim(["all"], 10, lease=10**12)
    for job in jobs:
        queue.finish(job.id, job.run)
    return len(jobs)


@pytest.mark.parametrize("mode", ["wal", "delete", "postgresql"])
def test_each_time_is_fired_exactly_once(
    mode: str, tmp_path: Path, judge: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db?journal_mode={mode}"
    if mode == "postgresql":
        url = request.getfixturevalue("postgresql")
    clock = _Fast()
    with Queue.open(url, clock=clock) as queue:
        ends_at = clock.now() + (3000 if _SOAK else 100) * _MINUTE
        begun = [
            queue.schedules.add(schedule).created_at
            for schedule in (
                Schedule("last", "* * * * *", NewJob("last"), ends_at=ends_at),
                Schedule("all", "* * * * *", NewJob("all"), catch_up="all", ends_at=ends_at),
            )
        ]
        with _Crowd(url, tmp_path / "said") as crowd:
            while any(each.next_at is not None for each in queue.schedules.list()):
                for _ in range(random.randrange(15)):
                    _work(queue)
                if clock.now() < ends_at:
                    crowd.kill_one()
        while _work(queue):
            pass

        for name, since in zip(("last", "all"), begun, strict=True):
            # a clock that is behind may be so to before it began
            fires = [fire for fire in queue.schedules.fires(name, 10_000) if fire.fire_at > since]
            times = {*range((since // _MINUTE + 1) * _MINUTE, ends_at + 1, _MINUTE)}
            assert Counter(fire.fire_at for fire in fires) == Counter(times), name
            _hold_to_jobs(queue, name)
        assert {job.state for job in queue.search(type="all", limit=10_000)} == {"succeeded"}
        assert crowd.kills > _PROCESSES
    if mode != "postgresql":
        assert judge() == ""


def _hold_to_jobs(queue: Queue, name: str) -> None:
    """Each time has the one job that it names, and all are wanted in the order of their times."""
    fires = queue.schedules.fires(name, 10_000)
    jobs = queue.search(type=name, limit=10_000)
    told = [job.payload["schedule"]["fire_at"] for job in jobs]
    assert len(told) == len(set(told)) == sum(fire.outcome == "queued" for fire in fires), name
    assert {job.id for job in jobs} == {fire.job_id for fire in fires} - {None}, name
    if name == "all":
        assert {fire.outcome for fire in fires} == {"queued"}
