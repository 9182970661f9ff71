"""A catalogue follows the table, and the table is told how its models stand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.models_here import Twin, served_by, thread_of_a_worker

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.serving.models import NewModel
from clx.db.serving.table import ServingTable
from clx.serving.catalogue import Catalogue
from clx.serving.controller import Controller
from clx.serving.following import Following
from clx.serving.shelf import TableShelf
from clx.serving.worker import process
from clx.serving.worker.models import Model, ModelError


class Here:
    """A table, what follows it, and a worker."""

    def __init__(self, shelf: TableShelf) -> None:
        self.table = shelf.table
        self.controller = Controller()
        self.catalogue = Catalogue(self.controller)
        self._following = Following(shelf, self.catalogue)

    def add(self, *digests: str) -> None:
        for each in digests:
            self.table.add(NewModel("m", digest=each * 64, size=1))

    async def look(self) -> list[tuple[str, str]]:
        """What is served once everything was followed; the table is told the same."""
        await self._following.look()
        while self._following.is_busy:
            await asyncio.sleep(0)
        await self._following.look()
        found: list[tuple[str, str]] = [(each.version, each.state) for each in self.catalogue]
        assert found == [(each.version, each.state) for each in self.table.chosen()]
        return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Here]:
    def opened(path: str, *_how: object) -> Model:
        if path.endswith("0" * 62):
            raise ModelError("it is broken")
        return Twin()

    monkeypatch.setattr(process, "opened", opened)
    with Queue.open(tmp_path / "jobs.db") as queue:
        shelf = TableShelf(ServingTable(queue.database), ArtifactStore(tmp_path / "artifacts"))
        yield Here(shelf)
        shelf.close()


def run(here: Here, what: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        with thread_of_a_worker() as ours:
            await served_by(here.controller, here.catalogue, ours)
            await what()
            here.controller.links[0].close()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def test_it_loads_replaces_unloads_and_forgets(here: Here) -> None:
    async def look() -> None:
        here.add("a")
        assert await here.look() == [("1", "ready")]
        here.add("b")
        assert await here.look() == [("2", "ready")]
        here.table.choose("m", "1")
        assert await here.look() == [("1", "ready")]
        here.table.reside("m", "unloaded")
        assert await here.look() == [("1", "unloaded")]
        here.table.reside("m", "warm")
        assert await here.look() == [("1", "ready")]
        here.table.remove("m")
        assert await here.look() == []
        assert here.controller.models == {}

    run(here, look)


def test_a_broken_version_leaves_the_one_that_is_served(here: Here) -> None:
    async def look() -> None:
        here.add("a")
        assert await here.look() == [("1", "ready")]
        here.add("0")
        with pytest.raises(AssertionError):
            await here.look()
        assert [(each.version, each.state) for each in here.catalogue] == [("1", "ready")]
        (broken,) = here.table.chosen()
        assert (broken.version, broken.state, broken.reason) == (
            "2",
            "failed",
            "model m cannot be loaded: it is broken",
        )

    run(here, look)


def test_a_request_keeps_the_version_that_it_was_for(here: Here) -> None:
    async def look() -> None:
        here.add("a")
        await here.look()
        old = here.catalogue.get("m")
        here.add("b")
        await here.look()
        new = here.catalogue.get("m")
        assert old is not None
        assert new is not None
        assert old.key != new.key
        while old.key in here.controller.models:  # nobody waits for it: it is given up
            await asyncio.sleep(0.01)
        assert new.state == "ready"

    run(here, look)
