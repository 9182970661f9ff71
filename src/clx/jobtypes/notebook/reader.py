"""Decks are read in a process of their own that can be ended, whatever they make of it.

A template is a program. Its loops and expressions are bounded where they run (:mod:`~clx.jobtypes.notebook.limits`);
what cannot be interrupted there is ended by the kernel, and the traceback that was written then says in which line.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from clx.errors import ConversionError
from clx.platforms import system

if TYPE_CHECKING:
    import subprocess

    from clx.jobtypes.notebook.deck_text import Asked, DeckText
    from clx.jobtypes.notebook.reading import Answer, Question

_PATIENCE = 10
"""How many times the computing time it may take an answer is waited for: a busy machine has little to give."""
_TELLS_IN = 20
"""Seconds within which a process that is asked to end has said where it is, on a busy machine too."""


class DeckReader:
    """Reads decks, one after the other, in a process that is started for the first and again when it was ended.

    Args:
        meanwhile: called once, while the first of these processes starts, which takes a tenth of a second.
    """

    def __init__(self, meanwhile: Callable[[], object] | None = None) -> None:
        self._meanwhile = meanwhile
        self._process: subprocess.Popen[bytes] | None = None
        self._told: IO[bytes] | None = None
        self._pipes: system.Pipes | None = None

    def read(self, asked: Asked) -> DeckText:
        """What a deck says; an error has its line, also where reading it takes too much time or memory."""
        from clx.jobtypes.notebook.reading import Question  # a build that has nothing to read needs none of it

        answer = self._ask(Question(asked))
        if answer is None:
            raise self._ended(asked)
        if answer.error is not None:
            message, step = answer.error["message"], answer.error.get("next_step", "")
            raise ConversionError(message, step, line=answer.error.get("line"))
        assert answer.found is not None
        return answer.found

    def _ask(self, question: Question) -> Answer | None:
        """The answer; None when the process has ended without one."""
        import msgspec

        from clx.jobtypes.notebook.reading import LENGTH, Answer, is_whole, message, seconds_of

        if self._process is None:
            self._start()
        assert self._pipes is not None
        try:
            asked = message(msgspec.json.encode(question))
            answer = self._pipes.exchange(asked, is_whole, _PATIENCE * seconds_of(question))
        except TimeoutError:
            return None
        if answer is None:
            return None
        found = msgspec.json.decode(answer[LENGTH:], type=Answer)
        if found.is_last:
            self.close()
        return found

    def _start(self) -> None:
        import subprocess
        import tempfile

        self._told = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "clx.jobtypes.notebook.reading"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pipes = system.Pipes(self._process.stdin, self._process.stdout)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def _ended(self, asked: Asked) -> ConversionError:
        """Why there was no answer, as far as can be known."""
        import subprocess

        from clx.jobtypes.notebook.reading import STEP, Question

        process, told = self._process, self._told
        assert process is not None
        assert told is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process.poll() is None and system.OUT_OF_TIME:
                process.send_signal(system.OUT_OF_TIME)  # it says where it is
            process.wait(_TELLS_IN)
        fact = _fact(process.poll())
        told.seek(0)
        said = told.read()
        self.close()
        code_line = _innermost(said, asked.deck)
        answer = self._ask(Question(asked, code_line)) if code_line is not None else None
        line = answer.line if answer is not None else None
        return ConversionError(fact, STEP, line=line)

    def close(self) -> None:
        """End the process; the next deck starts another. Idempotent."""
        process, told = self._process, self._told
        self._process = self._told = None
        if process is not None:
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()
        if told is not None:
            told.close()

    def __enter__(self) -> DeckReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _fact(code: int | None) -> str:
    """What happened to a process that ended without an answer, or did not end."""
    from clx.jobtypes.notebook.limits import MEMORY_FACT, TIME_FACT

    if code in (None, -system.OUT_OF_TIME):
        return TIME_FACT
    return MEMORY_FACT if code == -9 else f"reading the deck ended the process that read it (exit code {code})"


def _innermost(traceback: bytes, deck: str) -> int | None:
    """The line of a deck's compiled template in which a process was ended."""
    import re

    name = re.escape(deck.encode("ascii", "backslashreplace"))
    found = re.search(rb'^  File "%s", line (\d+) in ' % name, traceback, re.MULTILINE)
    return int(found[1]) if found else None
