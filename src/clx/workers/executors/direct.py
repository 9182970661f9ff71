"""Workers as subprocesses: own session and process group, a lifeline, a log file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clx.db.workers import WorkerRow
from clx.platforms import system
from clx.platforms.oom import OomWatch
from clx.workers.executors.base import Spawn, tail_of, words_for
from clx.workers.supervision.identity import process_identity


class DirectWorker:
    """A worker that is a child of this process; see :class:`clx.workers.executors.base.Handle`."""

    def __init__(self, spawn: Spawn, process: subprocess.Popen[bytes], log: Path) -> None:
        self.spawn = spawn
        self.worker_id: int | None = None
        self.started = time.monotonic()
        self.log = log
        self.process = process
        self.identity = process_identity(process.pid)
        self._memory = OomWatch()
        self._pidfd = system.open_process(process.pid)

    def descriptor(self) -> int:
        """The process's pidfd; -1 where the platform has none."""
        return self._pidfd

    def is_alive(self) -> bool:
        """Whether the process runs."""
        if self.process.poll() is not None:
            return False
        self._memory.look()
        return True

    def ended_well(self) -> bool:
        """Whether it exited with code 0."""
        return self.process.poll() == 0

    def is_row(self, row: WorkerRow) -> bool:
        """Whether *row* was made by this child."""
        return row.identity == self.identity

    def tail(self) -> str:
        """The last lines of its log."""
        return tail_of(self.log)

    def cause(self) -> dict[str, object]:
        """Signal or exit code; with a SIGKILL whether the system killed for want of memory about then."""
        code = self.process.returncode
        if code is not None and code < 0:
            found: dict[str, object] = {"kind": "signal", "signal": signal.Signals(-code).name}
            return {**found, "memory": True} if code == -system.KILL and self._memory.killed() else found
        return {"kind": "exit", "code": code}

    def terminate(self) -> None:
        """SIGTERM."""
        if self.is_alive():
            self.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait for the process."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the whole process group; helpers in sessions of their own notice their pipes closing."""
        if self.is_alive():
            system.kill_group(self.process.pid)

    def close(self) -> None:
        """Reap it; the log of one that ended well is removed."""
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self.process.returncode == 0:
            self.log.unlink(missing_ok=True)


def start(spawn: Spawn, state_dir: Path, *, number: int) -> DirectWorker:
    """Start one worker; it ends when it is told to and, with a lifeline, when this process is gone.

    Args:
        number: tells apart the logs of workers that one process starts.
    """
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{spawn.type}-{os.getpid()}-{number}.log"
    words = words_for(spawn, str(spawn.database), spawn.settings, log.name)
    command = [sys.executable, "-P", "-m", "clx.workers", *words]
    if spawn.lifeline:
        command.append("--lifeline")
    stdin = subprocess.PIPE if spawn.lifeline else subprocess.DEVNULL
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stream, stderr=stream, cwd=state_dir,
            start_new_session=True, creationflags=system.OWN_CONSOLE,
        )  # fmt: skip
    try:
        return DirectWorker(spawn, process, log)
    except OSError:  # no descriptor left to watch it by: nobody would ever end it
        process.kill()
        process.wait()
        raise
