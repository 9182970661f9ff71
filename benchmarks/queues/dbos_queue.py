"""dbos: workflows that do nothing on a queue in its SQLite system database.

Its pages recommend a limit per worker (`worker_concurrency`) and an executor id per process; without a limit the first
process takes everything. It looks for work at intervals; 0.1 s instead of its default of 1 s is in its favour.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from dbos import DBOS, DBOSClient

from benchmarks.queues.program import Tally, main, started

NAME, WORKFLOW, QUEUE = "bench", "nothing", "bench"
WORKER_CONCURRENCY = 100
POLL = 0.1
LOOK = 0.2
_LEFT = "SELECT 1 FROM workflow_status WHERE status IN ('ENQUEUED', 'PENDING') LIMIT 1"


def url(where: str) -> str:
    return f"sqlite:///{where}"


def launch(where: str, body: Callable[..., None]) -> None:
    DBOS(
        config={
            "name": NAME,
            "system_database_url": url(where),
            "application_version": "1",
            "executor_id": str(os.getpid()),
            "log_level": "WARNING",
        }
    )
    DBOS.workflow(name=WORKFLOW)(body)
    DBOS.launch()


def client(where: str) -> Any:
    """A client of a database that has the tables and the queue."""
    launch(where, started)
    DBOS.destroy()
    made = DBOSClient(system_database_url=url(where), application_name=NAME)
    made.register_queue(QUEUE, worker_concurrency=WORKER_CONCURRENCY, polling_interval_sec=POLL)
    return made


def fill(where: str, jobs: int) -> None:
    import sqlalchemy

    made = client(where)
    with sqlalchemy.create_engine(url(where)).begin() as connection:
        for n in range(jobs):
            made.enqueue_in_transaction(connection, {"queue_name": QUEUE, "workflow_name": WORKFLOW}, n)


def drain(where: str, tally: Tally) -> None:
    """A result is written some time after its function ended, so the table says when the last one was."""

    def body(_n: int) -> None:
        tally.started()

    tally.ready()
    launch(where, body)
    table, seen = sqlite3.connect(where, timeout=30), -1
    while tally.begun != seen or table.execute(_LEFT).fetchall():
        seen = tally.begun
        time.sleep(LOOK)
    tally.ended(tally.begun)
    print(tally, flush=True)
    os._exit(0)  # its threads need seconds to end


def serve(where: str, ready: Callable[[], None]) -> None:
    def body(_n: int) -> None:
        started()

    launch(where, body)
    ready()
    while True:
        time.sleep(60)


def putter(where: str) -> Callable[[], object]:
    made = client(where)
    return lambda: made.enqueue({"queue_name": QUEUE, "workflow_name": WORKFLOW}, 1)


if __name__ == "__main__":
    main(fill, drain, serve, putter)
