"""``clx server`` as a process of its own, which can be killed."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clx.db.jobs import Queue
from clx.db.tokens import TokenTable


class ServerProcess:
    """A running server of *database*.

    Args:
        folder: its current directory; None: where the database lies, which is a file then.

    Attributes:
        url: where it is.
        token: one with the role ``work``.
    """

    def __init__(
        self,
        database: Path | str,
        *options: str,
        before: Sequence[str] = (),
        port: int = 0,
        token: str = "",
        folder: Path | None = None,
    ) -> None:
        if not token:
            with Queue.open(database) as queue:
                token = TokenTable(queue.database).add("machine", "work")
        self.token = token
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "clx", "server", "--db-path", str(database), "--port", str(port), *options],
            stdout=subprocess.PIPE, text=True, cwd=folder or Path(database).parent,
        )  # fmt: skip
        assert self.process.stdout is not None
        found = re.search(r"https?://[\w.\[\]]+:(\d+)", self.process.stdout.readline())
        assert found is not None
        self.url, self.port = found[0], int(found[1])

    def kill(self) -> None:
        """As a machine that fails."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


@contextlib.contextmanager
def server_process(database: Path, *options: str, **more: Any) -> Iterator[ServerProcess]:
    """A server as long as it lasts."""
    server = ServerProcess(database, *options, **more)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            server.process.communicate(timeout=60)
