"""A limit holds while those who have its places are killed, and their places come back."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from clx.db.check import check
from clx.db.jobs import NewJob, Queue

_CONSUMER = """
import sys, time
from clx import Consumer, Queue
with Queue.open(sys.argv[1]) as queue:
    Consumer(queue, {"t": lambda job: time.sleep(0.01)}).run(until_done=True)
"""
_KILLS = 12


def test_killing_consumers_leaves_a_limit_exact(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "jobs.db"

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _CONSUMER, str(path)], stderr=subprocess.DEVNULL)

    with Queue.open(path) as queue:
        queue.set_limit("api", concurrency=2)
        ids = queue.enqueue_many([NewJob("t", limit="api", max_runs=50) for _ in range(150)])
        consumers, kills, most = [begin() for _ in range(3)], 0, 0
        while queue.has_live(["t"]):
            queue.wait(ids, timeout=chance.uniform(0.02, 0.2))
            most = max(most, *(each.running for each in queue.limits()))
            if kills < _KILLS:
                victim = chance.choice(consumers)
                victim.kill()
                victim.wait()
                kills += 1
                consumers = [each for each in consumers if each is not victim] + [begin()]
        for each in consumers:
            each.wait(60)

        assert {job.state for job in queue.get_many(ids)} == {"succeeded"}
        assert most == 2
        assert [(each.running, each.held) for each in queue.limits()] == [(0, 0)]
        assert check(queue.database) == []
