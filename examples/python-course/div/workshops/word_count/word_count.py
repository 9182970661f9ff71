"""The most frequent words of a text: fill in the two functions."""

from __future__ import annotations

from pathlib import Path


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    raise NotImplementedError


def most_frequent(text: str, number: int) -> list[tuple[str, int]]:
    """Return the most frequent words and how often they occur, the most frequent first."""
    raise NotImplementedError


if __name__ == "__main__":
    for word, count in most_frequent((Path(__file__).parent / "text.txt").read_text(encoding="utf-8"), 5):
        print(f"{count:3} {word}")
