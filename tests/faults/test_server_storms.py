"""A storm on a server that is killed itself: every commit that was acknowledged is there, and none is done twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.support.postgresql import Server
from tests.support.tools import require

from clx.db.storm import Storm

_SOAK = bool(os.environ.get("CLX_SOAK"))


@pytest.fixture
def durable() -> Iterator[Server]:
    """A server that writes through what it acknowledges."""
    require("postgres")
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name:
        found = Server(Path(name), ("shared_buffers=32MB", "max_connections=100"))
        found.make()
        found.start()
        yield found
        found.stop()


def test_killing_workers_at_random_loses_nothing(postgresql: str, judge: Callable[..., str]) -> None:
    storm = Storm(postgresql, jobs=10_000 if _SOAK else 400, workers=4, every=0.3, limit=240)
    outcome = storm.run()

    assert (outcome.lost, outcome.doubled, outcome.problems) == (0, 0, [])
    assert outcome.kills > 0


class _Lightning:
    """Kills the first process of a server now and then for so many seconds, and starts it anew.

    Not for ever: while a server is away again and again within the length of a lease, nobody's silence says anything.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self.struck = 0
        self._server = server
        self._ends = time.monotonic() + seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._strike)

    def __enter__(self) -> _Lightning:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _strike(self) -> None:
        while not self._over.wait(random.uniform(0.5, 2.0)) and time.monotonic() < self._ends:
            family = psutil.Process(self._server.pid)
            all_of_it = [family, *family.children()]
            os.kill(family.pid, signal.SIGKILL)
            psutil.wait_procs(all_of_it, timeout=20)  # they end once they notice
            self.struck += 1
            self._start()

    def _start(self) -> None:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with contextlib.suppress(AssertionError, psycopg.Error, subprocess.SubprocessError):
                self._server.start()
                self._server.execute("SELECT 1")
                return
            time.sleep(0.1)


def test_killing_the_server_at_random_loses_nothing(durable: Server) -> None:
    seconds = 120 if _SOAK else 12
    storm = Storm(durable.url("postgres"), jobs=100_000, seconds=seconds, workers=4, every=1.0, limit=240)
    with _Lightning(durable, seconds + 20) as lightning:
        outcome = storm.run()

    assert (outcome.lost, outcome.doubled, outcome.problems) == (0, 0, [])
    assert lightning.struck >= 2
    assert outcome.jobs > 50


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@pytest.mark.parametrize("name", ["enqueue", "claim", "finish", "rescue_worker", "create"])
def test_a_process_killed_at_a_commit_leaves_the_state_of_before_or_of_after(
    server: Server, script: Callable[..., subprocess.CompletedProcess[str]], name: str, moment: str
) -> None:
    server.execute("CREATE DATABASE crash")
    try:
        steps = (
            "queue = Queue.open(path); me = register_this_process(queue.database, 't')\n"
            "queue.enqueue(NewJob('t', key='k')); job = queue.claim(['t'], worker=me)[0]\n"
            "queue.enqueue(NewJob('t')); queue.finish(job.id, job.run, 'done')\n"
            "queue.claim(['t'], worker=me); queue.rescue_worker(me, {'kind': 'gone'})\n"
        )
        url = server.url("crash")
        died = script(steps, crash=f"{name}.{moment}", path=url)
        assert died.returncode == -signal.SIGKILL, died.stderr
        judged = (
            "from clx.db.check import check\nqueue = Queue.open(path); print(check(queue.database))\n"
            "print([(job.state, job.run) for job in queue.search()])"
        )
        problems, states = script(judged, path=url).stdout.splitlines()
        assert problems == "[]"
        assert states == _LEFT[name, moment]
    finally:
        server.execute("DROP DATABASE crash WITH (FORCE)")


_LEFT = {
    ("create", "before_commit"): "[]",
    ("create", "after_commit"): "[]",
    ("enqueue", "before_commit"): "[]",
    ("enqueue", "after_commit"): "[('queued', 0)]",
    ("claim", "before_commit"): "[('queued', 0)]",
    ("claim", "after_commit"): "[('running', 1)]",
    ("finish", "before_commit"): "[('queued', 0), ('running', 1)]",
    ("finish", "after_commit"): "[('queued', 0), ('succeeded', 1)]",
    ("rescue_worker", "before_commit"): "[('running', 1), ('succeeded', 1)]",
    ("rescue_worker", "after_commit"): "[('queued', 1), ('succeeded', 1)]",
}
"""Jobs, newest first, with their runs."""
