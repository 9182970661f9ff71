"""Hosts and task workers of a test, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from clx.db.jobs import Queue
from clx.settings.schema import Settings

KINDS = {"host": "workflow", "task": "python"}


class Staff:
    """Workers with the routines of *modules*, which lie in *folder*."""

    def __init__(self, queue: Queue, folder: Path, modules: Sequence[str], **jobs: Any) -> None:
        self.queue, self.folder = queue, folder
        self.where = str(queue.database.path)
        self._modules = list(modules)
        self.jobs = jobs
        """What the settings say of jobs."""
        self.database: dict[str, Any] = {}
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {"host": [], "task": []}

    def start(self, *, hosts: int = 0, tasks: int = 0) -> None:
        """Start so many."""
        told = msgspec.to_builtins(Settings())
        told["jobs"] |= self.jobs
        told["database"] |= self.database
        told["python"] |= {"modules": self._modules, "path": [str(self.folder)]}
        settings = msgspec.json.encode(told).decode()
        for kind, count in (("host", hosts), ("task", tasks)):
            for _ in range(count):
                command = [sys.executable, "-P", "-m", "clx.routines.worker", KINDS[kind], "--db", self.where]
                log = (self.folder / f"{kind}.log").open("ab")
                with log:
                    process = subprocess.Popen(
                        [*command, "--settings", settings],
                        cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    )  # fmt: skip
                self.processes[kind].append(process)

    def kill(self, kind: str) -> None:
        """Kill those of a kind, at once."""
        for process in self.processes[kind]:
            process.kill()
            process.wait()
        self.processes[kind].clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        everybody = [each for kind in self.processes.values() for each in kind]
        for process in everybody:
            process.terminate()
        for process in everybody:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
