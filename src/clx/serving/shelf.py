"""Where models lie: the job table names them, the artifact store has their bytes; and what clients send becomes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.serving.models import COLD, ModelRow, NewModel, Residence
from clx.db.serving.table import ServingTable, Told
from clx.errors import ClxError
from clx.serving.failures import Refusal
from clx.serving.loading import configuration, upload
from clx.serving.onnx_parts import IN_OTHER_FILES, other_files
from clx.serving.served import Served

T = TypeVar("T")
_BELOW = "below"
"""The setting that has the models whose files workers have."""


class Shelf(Protocol):
    """Where models lie, for who loads them."""

    async def wanted(self, name: str, parameters: Mapping[str, Any]) -> Served:
        """The model that is to be loaded; with files among *parameters* they become a version of it.

        Raises:
            Refusal: there is none, or what was sent is none.
        """

    async def uploaded(self, name: str, version: str, data: bytes) -> Served:
        """A model whose bytes were sent as they are."""

    async def loaded(self, model: Served) -> None:
        """It is to be loaded again by itself: it was, without a fault."""

    async def unwanted(self, name: str) -> None:
        """It is not to be loaded again by itself."""


class TableShelf:
    """The models of a job table, and some that are served by this run only.

    Args:
        table: the models of the job table.
        store: their bytes.
        files: models of this run, by name.
    """

    def __init__(self, table: ServingTable, store: ArtifactStore, files: Mapping[str, Path] | None = None) -> None:
        self.table = table
        self._store = store
        self._files = dict(files or {})
        self._thread = ThreadPoolExecutor(1, "clx-models")
        self._told: dict[tuple[str, str], Told] = {}

    # -- what there is --------------------------------------------------------------------------------

    def models(self) -> list[Served]:
        """The version of each model that is served, or would be if it were to be loaded."""
        mine = [_of_file(name, path) for name, path in self._files.items()]
        mine += [each for name, each in self._below().items() if name not in self._files]
        names = {each.name for each in mine}
        return [*mine, *(self._served(row) for row in self.table.chosen() if row.name not in names)]

    def _below(self) -> dict[str, Served]:
        """The models whose files workers have below their own directories, by name."""
        try:
            said = msgspec.json.decode(self.table.setting(_BELOW) or "{}", type=dict[str, tuple[str, int, int]])
        except msgspec.MsgspecError:
            return {}
        return {
            name: Served(name, "1", "", below=path, largest=largest, timeout=timeout)
            for name, (path, largest, timeout) in said.items()
        }

    def _note_below(self, name: str, model: Served | None) -> None:
        """A model is one of those, or is not."""
        before = self._below()
        after = {each: its for each, its in before.items() if each != name}
        if model is not None:
            after[name] = model
        old, new = (
            {each: (its.below, its.largest, its.timeout) for each, its in some.items()} for some in (before, after)
        )
        if old != new:
            self.table.set(_BELOW, msgspec.json.encode(new).decode())

    def _served(self, row: ModelRow) -> Served:
        path = str(self._store.path(row.digest)) if row.digest else ""
        return Served(
            row.name,
            row.version,
            path,
            timeout=row.default_timeout,
            largest=row.largest,
            grown=row.grown,
            load_ns=row.load_ns,
            digest=row.digest,
            size=row.size,
            callable=row.callable,
            residence=row.residence,
        )

    # -- calls of the protocol ------------------------------------------------------------------------

    async def wanted(self, name: str, parameters: Mapping[str, Any]) -> Served:
        """The model that is to be loaded; with files among *parameters* they become a version of it.

        Raises:
            Refusal: there is none, or what was sent is none.
        """
        return await self._aside(lambda: self._wanted(name, parameters))

    def _wanted(self, name: str, parameters: Mapping[str, Any]) -> Served:
        config = configuration(name, parameters)
        sent = upload(parameters)
        if sent is not None:
            new = NewModel(name, version=sent[0], largest=config.largest or 0, default_timeout=config.timeout or 0)
            return self._uploaded(new, sent[1])
        if config.below:
            return Served(name, "1", "", below=config.below, largest=config.largest or 0, timeout=config.timeout or 0)
        rows = {each.name: each for each in self.table.chosen()}
        if name in self._files:
            served = _of_file(name, self._files[name])
        elif name in (below := self._below()):
            served = below[name]
        elif name in rows:
            served = self._served(rows[name])
        else:
            raise Refusal("malformed", f"there is no model {name}")
        served.residence = "warm" if served.residence == "warm" else "loaded"
        if config.largest is not None and config.largest != served.largest:
            served = replace(served, key="", largest=config.largest)
        served.timeout = served.timeout if config.timeout is None else config.timeout
        return served

    async def uploaded(self, name: str, version: str, data: bytes) -> Served:
        """A model whose bytes were sent as they are."""
        return await self._aside(lambda: self._uploaded(NewModel(name, version=version), data))

    def _uploaded(self, new: NewModel, data: bytes) -> Served:
        if new.name in self._files:
            raise Refusal("conflict", f"model {new.name} is a file that was named when the server began")
        elsewhere = other_files(data)
        if elsewhere:
            raise Refusal("malformed", f"model {new.name} has {IN_OTHER_FILES.format(', '.join(elsewhere)[:200])}")
        digest = self._store.put_bytes(data)
        self._store.share([digest])
        return self._served(
            ModelRow(
                new.name,
                new.version or "1",
                digest,
                len(data),
                "",
                new.largest,
                new.default_timeout,
                1,
                "loaded",
                "",
                "",
                0,
                0,
                0,
            )
        )

    async def loaded(self, model: Served) -> None:
        """It is to be loaded again by itself: it was, without a fault."""
        if model.name in self._files or not (model.digest or model.callable or model.below):
            return
        await self._aside(lambda: self._keep(model))

    def _keep(self, model: Served) -> None:
        self._note_below(model.name, model if model.below else None)
        if model.below:
            return
        residence: Residence = "warm" if model.residence == "warm" else "loaded"
        new = NewModel(
            model.name,
            "" if model.callable else model.digest,
            model.size,
            model.callable,
            model.version,
            model.largest,
            model.timeout,
            residence,
        )
        there = [each for each in self.table.versions(model.name) if each.version == model.version]
        same = there and there[0].chosen and (there[0].digest, there[0].callable) == (new.digest, new.callable)
        if not same or (there[0].largest, there[0].default_timeout) != (new.largest, new.default_timeout):
            self.table.add(new, replace=True)
        elif there[0].residence != residence:
            self.table.reside(model.name, residence)

    async def unwanted(self, name: str) -> None:
        """It is not to be loaded again by itself."""
        if name not in self._files:
            await self._aside(lambda: self._unwanted(name))

    def _unwanted(self, name: str) -> None:
        self._note_below(name, None)
        if self.table.versions(name):
            self.table.reside(name, "unloaded")

    # -- what is told ---------------------------------------------------------------------------------

    async def tell(self, models: Sequence[Served]) -> None:
        """Write down how models stand, where that has changed."""
        said = [Told(each.name, each.version, *_stands(each), each.grown, each.load_ns) for each in models]
        news = [each for each in said if self._told.get(each[:2]) != each and each.name not in self._files]
        if news:
            await self._aside(lambda: self.table.tell(news))
            self._told.update({each[:2]: each for each in news})

    async def ask(self, look: Callable[[], T]) -> T:
        """What a look at the table finds, by the thread that has it.

        Raises:
            Refusal: it cannot be had.
        """
        return await self._aside(look)

    async def _aside(self, doing: Callable[[], T]) -> T:
        """What takes a disk is done by a thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, doing)
        except ClxError as error:
            raise Refusal("failed", str(error)) from None

    def close(self) -> None:
        """What was asked is done first."""
        self._thread.shutdown()


def _stands(model: Served) -> tuple[str, str]:
    """State and reason as the table has them."""
    return ("unloaded", COLD) if model.state == "cold" else (model.state, model.reason[:500])


def _of_file(name: str, path: Path) -> Served:
    """A model of a file of this machine; when that is written anew, it is another."""
    try:
        found = path.stat()
        written, size = found.st_mtime_ns, found.st_size
    except OSError:  # who loads it says so
        written = size = 0
    return Served(name, "1", str(path), size=size, key=f"{name}/1/{path}/{written}")
