"""What one process of the storm does, on the host or in a container.

``python storm.py DATABASE JOURNAL_MODE JOBS OTHERS``
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable


def main(path: str, journal_mode: str, jobs: int, others: int) -> None:
    """Wait for the *others*, then put *jobs* jobs in and work until the queue is empty."""
    with Database.open(Path(path), journal_mode=journal_mode, busy_timeout=60.0) as database:
        queue, table = Queue(database), WorkerTable(database)
        me = table.register(
            type="storm", pool="", mode="direct", host=platform.node(), pid=os.getpid(), identity="", version="0"
        )
        while len(table.list(live=False)) <= others:  # the first may have ended before the last looks
            time.sleep(0.005)
        for number in range(jobs):
            queue.enqueue(NewJob("storm", {"number": number}))
            work_once(queue, me)
        while work_once(queue, me):
            pass
        table.end(me, "done")


def work_once(queue: Queue, me: int) -> bool:
    """One job, with a sign of life in its middle; false when there was none."""
    claimed = queue.claim(["storm"], worker=me, lease=120_000)
    for job in claimed:
        queue.heartbeat(job.id, job.run, lease=120_000)
        queue.finish(job.id, job.run, {"by": me})
    return bool(claimed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
