"""The server that services have beside their workers, where ``server.autostart`` says so: kept, and ended with them."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from clx.db.database import Database
from clx.settings.schema import ServerSettings

log = logging.getLogger("clx.supervisor")

_SETTLED = 30.0
"""Seconds after which a server that dies is started again at once."""
_LONGEST_PAUSE = 60.0
_ENDS_IN = 8.0
"""Seconds that it has to end; it answers what was asked."""


def server_log(state_dir: Path) -> Path:
    """Where a server's own output goes."""
    return state_dir / "logs" / "server.log"


class ServerProcess:
    """Keeps one ``clx server``, by which that of a killed supervisor ends, too: it reads a pipe that ends with us.

    Args:
        database: what it serves.
        settings: whether there is one, and where it listens; may be replaced at any time.
    """

    def __init__(self, database: Database, settings: ServerSettings) -> None:
        self.settings = settings
        self._database = database
        self._running: ServerSettings | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._pause = 0.0

    def tend(self) -> None:
        """Look once: start it, start it again where it died, longer after each failure, end it where none is wanted."""
        if self._process is not None and self._process.poll() is not None:
            self._note_end(self._process.returncode)
        wanted = self.settings if self.settings.autostart else None
        if self._process is not None and self._running != wanted:
            self.stop()
            self._pause = 0.0
        if self._process is None and wanted is not None and time.monotonic() >= self._begun + self._pause:
            self._start(wanted)

    def _start(self, wanted: ServerSettings) -> None:
        self._begun = time.monotonic()
        where = ["--host", wanted.host, "--port", str(wanted.port), "--db-path", str(self._database.path)]
        file = server_log(self._database.state.path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "clx", "server", "--service", *where],
                    stdin=subprocess.PIPE, stdout=stream, stderr=stream, cwd=self._database.state.path,
                )  # fmt: skip
        except OSError as error:
            self._note_end(str(error))
            return
        self._running = wanted
        log.info("server started, pid %s", self._process.pid, extra={"action": "server_started"})

    def _note_end(self, how: int | str) -> None:
        self._forget()
        lived = time.monotonic() - self._begun
        self._pause = 0.0 if lived > _SETTLED else min(_LONGEST_PAUSE, max(1.0, 2 * self._pause))
        log.warning(
            "the server ended (%s); it is started again in %d s; its log is %s",
            how, self._pause, server_log(self._database.state.path), extra={"action": "server_ended"},
        )  # fmt: skip

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        self._process, self._running = None, None

    def stop(self) -> None:
        """End it, if there is one."""
        process = self._process
        if process is None:
            return
        self._forget()  # it sees that its pipe has ended
        try:
            process.wait(_ENDS_IN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.info("server ended", extra={"action": "server_stopped"})
