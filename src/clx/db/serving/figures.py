"""What servers say of the models that they serve, and watchers look at: a row for each model.

It changes at most once a second, and only where there is something to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clx.db.database import Database
from clx.db.identity import is_gone, is_ours_to_judge
from clx.db.models import decode_or_show, encode
from clx.db.odd_rows import Reader
from clx.db.serving.models import ActionRow, ModelRow, RequestRow
from clx.db.transaction import Transaction

SILENCE = 20_000
"""Milliseconds after which a server of another machine that says nothing is taken for gone."""
BIN = 5_000
"""Milliseconds that one number of :attr:`Figures.bins` counts."""
NEWEST = 5_000
"""Rows of the logs, from the newest on, among which those of a model are looked for."""


class Figures(NamedTuple):
    """What a server has said of a model.

    Attributes:
        model, version: which.
        server: which start of a server.
        told_at: milliseconds UTC.
        state: how the model stands there; ``cold`` besides those of the table.
        success, refused, missed, failed, withdrawn: what became of requests since the server began.
        bytes: that a worker has grown by for it.
        p50_ns, p99_ns, p999_ns: from first byte to answer, of the last results; 0: there was none.
        detail: ``causes`` of answers without a result → how many; ``held``: of each worker that holds it
            ``[number, address, bytes]``; ``bins``: ``[n, results, others]`` for the *n* th :data:`BIN`;
            ``batches``: ``[rows, runs]``.
    """

    model: str
    version: str
    server: int
    told_at: int
    state: str
    success: int
    refused: int
    missed: int
    failed: int
    withdrawn: int
    bytes: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    detail: Mapping[str, Any]


class Watched(NamedTuple):
    """A model as watchers see it: its row, where the table keeps it, and what was said of its served version."""

    name: str
    row: ModelRow | None
    figures: Figures | None


class ServerRow(NamedTuple):
    """The last server that has begun.

    Attributes:
        number: of its start.
        address: where it answers.
        is_alive: whether it is there: known on its own machine, elsewhere by what it said last.
        workers: what it said of its workers: ``worker``, ``address``, ``pid``, ``bytes`` each.
    """

    number: int
    address: str
    host: str
    pid: int
    is_alive: bool
    workers: Sequence[Mapping[str, Any]]


_COLUMNS = ", ".join(Figures._fields)
_READER = Reader.of("serving_figures", Figures._fields)
_MODEL = Reader.of("serving_models", ModelRow._fields)
_MODEL_COLUMNS = ", ".join(ModelRow._fields)
_TELL = (
    f"INSERT INTO serving_figures ({_COLUMNS}) VALUES ({', '.join(f':{each}' for each in Figures._fields)}) "
    "ON CONFLICT (model, version) DO UPDATE SET "
    + ", ".join(f"{each} = excluded.{each}" for each in Figures._fields[2:])
)
_FORGET = "DELETE FROM serving_figures WHERE model = ? AND version = ?"
_NAMES = (
    "SELECT name FROM serving_models WHERE name > :after "
    "UNION SELECT model FROM serving_figures WHERE model > :after ORDER BY 1 LIMIT :limit"
)
_SETTINGS = "SELECT name, value, changes FROM serving_settings WHERE name IN ('server', 'workers')"


class FiguresTable:
    """What is said of models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(self, told: Sequence[Figures], gone: Sequence[tuple[str, str]] = ()) -> None:
        """Note what is to be said of models; of those that are *gone*, model and version, nothing any more."""

        def body(tx: Transaction) -> None:
            for figures in told:
                tx.execute(_TELL, {**figures._asdict(), "detail": encode(dict(figures.detail))})
            for each in gone:
                tx.execute(_FORGET, each)

        self._database.write("tell_figures", body)

    def page(self, after: str = "", limit: int = 50) -> tuple[list[Watched], str | None]:
        """Models by name, and what to give as *after* for those behind them; None: there are none."""
        names = [row[0] for row in self._database.read(_NAMES, {"after": after, "limit": limit + 1})]
        names = [each for each in names if isinstance(each, str)]
        shown = names[:limit]
        return self._watched(shown), shown[-1] if len(names) > limit else None

    def one(self, name: str) -> Watched | None:
        """A model; None where nobody knows it."""
        found = self._watched([name])[0]
        return found if found.row is not None or found.figures is not None else None

    def _watched(self, names: Sequence[str]) -> list[Watched]:
        if not names:
            return []
        among = f"IN ({self._database.sql.texts('names')})"
        given = {"names": encode(list(names))}
        rows = self._database.read(
            f"SELECT {_MODEL_COLUMNS} FROM serving_models WHERE chosen = 1 AND name {among}", given
        )
        kept = {each.name: each for each in (ModelRow._make(_MODEL.read(row)[0]) for row in rows)}
        said: dict[str, Figures] = {}
        for row in self._database.read(f"SELECT {_COLUMNS} FROM serving_figures WHERE model {among}", given):
            figures = _figures(row)
            before = said.get(figures.model)
            if before is None or before.told_at < figures.told_at:
                said[figures.model] = figures
        return [Watched(each, kept.get(each), said.get(each)) for each in names]

    def server(self) -> ServerRow | None:
        """The last server that has begun; None where none has, or what it said cannot be read."""
        rows = {row[0]: row for row in self._database.read(_SETTINGS)}
        try:
            said = json.loads(rows["server"][1])
            identity = str(said["identity"])
            known = (int(rows["server"][2]), str(said["address"]), str(said["host"]), int(said["pid"]))
        except (KeyError, ValueError, TypeError):
            return None
        told_at, workers = _workers(rows)
        is_alive = not is_gone(identity) if is_ours_to_judge(identity) else self._now() - told_at < SILENCE
        return ServerRow(*known, is_alive, workers if is_alive else [])

    def _now(self) -> int:
        return self._database.clock.now()

    def requests(self, model: str, limit: int = 20) -> list[RequestRow]:
        """The last requests of a model, newest first, of the newest :data:`NEWEST` of all."""
        return [RequestRow._make(row) for row in self._logged("serving_requests", RequestRow._fields, model, limit)]

    def actions(self, model: str, limit: int = 20) -> list[ActionRow]:
        """The last actions of workers for a model, newest first, of the newest :data:`NEWEST` of all."""
        return [ActionRow._make(row) for row in self._logged("serving_actions", ActionRow._fields, model, limit)]

    def _logged(self, table: str, names: Sequence[str], model: str, limit: int) -> list[list[Any]]:
        newest = f"SELECT * FROM {table} ORDER BY server DESC, number DESC LIMIT {NEWEST}"
        query = f"SELECT {', '.join(names)} FROM ({newest}) n WHERE model = :model ORDER BY server DESC, number DESC"
        reader = Reader.of(table, names)
        rows = self._database.read(f"{query} LIMIT :limit", {"model": model, "limit": limit})
        return [reader.read(row)[0] for row in rows]


def _workers(rows: Mapping[str, Sequence[Any]]) -> tuple[int, list[dict[str, Any]]]:
    """When a server spoke of its workers, and what it said."""
    try:
        said = json.loads(rows["workers"][1])
        told_at, workers = int(said["at"]), list(said["workers"])
        return told_at, [
            {
                "worker": int(each["worker"]),
                "address": str(each["address"]),
                "pid": int(each["pid"]),
                "bytes": int(each["bytes"]),
            }
            for each in workers
        ]
    except (KeyError, ValueError, TypeError):
        return 0, []


def _figures(row: Sequence[Any]) -> Figures:
    values, _ = _READER.read(row)
    detail = decode_or_show(values[-1])
    return Figures._make([*values[:-1], detail if isinstance(detail, dict) else {}])
