"""What a server says of its models is said again where it could not be written down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.serving.figures import FiguresTable
from clx.db.serving.table import ServingTable
from clx.errors import DatabaseBusyError
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.figures import Watch
from clx.serving.metrics import metrics
from clx.serving.served import Served
from clx.serving.shelf import TableShelf
from clx.serving.telling import Telling


def test_it_is_told_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller()
    catalogue = Catalogue(controller)
    model = Served("m", "1", "", state="failed", reason="it is broken")
    catalogue.note(model)
    watch = Watch(controller, catalogue)
    good, calls = FiguresTable.tell, 0

    def busy_at_first(self: FiguresTable, told: Sequence[Any], gone: Sequence[Any] = ()) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise DatabaseBusyError("It is locked.", "Wait.")
        good(self, told, gone)

    monkeypatch.setattr(FiguresTable, "tell", busy_at_first)
    with Queue.open(tmp_path / "jobs.db") as queue:
        shelf = TableShelf(ServingTable(queue.database), ArtifactStore(tmp_path / "artifacts"))
        telling = Telling(shelf, watch, 1)
        for _ in range(3):
            asyncio.run(telling.tell())
        found = FiguresTable(queue.database).one("m")
        shelf.close()
    assert calls == 2  # nothing was new the third time
    assert found is not None
    assert found.figures is not None
    assert (found.figures.state, found.figures.detail["reason"]) == ("failed", "it is broken")
    text = asyncio.run(metrics(watch, {200: 3}, 0, 1))
    assert 'clx_serving_models{model="m",version="1",state="failed"} 1' in text.splitlines()
    assert 'clx_http_requests_total{status="200"} 3' in text.splitlines()
