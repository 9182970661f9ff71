"""A Java process that turns diagrams into pictures one after another, over its standard streams."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 64 * 1024
_EXIT_LIMIT_S = 10.0
"""Seconds an idle JVM may take to end by itself; it may be writing its class archive."""
_DEATH_LIMIT_S = 2.0
"""Seconds between the end of its output and the end of a dying JVM."""
_LOG_TAIL = 4000
"""Characters of the JVM's own messages that an error quotes."""
_ERROR = re.compile(rb"ERROR\r?\n(-?\d+)\r?\n(.*)", re.DOTALL)


@dataclass(frozen=True)
class JvmPicture:
    """PlantUML drew something."""

    data: bytes
    trouble: str
    """What an exception or a failed Graphviz told meanwhile: then the picture shows an error."""


@dataclass(frozen=True)
class Refusal:
    """PlantUML said what is wrong with the diagram."""

    line: int
    """0-based, counted in the file that holds the line: the diagram, or one it includes."""
    message: str


class JvmTimeoutError(Exception):
    """There was no answer in time; the JVM has been killed."""


class JvmDiedError(Exception):
    """The JVM ended instead of answering."""

    def __init__(self, returncode: int, log: str) -> None:
        super().__init__(f"the JVM ended with {returncode}")
        self.returncode = returncode
        self.log = log

    @property
    def reason(self) -> str:
        """In a few words: the signal, or the exception it logged."""
        if self.returncode < 0:
            return f"killed by {signal.Signals(-self.returncode).name}"
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        told = [line for line in lines if re.search(r"Exception|Error", line) and not line.startswith("at ")]
        return (told or lines or [f"exit status {self.returncode}"])[0]


class Jvm:
    """One running PlantUML. It ends when its standard input ends, so also when this process is killed.

    What it prints beside pictures goes to the file *log*, which is written anew.
    """

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str], log: Path) -> None:
        # Random, so that no diagram can contain it.
        delimiter = f"clx-{secrets.token_hex(12)}"
        self._end = delimiter.encode()
        self._log = log
        log.write_bytes(b"")
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, "-pipe", "-pipenostderr", "-pipedelimitor", delimiter],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=directory,
                env=environment,
                bufsize=0,
                # A group of its own, so that killing it takes a running dot along.
                process_group=0,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Process id of the JVM, which is also that of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take another diagram."""
        return self._process.poll() is None

    def render(self, text: str, timeout: float) -> JvmPicture | Refusal:
        """Draw one diagram: a block from ``@start…`` to ``@end…``, ended by a line feed.

        Raises:
            JvmTimeoutError: no answer within *timeout* seconds; the JVM is dead now.
            JvmDiedError: it ended, by itself or by somebody's signal.
        """
        seen = self._log.stat().st_size
        try:
            answer = self._exchange(text.encode(), time.monotonic() + timeout)
        except (JvmTimeoutError, KeyboardInterrupt, SystemExit):
            self.kill()
            raise
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DEATH_LIMIT_S)
            self.kill()  # A dot that it was waiting for is still there.
            raise JvmDiedError(self._process.returncode, self._read_log(seen))
        if refused := _ERROR.fullmatch(answer.strip()):
            return Refusal(int(refused[1]), refused[2].decode("utf-8", "replace").strip())
        log = self._read_log(seen)
        return JvmPicture(answer, log if "\tat net.sourceforge.plantuml." in log else "")

    def close(self, patience: float = _EXIT_LIMIT_S) -> int:
        """Let it end by itself, at most *patience* seconds, then kill it; the exit status."""
        self._stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stdout.close()
        return self._process.returncode

    def kill(self) -> None:
        """End it and every process it started, at once. For a JVM that is busy, or has just died so."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _exchange(self, request: bytes, deadline: float) -> bytes | None:
        """Send all of *request* and read up to the delimiter; ``None`` when the JVM closed its end."""
        answer, waiting = bytearray(), memoryview(request)
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stdin, selectors.EVENT_WRITE)
            while True:
                ready = selector.select(max(deadline - time.monotonic(), 0))
                if not ready:
                    raise JvmTimeoutError
                for key, _ in ready:
                    if key.fileobj is self._stdin:
                        waiting = waiting[self._write(waiting) :]
                        if not waiting:
                            selector.unregister(self._stdin)
                    elif chunk := os.read(self._stdout.fileno(), _CHUNK):
                        answer += chunk
                    else:
                        return None
                if answer[-len(self._end) - 2 :].rstrip(b"\r\n").endswith(self._end):
                    return bytes(answer[: answer.rindex(self._end)])

    def _write(self, waiting: memoryview) -> int:
        """Write what the pipe takes; everything counts as written once nobody reads any more."""
        try:
            return os.write(self._stdin.fileno(), waiting)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            return len(waiting)

    def _read_log(self, position: int = 0) -> str:
        with self._log.open("rb") as log:
            log.seek(position)
            return log.read().decode("utf-8", "replace")[-_LOG_TAIL:]
