"""A server of an empty table that wants no tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.server.conftest import Served

from clx.server.place import Place


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve(Place(tokens=False))
