"""What is wrong in something a user wrote: collected, then raised as one error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clx.errors import UsageError

PROBLEM_LIMIT = 20
"""More than this many problems of one kind of document are counted, not listed."""


class Problem(NamedTuple):
    """One thing that is wrong."""

    where: str
    """``file:line``, ``file:line:column``, a variable or an option."""
    fact: str
    """What is the case, in one line."""
    next_step: str = ""
    """What to write instead; empty when the fact says it all."""


def raise_problems(problems: Sequence[Problem], error: type[UsageError], subject: str) -> None:
    """Raise *error* with every problem in *subject* (e.g. ``course.yaml``), or return when there is none.

    A single problem keeps the form of all CLX errors. Several are counted in the fact and listed
    below it, in the order given and at most :data:`PROBLEM_LIMIT` of them.
    """
    if not problems:
        return
    if len(problems) == 1:
        where, fact, next_step = problems[0]
        raise error(f"{where}: {fact}", next_step or "Correct it and run again.")
    lines = [f"{where}: {fact}. {next_step}".rstrip(" .") for where, fact, next_step in problems]
    hidden = len(lines) - PROBLEM_LIMIT
    shown = [*lines[:PROBLEM_LIMIT], f"… and {hidden} more"] if hidden > 0 else lines
    raise error(f"{len(lines)} problems in {subject}", "\n".join(shown))


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that *word* was probably meant to be, if any is near enough."""
    import difflib

    known = {candidate.casefold(): candidate for candidate in candidates}
    spelled = word.casefold().replace("-", "_")
    for attempt in (word.casefold(), spelled):
        if attempt in known:
            return known[attempt]
    near = difflib.get_close_matches(word.casefold()[:100], known, n=1, cutoff=0.6)
    return known[near[0]] if near else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``Did you mean "…"?`` or, when nothing is near, the candidates there are."""
    names = list(candidates)
    near = closest(word, names)
    return f'Did you mean "{near}"?' if near else f"Possible here: {', '.join(names)}."


def shortened(text: str, limit: int = 60) -> str:
    """*text* from a user's file, fit for a message: one line, printable, about *limit* characters."""
    begin = text[:limit]
    shown = begin if begin.isprintable() else begin.encode("unicode_escape").decode("ascii")
    return shown if len(text) <= limit else f"{shown}…"


def quoted(value: object) -> str:
    """*value* as a user would recognise it in a message: text in quotes, truth values as TOML and YAML have them."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{shortened(value)}"' if isinstance(value, str) else shortened(repr(value))
