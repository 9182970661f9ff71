"""The models of a database, as commands and servers see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from clx.db.database import Database, Row
from clx.db.serving.models import (
    ActionRow,
    ModelRow,
    NewModel,
    RequestRow,
    Residence,
    check_new,
    model_from_row,
)
from clx.db.transaction import Transaction
from clx.errors import UsageError

BELL = "serving"
"""Is rung when what is to be served has changed."""
_COLUMNS = ", ".join(ModelRow._fields)
_SELECT = f"SELECT {_COLUMNS} FROM serving_models"
_ALL = f"{_SELECT} ORDER BY name, version"
_OF = f"{_SELECT} WHERE name = ? ORDER BY version"
_ENTER = (
    "INSERT INTO serving_models (name, version, digest, size, callable, largest, default_timeout, residence, "
    "created_at) VALUES (:name, :version, :digest, :size, :callable, :largest, :default_timeout, :residence, :now) "
    "ON CONFLICT (name, version) DO UPDATE SET digest = excluded.digest, size = excluded.size, "
    "callable = excluded.callable, largest = excluded.largest, default_timeout = excluded.default_timeout, "
    "residence = excluded.residence, created_at = excluded.created_at, state = 'unloaded', reason = '', grown = 0, "
    "load_ns = 0"
)
_UNCHOOSE = "UPDATE serving_models SET chosen = 0 WHERE name = :name AND chosen <> 0 AND version <> :version"
_CHOOSE = "UPDATE serving_models SET chosen = 1 WHERE name = :name AND version = :version"
_RESIDE = "UPDATE serving_models SET residence = :residence WHERE name = :name"
_REMOVE = "DELETE FROM serving_models WHERE name = :name AND version = :version"
_STATE = (
    "UPDATE serving_models SET state = :state, reason = :reason, "
    "grown = CASE WHEN :grown > 0 THEN :grown ELSE grown END, "
    "load_ns = CASE WHEN :load_ns > 0 THEN :load_ns ELSE load_ns END WHERE name = :name AND version = :version"
)
_SET = (
    "INSERT INTO serving_settings (name, value, changes) VALUES (:name, :value, 1) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value, changes = serving_settings.changes + 1"
)
_SETTINGS = "SELECT name, value, changes FROM serving_settings"
_REQUEST = f"INSERT INTO serving_requests (server, {', '.join(RequestRow._fields)}) VALUES (?, {', '.join('?' * 12)})"
_LOGS = {
    "requests": ("serving_requests", RequestRow._fields),
    "actions": ("serving_actions", ActionRow._fields),
}
_ACTION = f"INSERT INTO serving_actions (server, {', '.join(ActionRow._fields)}) VALUES (?, {', '.join('?' * 13)})"


class Told(NamedTuple):
    """What a server has said of a model it serves; as :class:`ModelRow`."""

    name: str
    version: str
    state: str
    reason: str
    grown: int
    load_ns: int = 0


class ServingTable:
    """The models of one database, and what is kept of their requests."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- looking --------------------------------------------------------------------------------------

    def versions(self, name: str | None = None) -> list[ModelRow]:
        """Every version of every model, or of one, by name and version."""
        rows = self.database.read(_ALL) if name is None else self.database.read(_OF, (name,))
        return sorted(map(model_from_row, rows), key=lambda each: (each.name, order_of(each.version)))

    def chosen(self) -> list[ModelRow]:
        """The version of each model that is served, or would be."""
        return [each for each in self.versions() if each.chosen]

    def changes(self) -> int:
        """How often what is to be served has changed."""
        return sum(int(row[2]) for row in self.database.read(_SETTINGS) if row[0] == "models" and type(row[2]) is int)

    def setting(self, name: str) -> str | None:
        """What was set under a name, the ``phase`` say; None where nothing was."""
        return next((str(row[1]) for row in self.database.read(_SETTINGS) if row[0] == name), None)

    # -- changing -------------------------------------------------------------------------------------

    def add(self, model: NewModel, *, replace: bool = False) -> str:
        """Keep a version of a model and have it served in place of the one before; returns the version.

        Args:
            replace: whether it may take the place of another of the same version.

        Raises:
            UsageError: it cannot be called so, or there is another of this version.
        """
        check_new(model)

        def body(tx: Transaction) -> str:
            known = {each.version: each for each in map(model_from_row, tx.execute(_OF, (model.name,)).fetchall())}
            version = model.version or str(1 + max((order_of(each)[0] for each in known), default=0))
            there = known.get(version)
            same = there is not None and (there.digest, there.callable) == (model.digest, model.callable)
            if there is not None and not same and not replace:
                raise UsageError(
                    f"There is another model {model.name} of version {version}.",
                    f"Give another version, or none: then it is the next one; or type: clx models remove {model.name} "
                    f"--version {version}",
                )
            tx.execute(_ENTER, {**model._asdict(), "version": version, "now": tx.now})
            _choose(tx, model.name, version)
            return version

        return self.database.write("add_model", body)

    def choose(self, name: str, version: str) -> None:
        """Have a version served, in place of the one that is.

        Raises:
            UsageError: there is none.
        """

        def body(tx: Transaction) -> None:
            self._require(tx, name, version)
            _choose(tx, name, version)

        self.database.write("choose_model", body)

    def reside(self, name: str, residence: Residence) -> None:
        """Say how a model is to stand.

        Raises:
            UsageError: there is none.
        """

        def body(tx: Transaction) -> None:
            self._require(tx, name)
            tx.execute(_RESIDE, {"name": name, "residence": residence})
            _count(tx)

        self.database.write("place_model", body)

    def remove(self, name: str, version: str | None = None) -> list[str]:
        """Forget versions of a model, all by default; returns them. The last one of those left is served then.

        Raises:
            UsageError: there is none.
        """

        def body(tx: Transaction) -> list[str]:
            known = self._require(tx, name, version)
            gone = [each.version for each in known if version in (None, each.version)]
            for each in gone:
                tx.execute(_REMOVE, {"name": name, "version": each})
            left = [each for each in known if each.version not in gone]
            if left and not any(each.chosen for each in left):
                _choose(tx, name, max((each.version for each in left), key=order_of))
            _count(tx)
            return gone

        return self.database.write("remove_model", body)

    def _require(self, tx: Transaction, name: str, version: str | None = None) -> list[ModelRow]:
        known = [model_from_row(row) for row in tx.execute(_OF, (name,)).fetchall()]
        if not known:
            raise UsageError(f"There is no model {name[:200]}.", "`clx models list` names those there are.")
        if version is not None and version not in [each.version for each in known]:
            there = ", ".join(each.version for each in known)
            raise UsageError(f"Model {name} has no version {version[:40]}.", f"There are: {there}.")
        return known

    # -- what servers say -----------------------------------------------------------------------------

    def begin(self, said: str) -> int:
        """Note that a server has begun; returns its number, which no other has.

        Args:
            said: where it answers, for whoever wants to know.
        """

        def body(tx: Transaction) -> int:
            tx.execute(_SET, {"name": "server", "value": said})
            tx.execute("DELETE FROM serving_figures")  # of the server before
            return next(int(row[2]) for row in tx.execute(_SETTINGS).fetchall() if row[0] == "server")

        return self.database.write("begin_serving", body)

    def set(self, name: str, value: str) -> None:
        """Set something that outlives the server."""
        self.database.write("set_serving", lambda tx: tx.execute(_SET, {"name": name, "value": value}))

    def tell(self, told: Sequence[Told]) -> None:
        """Note how models stand."""

        def body(tx: Transaction) -> None:
            for each in told:
                tx.execute(_STATE, each._asdict())

        self.database.write("tell_models", body)

    def log(self, server: int, requests: Sequence[RequestRow], actions: Sequence[ActionRow]) -> None:
        """Keep what became of requests, and what workers did."""
        self.database.write("log_serving", partial(_log, server, requests, actions))

    def logged(self, kind: Literal["requests", "actions"], after: tuple[int, int] = (-1, -1)) -> list[Row]:
        """A thousand rows of what was kept, oldest first: the server's number before what the record has.

        Args:
            kind: of what.
            after: server and number of the last one before them.
        """
        table, names = _LOGS[kind]
        server, number = after
        return self.database.read(
            f"SELECT server, {', '.join(names)} FROM {table} WHERE server > :server OR (server = :server AND "
            "number > :number) ORDER BY server, number LIMIT 1000",
            {"server": server, "number": number},
        )


def order_of(version: str) -> tuple[int, str]:
    """By what versions are sorted; what is no number comes first."""
    return (int(version) if version.isascii() and version.isdigit() else -1, version)


def _choose(tx: Transaction, name: str, version: str) -> None:
    tx.execute(_UNCHOOSE, {"name": name, "version": version})
    tx.execute(_CHOOSE, {"name": name, "version": version})
    _count(tx)


def _count(tx: Transaction) -> None:
    tx.execute(_SET, {"name": "models", "value": ""})
    tx.bells.add(BELL)


def _log(server: int, requests: Sequence[RequestRow], actions: Sequence[ActionRow], tx: Transaction) -> None:
    if requests:
        tx.enter_many(_REQUEST, [(server, *each) for each in requests])
    if actions:
        tx.enter_many(_ACTION, [(server, *each) for each in actions])
