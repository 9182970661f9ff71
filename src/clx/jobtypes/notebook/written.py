"""Which lines of a deck stand in hidden cells as its author wrote them: before Jinja, in the order of the file.

Templates shift, capture and drop lines, markers too. What stands behind the marker of a hidden cell in the deck is
meant to be hidden, whatever becomes of the marker; :mod:`clx.jobtypes.notebook.hidden` compares the two.

A line belongs to the last marker above it. Branches of an ``if`` exclude each other, so behind it a line may
belong to one of several markers. What a macro or a ``set`` block holds does not come out where it stands, so its
markers count inside of it only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from clx.jobtypes.notebook.fences import FENCE, closes_fence
from clx.jobtypes.notebook.markers import marker_pattern
from clx.jobtypes.notebook.near import near_marker
from clx.jobtypes.notebook.regions import region_end, region_start

_SIGNS = ("%%", ":tag", "<!--", "```", "~~~", "cell>")
_WORDS = ("private", "note", "del", "skip")
_VALUE = "·"
"""Stands for the value of an expression."""
_MOST = 64
"""Cases that are told apart; more than any deck has."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker in a deck.

    Attributes:
        line: the deck's line.
        tag: what hides its cell; empty for all other cells.
        fence: what opens the fenced block, if it is one.
    """

    line: int
    tag: str = ""
    fence: str = ""


Stack = tuple[Mark, ...]
"""The markers a line stands behind; in percent decks one, in Markdown decks one in the other."""
ReadMark = Callable[[Stack, str, int], Stack]


def first_hidden(source: str) -> int | None:
    """Where in a deck the line of the first marker begins that may be one of a hidden cell."""
    start = 0
    for line in source.lower().split("\n"):
        is_named = "tag" in line or "slide" in line
        if is_named and any(sign in line for sign in _SIGNS) and any(word in line for word in _WORDS):
            return start
        start += len(line) + 1
    return None


def hidden_mark(stacks: Iterable[Stack]) -> Mark | None:
    """The marker of the hidden cell a line stands in, in one of the cases at least."""
    return next((mark for stack in stacks for mark in reversed(stack) if mark.tag), None)


def percent_marks(comment: str) -> ReadMark:
    """Reads the markers of a percent deck."""
    pattern = marker_pattern(comment)

    def read(stack: Stack, text: str, line: int) -> Stack:
        tag = near_marker(text)
        return (Mark(line, tag or ""),) if tag or pattern.match(text) else stack

    return read


def markdown_marks(stack: Stack, text: str, line: int) -> Stack:
    """Reads the regions and fenced blocks of a Markdown deck."""
    if stack and (opened := stack[-1].fence):
        if text.startswith(":") and (tag := near_marker(text)):  # an option of MyST's
            return (*stack[:-1], replace(stack[-1], tag=tag))
        return stack[:-1] if closes_fence(text, opened) else stack
    if region_end(text):
        return stack[:-1]
    fence = FENCE.match(text)
    if fence or region_start(text):
        return (*stack, Mark(line, near_marker(text) or "", fence[1] if fence else ""))
    return stack


class Written:
    """Where the lines of a deck stand.

    Args:
        tokens: the deck, as :func:`clx.jobtypes.notebook.sandbox.tokens_of` has it.
        read: reads a marker.
    """

    def __init__(self, tokens: Iterable[tuple[int, str, str]], read: ReadMark) -> None:
        self._read = read
        self._now: tuple[Stack, ...] = ((),)
        self._blocks: list[tuple[tuple[Stack, ...], list[tuple[Stack, ...]] | None]] = []
        self._at: dict[int, tuple[Stack, ...]] = {}
        self._open: list[str] = []
        self._line = 0
        self._words: list[str] | None = None
        for line, kind, value in tokens:
            self._take(line, kind, value)
        self._flush()

    def at(self, line: int) -> tuple[Stack, ...]:
        """The markers that a line, counted from 1, stands behind, for each case; empty where it has no text."""
        return self._at.get(line, ())

    def _take(self, line: int, kind: str, value: str) -> None:
        if kind == "data":
            self._data(line, value)
        elif kind == "variable_begin":
            self._add(line, _VALUE)
        elif kind in ("block_begin", "linestatement_begin"):
            self._flush()
            self._words = []
        elif kind in ("block_end", "linestatement_end"):
            self._statement(self._words or [])
            self._words = None
        elif kind == "comment":
            self._flush()
            for number, text in enumerate(value.split("\n"), line):
                if near_marker(text) or region_end(text):
                    self._mark(text, number)
        elif self._words is not None and kind in ("name", "operator"):
            self._words.append(value)

    def _data(self, line: int, value: str) -> None:
        for number, text in enumerate(value.split("\n"), line):
            if number > line:
                self._flush()
            self._add(number, text)

    def _add(self, line: int, text: str) -> None:
        self._line = self._line if self._open else line
        self._open.append(text)

    def _flush(self) -> None:
        """A line is complete, or a statement stands in it."""
        text, line = "".join(self._open), self._line
        self._open.clear()
        if text.strip():
            self._mark(text, line)
            self._at.setdefault(line, self._now)

    def _mark(self, text: str, line: int) -> None:
        self._now = _told_apart(self._read(stack, text, line) for stack in self._now)

    def _statement(self, words: list[str]) -> None:
        name = words[0] if words else ""
        if name in ("if", "for"):
            self._blocks.append((self._now, []))
        elif name == "macro" or (name == "set" and not _assigns(words)):
            self._blocks.append((self._now, None))
        elif name in ("elif", "else", "endif", "endfor") and self._blocks:
            start, ends = self._blocks[-1]
            assert ends is not None
            ends.append(self._now)
            self._now = start
            if name.startswith("end"):
                self._blocks.pop()
                changed = [stack for end in ends for stack in end if stack not in start]
                self._now = _told_apart(changed) or start
        elif name in ("endmacro", "endset") and self._blocks:
            self._now, _ = self._blocks.pop()


def _told_apart(stacks: Iterable[Stack]) -> tuple[Stack, ...]:
    """Each case once; of very many, those in a hidden cell before all others."""
    found = tuple(dict.fromkeys(stacks))
    if len(found) <= _MOST:
        return found
    hidden = [stack for stack in found if hidden_mark([stack])][-_MOST // 2 :]
    return (*hidden, *[stack for stack in found if not hidden_mark([stack])][-_MOST // 2 :])


def _assigns(words: list[str]) -> bool:
    """Whether a ``set`` statement has its value in itself, and no block behind it."""
    return next((word for word in words if word in ("=", "|")), "") == "="
