"""The versions that a lake has, as those see them who publish and ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from clx.db.database import Database
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction


class VersionRow(NamedTuple):
    """A version of one day of a dataset.

    Attributes:
        lake: the mark of the lake's folder.
        dataset: ``gold/aggregated``.
        day: ``2026-11-27``.
        version: 1 is the first.
        files: JSON, a list of objects with ``name``, ``digest`` (sha256), ``size`` (bytes) and ``rows``.
        columns: JSON, a list of objects with ``name`` and ``type``, as Arrow writes it.
        rows: of all files.
        missing: JSON, a list of what should have gone in and was not there.
        checks: JSON, a list of objects with ``check`` and ``found``.
        flow, step: what made it; empty: a program outside of a flow.
        code: digest of the step's code.
        inputs: JSON, the arguments of the step, with artifacts by their digests.
        made_of: JSON, by the digest of an artifact among the inputs, or of one that went into that: ``step``, ``code``,
            ``inputs`` and ``job`` of what made it.
        host: the machine that published it.
        made_at: milliseconds UTC.
    """

    lake: str
    dataset: str
    day: str
    version: int
    files: str
    columns: str
    rows: int
    missing: str = "[]"
    checks: str = "[]"
    flow: str = ""
    step: str = ""
    code: str = ""
    inputs: str = "{}"
    made_of: str = "{}"
    host: str = ""
    made_at: int = 0


_FIELDS = VersionRow._fields
_READER = Reader.of("lake_versions", _FIELDS)
_SELECT = f"SELECT {', '.join(_FIELDS)} FROM lake_versions"
_NEWEST = f"{_SELECT} WHERE lake = :lake AND dataset = :dataset AND day = :day ORDER BY version DESC LIMIT 1"
_ONE = f"{_SELECT} WHERE lake = :lake AND dataset = :dataset AND day = :day AND version = :version"
_ALL = f"{_SELECT} WHERE lake = :lake AND dataset = :dataset AND day >= :first AND day <= :last ORDER BY day, version"
_LAST = "SELECT MAX(version) FROM lake_versions w WHERE w.lake = v.lake AND w.dataset = v.dataset AND w.day = v.day"
_EVERY = f"{_SELECT} v WHERE lake = :lake AND version = ({_LAST}) ORDER BY dataset, day"
_ENTER = f"INSERT INTO lake_versions ({', '.join(_FIELDS)}) VALUES ({', '.join(f':{each}' for each in _FIELDS)})"


_FLOW = (
    f"{_SELECT} v WHERE flow = :flow AND day >= :first AND day <= :last AND version = ({_LAST}) "
    "ORDER BY day, dataset, lake"
)


def _row(found: Sequence[Any]) -> VersionRow:
    return VersionRow._make(_READER.read(found)[0])


class LakeTable:
    """The versions of every lake of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def publish(self, row: VersionRow) -> VersionRow:
        """Publish a version: what was there before stays, and *row* is the newest from now on.

        Whoever publishes what is the newest version already, the same files without the same ones missing, gets that.

        Args:
            row: its *version* and *made_at* are given here.
        """

        def body(tx: Transaction) -> VersionRow:
            where = {"lake": row.lake, "dataset": row.dataset, "day": row.day}
            last = tx.execute(_NEWEST, where).fetchone()
            if last is not None:
                newest = _row(last)
                if (newest.files, newest.missing) == (row.files, row.missing):
                    return newest
            version = 1 if last is None else _row(last).version + 1
            made = row._replace(version=version, made_at=tx.now)
            tx.execute(_ENTER, made._asdict())
            return made

        return self.database.write("publish_version", body)

    def get(self, lake: str, dataset: str, day: str, version: int | None = None) -> VersionRow | None:
        """A version of a day, the newest where none is named; None: there is none."""
        where: dict[str, Any] = {"lake": lake, "dataset": dataset, "day": day}
        if version is None:
            rows = self.database.read(_NEWEST, where)
        else:
            rows = self.database.read(_ONE, {**where, "version": version})
        return _row(rows[0]) if rows else None

    def list(self, lake: str, dataset: str, first: str = "", last: str = "9999-99-99") -> list[VersionRow]:
        """All versions of a dataset for the days from *first* to *last*, both included, oldest first."""
        where = {"lake": lake, "dataset": dataset, "first": first, "last": last}
        return [_row(each) for each in self.database.read(_ALL, where)]

    def of_flow(self, flow: str, first: str, last: str) -> Sequence[VersionRow]:
        """The newest version of every dataset that a flow made for the days from *first* to *last*, both included."""
        rows = self.database.read(_FLOW, {"flow": flow, "first": first, "last": last})
        return [_row(each) for each in rows]

    def newest(self, lake: str) -> Sequence[VersionRow]:
        """The newest version of every day of a lake, by dataset and day."""
        return [_row(each) for each in self.database.read(_EVERY, {"lake": lake})]
