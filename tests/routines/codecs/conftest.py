"""What tests of codecs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clx.routines.codecs import objects
from clx.routines.codecs.canonical import WRITERS


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    """No class is registered, and afterwards those are that were: they are the process's."""
    tables: list[Any] = [objects._BY_NAME, objects._BY_TYPE, objects._SEEN, WRITERS]
    kept = [(each, each.copy()) for each in tables]
    for each in tables[:3]:
        each.clear()
    yield
    for each, before in kept:
        each.clear()
        each.update(before)
