"""The process that reads decks for :class:`~clx.jobtypes.notebook.reader.DeckReader`: questions in, answers out."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck_text import Asked, DeckText, read_deck
from clx.jobtypes.notebook.limits import MEMORY_FACT, LimitError, bounded, lift_memory, seconds_for
from clx.platforms import system

GRACE = 2
"""Seconds of computing time, after the limit, within which a deck can still be told of it in order."""
LENGTH = 8
"""Bytes that say how long a message is."""
STEP = "Look for a loop, an expression or an alias that makes much of little."


class Question(msgspec.Struct, frozen=True):
    """Asks what a deck says."""

    asked: Asked
    code_line: int | None = None
    """Asks instead which line of the deck this line of its compiled template comes from."""


class Answer(msgspec.Struct, frozen=True):
    """What was found, or the stored form of an error; the process ends behind an answer that is its last."""

    found: DeckText | None = None
    error: dict[str, Any] | None = None
    line: int | None = None
    is_last: bool = False


def _size(question: Question) -> int:
    try:
        return Path(question.asked.root, question.asked.deck).stat().st_size
    except OSError:
        return 0


def seconds_of(question: Question) -> int:
    """The computing time a question may take."""
    return seconds_for(_size(question))


def message(text: bytes) -> bytes:
    """A message that says how long its text is."""
    return len(text).to_bytes(LENGTH, "big") + text


def is_whole(received: bytearray) -> bool:
    """Whether it is one message."""
    return len(received) >= LENGTH and len(received) - LENGTH >= int.from_bytes(received[:LENGTH], "big")


def receive(stream: IO[bytes]) -> bytes:
    """One message; empty when the other side has ended."""
    length = stream.read(LENGTH)
    text = stream.read(int.from_bytes(length, "big"))
    return text if len(length) == LENGTH else b""


def main() -> None:
    """Answer questions on standard input until it ends."""
    import faulthandler

    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    faulthandler.enable()
    if system.OUT_OF_TIME:
        faulthandler.register(system.OUT_OF_TIME, all_threads=False, chain=True)
    while asked := receive(sys.stdin.buffer):
        question = msgspec.json.decode(asked, type=Question)
        system.limit_time(seconds_of(question) + GRACE)  # the kernel ends this process when a deck's time is long over
        answer = _answer(question)
        replies.write(message(msgspec.json.encode(answer)))
        replies.flush()
        if answer.is_last:
            return


def _answer(question: Question) -> Answer:
    try:
        with bounded(_size(question)):
            try:
                if question.code_line is not None:
                    from clx.jobtypes.notebook.expand import deck_line

                    asked = question.asked
                    place = PurePosixPath(asked.deck), Path(asked.root)
                    return Answer(line=deck_line(*place, asked.prog_lang, asked.variables, question.code_line))
                return Answer(read_deck(question.asked))
            except MemoryError:
                lift_memory()
                raise
    except ConversionError as error:
        is_last = isinstance(error.__cause__, MemoryError | LimitError)
        return Answer(error=error.as_dict(), is_last=is_last)
    except MemoryError:
        return _failed(MEMORY_FACT)
    except LimitError as error:
        return _failed(str(error))
    except RecursionError:
        return _failed("the deck is nested too deeply")
    except Exception as error:
        return _failed(f"the deck cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _failed(fact: str) -> Answer:
    return Answer(error=ConversionError(fact, STEP).as_dict(), is_last=True)


if __name__ == "__main__":
    main()
