"""What is wrong with a course, all of it in one go: several kinds of mistakes, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from clx.errors import CourseError
from clx.visible import visible_line

TOLD = 20
"""Mistakes that are told; nobody corrects more of them in one go."""
SINGLY = 3
"""Places of one and the same warning that are told one by one."""


class Mistakes(CourseError):
    """Several mistakes of a course.

    Args:
        texts: each in words: ``place: fact``, in a second line what to do.
        more: whether there may be more of them.

    Attributes:
        texts: those that are told.
    """

    def __init__(self, texts: Iterable[str], *, more: bool = False) -> None:
        found = list(dict.fromkeys(texts))
        self.texts = found[:TOLD]
        if more or len(found) > TOLD:
            super().__init__("\n".join(self.texts), "There may be more.")
        else:
            fact, _, step = "\n".join(found).rpartition("\n")
            super().__init__(fact or step, step if fact else "")


def texts_of(error: CourseError) -> list[str]:
    """The mistakes that *error* stands for, in words."""
    if isinstance(error, Mistakes):
        return error.texts
    return [f"{visible_line(error.fact)}\n{visible_line(error.next_step)}".rstrip()]


def gathered(told: Iterable[str]) -> list[str]:
    """Warnings of decks, ``deck:line: text``; what many decks give reason for is told once, with the first of them."""
    places: dict[str, list[str]] = {}
    for each in told:
        place, _, text = each.partition(": ")
        places.setdefault(text, []).append(place)
    found = []
    for text, there in places.items():
        if len(there) <= SINGLY:
            found += [f"{place}: {text}" for place in there]
        else:
            found.append(f"{there[0]} and {len(there) - 1} more places: {text}")
    return found


class EnoughError(Exception):
    """So much is wrong that looking on would only take time."""


class Collected:
    """Mistakes as they are found."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = list(texts)

    def add(self, *texts: str) -> None:
        """Note them.

        Raises:
            EnoughError: no more need be looked for.
        """
        self._texts += texts
        if len(self._texts) >= TOLD:
            raise EnoughError

    def finish(self, *, more: bool = False) -> None:
        """Return if nothing is wrong.

        Raises:
            Mistakes: something is.
        """
        if self._texts:
            raise Mistakes(self._texts, more=more)
