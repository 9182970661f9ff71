"""Workers as subprocesses: own session and process group, a lifeline, a log file."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clx.db.identity import process_identity
from clx.db.workers import WorkerRow
from clx.platforms import system
from clx.platforms.oom import OomWatch
from clx.workers.executors.spec import Spawn, program_of, words_for
from clx.workers.executors.worker_process import WorkerProcess, new_log


class DirectWorker(WorkerProcess):
    """A worker that is a child of this process."""

    def __init__(self, spawn: Spawn, process: subprocess.Popen[bytes], log: Path) -> None:
        super().__init__(spawn, log, process_identity(process.pid))
        self.process = process
        self._memory = OomWatch()
        self.descriptor = system.open_process(process.pid)

    def is_alive(self) -> bool:
        if self.process.poll() is not None:
            return False
        self._memory.look()
        return True

    def ended_well(self) -> bool:
        return self.process.poll() == 0

    def is_row(self, row: WorkerRow) -> bool:
        return row.identity == self.identity

    def cause(self) -> dict[str, object]:
        """Signal or exit code; with a SIGKILL whether the system killed for want of memory about then."""
        code = self.process.returncode
        if code is not None and code < 0:
            found: dict[str, object] = {"kind": "signal", "signal": signal.Signals(-code).name}
            return {**found, "memory": True} if code == -system.KILL and self._memory.killed() else found
        return {"kind": "exit", "code": code}

    def terminate(self) -> None:
        if self.is_alive():
            self.process.terminate()

    def wait(self, seconds: float) -> bool:
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
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        super().close()


def start(spawn: Spawn, state_dir: Path) -> DirectWorker:
    """Start one worker; it ends when it is told to and, if it is no service, when this process is gone."""
    log = new_log(spawn, state_dir)
    words = words_for(spawn, str(spawn.database), spawn.settings, log.name)
    command = [*program_of(spawn), *words]
    if spawn.service is None:
        command.append("--lifeline")
    stdin = subprocess.PIPE if spawn.service is None else subprocess.DEVNULL
    with log.open("wb") as stream:
        return launch(spawn, command, log, stdin=stdin, stdout=stream, stderr=stream, cwd=state_dir)


def launch(spawn: Spawn, command: Sequence[str], log: Path, **streams: Any) -> DirectWorker:
    """Start the process of a worker, in a session of its own.

    Args:
        log: where its output goes; an empty path where to that of this process.
        streams: and the directory, as ``subprocess.Popen`` takes them.
    """
    process = subprocess.Popen(command, start_new_session=True, creationflags=system.OWN_CONSOLE, **streams)
    try:
        return DirectWorker(spawn, process, log)
    except OSError:  # no descriptor left to watch it by: nobody would ever end it
        process.kill()
        process.wait()
        raise
