"""A lake: datasets by day, as Parquet in folders that every program reads, and a row for each version of a day.

::

    lake = Lake("lake")
    lake.publish("gold/aggregated", day, {"job_7": table}, checks=[Check.rows(1)])
    lake.read("gold/aggregated", day)

The row is what publishes: files go into the artifact store before it, and into the folder after it. A folder that was
not laid out, because somebody was killed, is laid out by whoever publishes or settles next.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from clx.daily.checks import Check, documents, failed
from clx.daily.context import STEP
from clx.daily.lineage import jobs_of, made_of
from clx.daily.marks import known_mark, mark_at
from clx.errors import ArtifactError, ArtifactMissingError, ClxError, Discard, OutputError, UsageError
from clx.platforms import system
from clx.platforms.folders import exchange
from clx.regular import open_regular
from clx.routines.codecs import register_hint
from clx.routines.context import FILES

if TYPE_CHECKING:
    import pyarrow as pa

    from clx.artifacts.store import ArtifactStore
    from clx.db.database import Database
    from clx.db.lake.table import LakeTable, VersionRow
    from clx.settings.resolve import Resolved

ZONES = {"bronze": "raw/bronze", "silver": "clean/silver", "gold": "clean/gold"}
"""Where each zone lies below a lake's folder."""
LEVELS = {"bronze": 3, "silver": 3, "gold": 5}
"""How hard zstd tries in each zone."""
SCHEMA = "_schema.json"
"""What describes a day's files, beside them."""
_DATASET = re.compile(r"(bronze|silver|gold)/[a-z0-9][a-z0-9_.-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Version:
    """A version of one day of a dataset, as steps hand it on.

    Attributes:
        dataset: ``gold/aggregated``.
        day: ``2026-11-27``.
        version: 1 is the first.
        files: name → sha256.
        rows: of all files.
        missing: what should have gone in and was not there.
    """

    dataset: str
    day: str
    version: int
    files: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    missing: list[str] = field(default_factory=list)


register_hint(Version)  # whatever carries one, annotated or not


class Lake:
    """The lake in a folder, which is made where there is none.

    Args:
        folder: where it lies.
        database: the table that has its versions, as ``Queue.open`` takes it; None: that of the project.

    Raises:
        UsageError: the folder is something else.
        DatabaseError: the table cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], *, database: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(folder).absolute()
        self._named = database

    def close(self) -> None:
        """Close the table; it is opened again when it is asked."""
        if (place := self.__dict__.pop("_place", None)) is not None:
            place[0].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- writing --------------------------------------------------------------------------------------

    def publish(
        self,
        dataset: str,
        day: date | str,
        tables: Mapping[str, Any],
        *,
        checks: Sequence[Check] = (),
        missing: Sequence[Any] = (),
    ) -> Version:
        """Publish a version of a day: whole or not at all, and from then on what is read.

        What is the newest version already is not published again.

        Args:
            dataset: ``ZONE/NAME``, the zone bronze, silver or gold.
            tables: by name of the file, without ``.parquet``: pyarrow, pandas or polars tables, or paths of Parquet.
            checks: what must hold; where one does not, nothing is published.
            missing: what should have gone in and was not there; it is kept with the version.

        Raises:
            Discard: a check does not hold; another run would find the same.
            UsageError: a name is none, or a table is none.
            DatabaseError, ArtifactError, OutputError: it cannot be kept, or not be laid out.
        """
        found = {_file(name): _table(name, each) for name, each in tables.items()}
        if not found:
            raise UsageError(f"No table was given for {dataset}.", "Give at least one: {name: table}.")
        zone = _dataset(dataset).partition("/")[0]
        held = [each.of(found) for each in checks]
        if why := failed(held):
            raise Discard(f"{dataset} of {_day(day)} is not published: {why}.")
        files = [self._kept(name, table, LEVELS[zone]) for name, table in sorted(found.items())]
        row = self._row(dataset, _day(day), files, found)
        row = row._replace(missing=json.dumps([str(each) for each in missing]), checks=json.dumps(documents(held)))
        made = self.table.publish(row)
        self.settle(dataset, day)
        return version_of(made)

    def _kept(self, name: str, table: pa.Table, level: int) -> dict[str, Any]:
        """Put a table into the store as Parquet."""
        import pyarrow.parquet as pq

        try:
            digest, size = self.store.put_written(
                lambda stream: pq.write_table(table, stream, compression="zstd", compression_level=level)
            )
        except OSError as error:
            raise OutputError(
                f"{self.store.root} cannot be written: {error.strerror or error}.", "Mend that, and run the day again."
            ) from error
        return {"name": f"{name}.parquet", "digest": digest, "size": size, "rows": table.num_rows}

    def _row(self, dataset: str, day: str, files: list[dict[str, Any]], tables: Mapping[str, pa.Table]) -> VersionRow:
        from clx.db.lake.table import VersionRow
        from clx.routines.codecs import canonical_arguments

        self.store.share([each["digest"] for each in files])
        schema = next(iter(tables.values())).schema
        columns = [{"name": each.name, "type": str(each.type)} for each in schema]
        made = VersionRow(
            self.mark, dataset, day, 0, json.dumps(files), json.dumps(columns), sum(each["rows"] for each in files),
            host=platform.node(),
        )  # fmt: skip
        if (step := STEP.get()) is None:
            return made
        inputs = canonical_arguments(step.inputs, {}, self.store)
        with jobs_of(step.flow, self._place[0]) as jobs:
            of = made_of(jobs, step.flow, inputs)
        return made._replace(flow=step.flow, step=step.step, code=step.code, inputs=inputs, made_of=json.dumps(of))

    def settle(self, dataset: str, day: date | str, *, anew: bool = False) -> Path:
        """Lay out a day's folder as its newest version says, unless it is; returns the folder.

        Args:
            anew: also where it says that it is, for its files may have been changed since.

        Raises:
            UsageError: nothing of that day was published.
            ArtifactError, OutputError: its bytes are gone, or the folder cannot be written.
        """
        folder = self.path(dataset, day)
        with self._alone():
            row = self._newest(dataset, day)  # only now: who was before us may have published more
            if anew or laid_out(folder) != (row.version, row.files):
                self._lay_out(row, folder)
        return folder

    def _lay_out(self, row: VersionRow, folder: Path) -> None:
        new = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
        try:
            new.mkdir(parents=True)
            for each in json.loads(row.files):
                self._brought(row, each)
                self.store.copy_to(each["digest"], new / each["name"])
                with (new / each["name"]).open("rb+") as stream:
                    os.fsync(stream.fileno())
            (new / SCHEMA).write_text(json.dumps(_described(row), indent=1) + "\n", encoding="utf-8")
            _take_place(new, folder)
        except OSError as error:
            raise _unwritten(folder, error) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time lays out folders of a lake."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a+b")
        except OSError as error:
            raise _unwritten(self.folder, error) from error
        with lock:
            system.lock(lock.fileno())
            yield

    # -- reading --------------------------------------------------------------------------------------

    def read(self, dataset: str, day: date | str, name: str | None = None, *, version: int | None = None) -> pa.Table:
        """The rows of a day, of one file or of all: of one version, whatever is published meanwhile.

        Raises:
            UsageError: it was not published, or has no such file.
            ArtifactError: its bytes are gone.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        row = self._newest(dataset, day, version)
        files = [each for each in json.loads(row.files) if name in {None, each["name"], each["name"][:-8]}]
        if not files:
            has = ", ".join(each["name"] for each in json.loads(row.files))
            raise UsageError(f"{dataset} of {_day(day)} has no file {name!r}.", f"It has: {has}.")
        return pa.concat_tables([pq.read_table(self._brought(row, each)) for each in files])

    def files(self, dataset: str, day: date | str, *, version: int | None = None) -> list[Path]:
        """The Parquet files of a day, of one version, which nobody ever changes: to be scanned, and not be held whole.

        They are those of the store, with names of their own: ``polars.scan_parquet(lake.files(…))``,
        ``pyarrow.dataset.dataset(…)``, DuckDB's ``read_parquet``.

        Raises:
            UsageError: it was not published.
            ArtifactError: its bytes are gone.
        """
        row = self._newest(dataset, day, version)
        return [self._brought(row, each) for each in json.loads(row.files)]

    def _brought(self, row: VersionRow, file: dict[str, Any]) -> Path:
        """Where a file of a version is in the store; one that was removed there is taken from the day's folder.

        Raises:
            ArtifactMissingError: it is in neither.
        """
        digest, lying = file["digest"], self.path(row.dataset, row.day) / file["name"]
        with suppress(ArtifactMissingError):
            if (path := self.store.bring(digest)).exists():
                return path
        with suppress(OSError, ClxError), open_regular(lying) as stream:
            if file_digest(stream, "sha256").hexdigest() == digest:
                self.store.forget()
                self.store.put_file(lying)
                self.store.share([digest])
                return self.store.bring(digest)
        what = f"{file['name']} of {row.dataset} {row.day}, version {row.version}"
        by = f"clx routines forget {row.flow}.{row.step} --yes; clx daily run --date {row.day}"
        raise ArtifactMissingError(
            f"Artifact {digest[:12]} is not in the store: {what}.",
            f"Have it made anew: {by}" if row.flow else "Publish it anew.",
        )

    def version(self, dataset: str, day: date | str, version: int | None = None) -> Version | None:
        """A version of a day, the newest where none is named; None: there is none."""
        row = self.table.get(self.mark, _dataset(dataset), _day(day), version)
        return None if row is None else version_of(row)

    def path(self, dataset: str, day: date | str) -> Path:
        """Where the files of a day lie: ``clean/gold/aggregated/2026/11/27``."""
        zone, _, name = _dataset(dataset).partition("/")
        return self.folder.joinpath(*ZONES[zone].split("/"), name, *_day(day).split("-"))

    def _newest(self, dataset: str, day: date | str, version: int | None = None) -> VersionRow:
        row = self.table.get(self.mark, _dataset(dataset), _day(day), version)
        if row is None:
            which = "" if version is None else f" version {version} of"
            raise UsageError(f"There is no{which} {dataset} of {_day(day)}.", "See what there is: clx daily status")
        return row

    # -- where its facts and bytes are ------------------------------------------------------------------

    @cached_property
    def mark(self) -> str:
        """What tells this lake from others, by whatever path it is seen."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is no folder.", "Name one for the lake.")
        try:
            return mark_at(self.folder, self._place[0].state.shared)
        except OSError as error:
            raise _unwritten(self.folder, error) from error

    @property
    def known_mark(self) -> str | None:
        """The same of a lake that is there, or that was there; None: nothing was published there from here."""
        from clx.db.url import is_served

        named = self._named_by[0]
        there = is_served(named) or Path(named).exists()  # a table that is not there is not made for this
        return known_mark(self.folder, self._place[0].state.shared if there else None)

    @cached_property
    def _named_by(self) -> tuple[str, Resolved]:
        """Which table has its versions, and the settings that hold for it."""
        from clx.db.of_project import database_path
        from clx.settings.resolve import resolve

        root = self.folder if self.folder.is_dir() else self.folder.parent
        resolved = resolve(root)
        return os.fspath(self._named or database_path(resolved, None, root)), resolved

    @cached_property
    def _place(self) -> tuple[Database, ArtifactStore]:
        from clx.db.url import open_database
        from clx.remote.stores import open_store

        named, resolved = self._named_by
        database = open_database(named)
        return database, open_store(database.state.shared / "artifacts", resolved.settings.artifacts)

    @property
    def table(self) -> LakeTable:
        """The versions that are there, as rows."""
        from clx.db.lake.table import LakeTable

        return LakeTable(self._place[0])

    @property
    def store(self) -> ArtifactStore:
        """Where their bytes are; in a step by the store of its worker, which has the token of the server's."""
        from clx.artifacts.store import ArtifactStore

        own, given = self._place[1], FILES.get()
        return given if isinstance(given, ArtifactStore) and given.root == own.root else own


def _unwritten(place: Path, error: OSError) -> OutputError:
    said = f"{place} cannot be written: {error.strerror or error}."
    return OutputError(said, "Mend that; then type: clx daily check --repair")


def version_of(row: VersionRow) -> Version:
    """A row as steps hand it on."""
    files = {each["name"]: each["digest"] for each in json.loads(row.files)}
    return Version(row.dataset, row.day, row.version, files, row.rows, json.loads(row.missing))


def _described(row: VersionRow) -> dict[str, Any]:
    """What stands beside the files of a day."""
    names = ("dataset", "day", "version", "rows", "flow", "step", "code")
    return {
        **{name: getattr(row, name) for name in names},
        **{name: json.loads(getattr(row, name)) for name in ("columns", "files", "missing", "checks")},
    }


def laid_out(folder: Path) -> tuple[int, str] | None:
    """Which version lies in a folder: number and files; None: none that is known."""
    try:
        found = json.loads((folder / SCHEMA).read_text(encoding="utf-8"))
        version, files = found["version"], json.dumps(found["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (version, files) if isinstance(version, int) else None


def _take_place(new: Path, folder: Path) -> None:
    """Put *new* where *folder* is, in one moment where the system can: readers find the one or the other."""
    if not folder.exists():
        new.rename(folder)
    elif not exchange(new, folder):
        old = folder.with_name(f"{new.name}.old")
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _dataset(text: str) -> str:
    if not isinstance(text, str) or not _DATASET.fullmatch(text):
        raise UsageError(
            f"{text!r} is no dataset.", "Write ZONE/NAME, as in gold/aggregated; zones: bronze, silver, gold."
        )
    return text


def _day(day: date | str) -> str:
    try:
        # not strftime, which writes the year 1 as "1"; of a datetime the day alone
        return date.isoformat(day if isinstance(day, date) else date.fromisoformat(day))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{day!r} is no day.", "Give a date, or text as 2026-11-27.") from error


def _file(name: str) -> str:
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a file.", "Use letters, digits, . _ -, without .parquet.")
    return name.removesuffix(".parquet")


def _table(name: str, found: Any) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(found, pa.Table):
        return found
    try:
        if isinstance(found, str | os.PathLike):
            return pq.read_table(os.fspath(found))
        if hasattr(found, "to_arrow"):  # polars
            return found.to_arrow()
        if hasattr(found, "__arrow_c_stream__"):
            return pa.table(found)
        return pa.Table.from_pandas(found, preserve_index=False)
    except (pa.ArrowException, AttributeError, OSError, ArtifactError) as error:
        raise UsageError(f"{name} is no table: {error}", "Give a pyarrow, pandas or polars table.") from error
