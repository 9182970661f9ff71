"""Workers that another process started: known from their row, watched by pidfd or by their heartbeat."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

from clx.db.identity import is_gone
from clx.db.workers import WorkerRow, WorkerTable
from clx.workers.executors.spec import Spawn
from clx.workers.executors.worker_process import WorkerProcess
from clx.workers.liveness import is_heard
from clx.workers.processes import LOOK, kill_group, may_be_ended, open_process, send_signal

_LOG_NAME = re.compile(r"\w+-\d+-\d+\.log")
"""What executors call the logs of their workers; a row that a job wrote may name another file."""


class ForeignWorker(WorkerProcess):
    """A worker that is nobody's child here; *spawn* is what it is taken to have been started with."""

    def __init__(self, row: WorkerRow, spawn: Spawn, table: WorkerTable) -> None:
        ours = row.mode == "direct" and may_be_ended(row.identity, table.database.path)
        super().__init__(spawn, log_of(row.id, table), row.identity if ours else "")
        self.worker_id = row.id
        self._row = row
        self._table = table
        self.descriptor = open_process(self.identity)

    def is_alive(self) -> bool:
        """Whether the process runs; for one that cannot be seen, whether its row is live and not silent."""
        if self.descriptor >= 0:
            return not super().wait(0.0)
        if self._row.mode == "direct" and is_gone(self._row.identity):
            return False
        row = self._table.get(self._row.id)
        return (
            row is not None
            and row.ended_at is None
            and is_heard(row, self._table.database.clock.now(), self.spawn.settings.jobs)
        )

    def ended_well(self) -> bool:
        row = self._table.get(self._row.id)
        return row is not None and row.state == "stopped"

    def is_row(self, row: WorkerRow) -> bool:
        return row.id == self._row.id

    def tail(self) -> str:
        """Nothing: its output is another's."""
        return ""

    def cause(self) -> dict[str, object]:
        """Unknown: only its parent is told."""
        return {"kind": "gone"}

    def terminate(self) -> None:
        """SIGTERM; one that cannot be seen is asked through the table by whoever stops it."""
        send_signal(self.identity, signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        if self.descriptor >= 0:
            return super().wait(seconds)
        deadline = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK)
        return True

    def kill(self) -> None:
        kill_group(self.identity)


def log_of(worker_id: int, table: WorkerTable) -> Path:
    """Where the output of a worker goes, as it registered; an empty path when it did not say."""
    started = table.events(worker_id, action="started")
    name = str((started[0][1].get("log") if started else None) or "")
    return table.database.state.path / "logs" / name if _LOG_NAME.fullmatch(name) else Path()
