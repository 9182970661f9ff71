"""A Java process that turns diagrams into pictures one after another, over its standard streams."""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clx.platforms import system

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
        self._pipes = system.Pipes(self._stdin, self._stdout)

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
            answer = self._pipes.exchange(text.encode(), self._is_whole, timeout)
        except (TimeoutError, KeyboardInterrupt, SystemExit) as error:
            self.kill()
            if isinstance(error, TimeoutError):
                raise JvmTimeoutError from error
            raise
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DEATH_LIMIT_S)
            self.kill()  # A dot that it was waiting for is still there.
            raise JvmDiedError(self._process.returncode, self._read_log(seen))
        answer = answer[: answer.rindex(self._end)]
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
            system.kill_group(self._process.pid)
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _is_whole(self, answer: bytearray) -> bool:
        """Whether *answer* ends with the delimiter."""
        return answer[-len(self._end) - 2 :].rstrip(b"\r\n").endswith(self._end)

    def _read_log(self, position: int = 0) -> str:
        with self._log.open("rb") as log:
            log.seek(position)
            return log.read().decode("utf-8", "replace")[-_LOG_TAIL:]
