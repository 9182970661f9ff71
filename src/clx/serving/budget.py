"""How much memory models may take, and which are given up for another: pure, so that a test can play any history.

The least recently asked go first. Never given up are models that are to stay warm, those that are being loaded, and
those that somebody waits for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from clx.serving.failures import Refusal

_TEXT = re.compile(r"([1-9][0-9]{0,17})([bkmgBKMG]?)")
_FACTORS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SLOWEST = 50_000_000
"""Bytes of a model's file that are supposed to be loaded in a second, where nobody has measured it."""
LEAST = 200_000_000
"""Nanoseconds that a load is supposed to take besides."""
WARM, BUSY, LOADING = "warm", "has requests", "loading"
"""Why a model stays: for good, and for the moment."""
_NAMED = 20
"""Models that a refusal names."""


class Held(NamedTuple):
    """A model that takes memory.

    Attributes:
        key: of it.
        name: of it, for who is told.
        size: bytes.
        asked: when it was last asked for; any clock.
        stays: why it cannot be given up, ``warm`` say; empty: it can be.
    """

    key: str
    name: str
    size: int
    asked: int
    stays: str = ""


def bytes_of(text: str) -> int:
    """``200M`` as a number: K, M and G are powers of 1024.

    Raises:
        ValueError: it is none.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no number of bytes")
    return int(found[1]) * _FACTORS[found[2].lower()]


def load_estimate(last: int, size: int) -> int:
    """Nanoseconds that a load will take: as long as the last one, or what the size of the file suggests.

    Args:
        last: nanoseconds of the last one; 0: there was none.
        size: bytes of the file; 0: unknown.
    """
    return last or LEAST + size * 1_000_000_000 // SLOWEST


class Budget:
    """Bytes that models may take in each worker.

    Args:
        most: bytes; 0: any number.
    """

    def __init__(self, most: int = 0) -> None:
        self.most = most

    def has_room(self, size: int, held: Iterable[Held]) -> bool:
        """Whether another model of *size* bytes fits, with nothing given up."""
        return not self.most or size + sum(each.size for each in held) <= self.most

    def given_up(self, name: str, size: int, held: Iterable[Held]) -> list[Held]:
        """What has to go for a model to fit, the least recently asked first.

        Args:
            name: of the model.
            size: its bytes.
            held: all others that take memory.

        Raises:
            Refusal: it does not fit, whatever goes; it names what fills the memory.
        """
        if not self.most:
            return []
        held = list(held)
        over = size + sum(each.size for each in held) - self.most
        gone: list[Held] = []
        for each in sorted(held, key=lambda each: (each.asked, each.key)):
            if over <= 0:
                break
            if not each.stays and each.size:
                gone.append(each)
                over -= each.size
        if over > 0:
            raise self._full(name, size, held)
        return _needed(gone, over)

    def _full(self, name: str, size: int, held: Iterable[Held]) -> Refusal:
        if size > self.most:
            return Refusal("memory", f"model {name} takes {size} bytes, which is more than the {self.most} of all")
        staying = sorted((each for each in held if each.stays and each.size), key=lambda each: -each.size)
        filled = [{"name": each.name, "bytes": each.size, "why": each.stays} for each in staying[:_NAMED]]
        by = ", ".join(f"{each.name} ({each.size}, {each.stays})" for each in staying[:_NAMED])
        more = f" and {len(staying) - _NAMED} others" if len(staying) > _NAMED else ""
        return Refusal(
            "memory",
            f"model {name} takes {size} bytes of {self.most}, which are filled by {by}{more}",
            bytes=size,
            budget=self.most,
            filled_by=filled,
        )


def _needed(gone: list[Held], over: int) -> list[Held]:
    """*gone* without those that need not go after all, since a larger one goes later; *over*: bytes, 0 or less."""
    for each in list(gone):
        if over + each.size <= 0:
            gone.remove(each)
            over += each.size
    return gone
