"""Workers as subprocesses: own session and process group, a lifeline, a log file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clx.settings.schema import Settings

_TAIL = 4000


@dataclass(frozen=True, slots=True)
class Spawn:
    """What a worker is started with."""

    type: str
    database: Path
    pool: str
    settings: Settings
    batch: int | None = None
    service: str | None = None
    config_source: str = "default"


@dataclass(slots=True)
class DirectWorker:
    """A started subprocess; its row appears when it has registered."""

    spawn: Spawn
    process: subprocess.Popen[bytes]
    log: Path
    worker_id: int | None = None
    pidfd: int = -1
    started: float = field(default=0.0)

    def tail(self) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - _TAIL))
                return stream.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def cause(self) -> dict[str, object]:
        """How it ended, for the run it leaves behind."""
        code = self.process.returncode
        if code is not None and code < 0:
            return {"kind": "signal", "signal": signal.Signals(-code).name}
        return {"kind": "exit", "code": code}

    def terminate(self) -> None:
        """Ask it to finish its job within the grace period."""
        if self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """End its whole process group now."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Reap it and release what belongs to it; the log of one that had nothing to say is removed."""
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if self.process.returncode == 0:
            self.log.unlink(missing_ok=True)


def start(spawn: Spawn, state_dir: Path, *, number: int, started: float) -> DirectWorker:
    """Start one worker; it ends when the returned object's process is asked to, or when this process is gone."""
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{spawn.type}-{os.getpid()}-{number}.log"
    command = [
        sys.executable, "-m", "clx.workers", spawn.type, "--db", str(spawn.database), "--pool", spawn.pool,
        "--config-source", spawn.config_source, "--settings", msgspec.json.encode(spawn.settings).decode(), "--lifeline",
    ]  # fmt: skip
    if spawn.batch is not None:
        command += ["--batch", str(spawn.batch)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stream, stderr=stream, start_new_session=True, cwd=state_dir
        )
    worker = DirectWorker(spawn, process, log, started=started)
    if hasattr(os, "pidfd_open"):
        worker.pidfd = os.pidfd_open(process.pid)
    return worker
