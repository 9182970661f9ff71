"""Tiers: the directories below ``tests`` that hold tests. Where tools are required none may run nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def tiers_of(tests: Path) -> list[str]:
    """Every directory that holds tests, by its path below *tests*."""
    return sorted({each.parent.relative_to(tests).as_posix() for each in tests.rglob("test_*.py")} - {"."})


def empty_tiers(tiers: Iterable[str], passed: Iterable[str]) -> list[str]:
    """Those that hold none of the tests that *passed*, given by their ids, which begin with ``tests/``."""
    filled = {PurePosixPath(each.partition("::")[0]).parent.as_posix().removeprefix("tests/") for each in passed}
    return [tier for tier in tiers if tier not in filled]
