"""The served models of ``/api/v1``: how they stand, and how they are to stand; a server that runs heeds it at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clx.db.serving.figures import FiguresTable, Watched
from clx.db.serving.table import ServingTable
from clx.errors import UsageError
from clx.server.answers import Refusal
from clx.server.api.documents import Done, Name, Request, Text
from clx.server.api.operations import Call, Operation


class ModelsWanted(Request, frozen=True):
    """Models by name; ``after``: what the answer before this one gave."""

    after: Text = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Placement(Request, frozen=True):
    """How a model is to stand: not served, served, or served and never given up; and which ``version`` of it."""

    name: Name
    residence: Literal["unloaded", "loaded", "warm"]
    version: Name | None = None


class ServedModel(msgspec.Struct, frozen=True):
    """A model.

    ``residence`` is empty where the table does not keep it: it is a file of one run of a server. What follows ``state``
    is what the server said last, of its own start: durations in nanoseconds, ``bytes`` of a worker.
    """

    name: str
    version: str
    residence: str
    state: str
    success: int = 0
    refused: int = 0
    missed: int = 0
    failed: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    p999_ns: int = 0
    bytes: int = 0


class ServedModels(msgspec.Struct, frozen=True):
    """Models by name; ``after``: what to give to have those behind them; ``server``: where they are served."""

    models: list[ServedModel]
    after: str | None
    server: str | None


def document(watched: Watched) -> ServedModel:
    """A model, for programs."""
    row, said = watched.row, watched.figures
    residence = "" if row is None else row.residence
    if said is None:
        state, version = ("unloaded", "") if row is None else (row.state, row.version)
        return ServedModel(watched.name, version, residence, state)
    return ServedModel(
        watched.name, said.version, residence, said.state, said.success, said.refused, said.missed, said.failed,
        said.p50_ns, said.p99_ns, said.p999_ns, said.bytes,
    )  # fmt: skip


def _list(call: Call) -> ServedModels:
    table = FiguresTable(call.queue.database)
    found, after = table.page(call.query.after, call.query.limit)
    server = table.server()
    address = server.address if server is not None and server.is_alive else None
    return ServedModels([document(each) for each in found], after, address)


def _place(call: Call) -> Any:
    table, asked = ServingTable(call.queue.database), call.body
    try:
        if asked.version is not None:
            table.choose(asked.name, asked.version)
        table.reside(asked.name, asked.residence)
    except UsageError as error:
        raise Refusal(404, error.fact, error.next_step) from error
    return Done(True)


MODELS = (
    Operation(
        "models", "GET", "/models", "read", "Models that are served, or would be, by name.", _list, ServedModels,
        query=ModelsWanted,
    ),
    Operation(
        "place_model", "POST", "/models/place", "admin", "Say how a model is to stand; a server that runs heeds it.",
        _place, Done, body=Placement, writes=True, errors=(404,),
    ),
)  # fmt: skip
"""These operations, as the document lists them."""
