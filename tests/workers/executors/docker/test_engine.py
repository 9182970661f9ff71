"""Reaching the engine, as far as that needs none."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

from clx.errors import EngineError
from clx.workers.executors.docker.engine import connect


@pytest.mark.parametrize("stale", [False, True])
def test_who_reaches_no_engine_leaves_no_socket_open(
    stale: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "engine.sock"
    if stale:  # a file that an engine has left behind
        place.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(EngineError, match="does not answer"):
            connect()
        gc.collect()
    assert [str(each.message) for each in told] == []
