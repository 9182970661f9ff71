"""Days of a lake as a Delta table, for those who have such a lake; needs ``clx-build[delta]``.

::

    def share(gold: Version) -> int:
        return to_delta(lake, gold, "s3://lake/aggregated", storage_options={…})
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from clx.errors import OutputError, ToolMissingError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from clx.daily.lake import Lake, Version

COLUMN = "data_date"
"""The column that has the day, by which the table is partitioned."""


def to_delta(
    lake: Lake, made: Version, table: str | os.PathLike[str], *, storage_options: Mapping[str, str] | None = None
) -> int:
    """Put a version of a day into a Delta table, in place of what that has of the day: in one commit, or not at all.

    A version that the table has already, or a later one of that day, is not written again. The commit names dataset,
    version and the files' sha256 (``clx`` in its metadata).

    Args:
        made: as ``Lake.publish`` has given it.
        table: a folder, or an address as deltalake takes it; it is made where there is none.
        storage_options: of an object store, as deltalake takes them.

    Returns:
        The number of the Delta table's version.

    Raises:
        ToolMissingError: deltalake is not installed.
        UsageError: the day's rows have a column ``data_date``, or another schema than the table.
        OutputError: the table cannot be written.
        ArtifactError: the day's bytes are gone.
    """
    try:
        import deltalake
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise ToolMissingError("deltalake is not installed.", "Type: pip install 'clx-build[delta]'") from error
    rows, place = _rows(lake, made), os.fspath(table)
    options = dict(storage_options) if storage_options else None
    name = f"clx {lake.mark} {made.dataset} {made.day}"
    said = f"{made.dataset} {made.day} version {made.version} {' '.join(made.files.values())}"
    try:
        there = deltalake.DeltaTable.create(
            place, deltalake.Schema.from_arrow(rows.schema), "ignore", [COLUMN], storage_options=options
        )  # one that is there stays; made without rows, so that two days that come first do not replace each other
        if (there.transaction_version(name) or 0) >= made.version:
            return int(there.version())
        _require_same(made, there, deltalake.Schema.from_arrow(rows.schema))
        deltalake.write_deltalake(
            there,
            rows,
            mode="overwrite",
            predicate=f"{COLUMN} = '{made.day}'",
            commit_properties=deltalake.CommitProperties(
                custom_metadata={"clx": said}, app_transactions=[deltalake.Transaction(name, made.version)]
            ),
        )
        there.update_incremental()
    except (DeltaError, OSError) as error:
        raise OutputError(
            f"The Delta table {place} cannot be written: {error}", "Mend that; then run the day again."
        ) from error
    return int(there.version())


def _rows(lake: Lake, made: Version) -> pa.Table:
    import pyarrow as pa

    rows = lake.read(made.dataset, made.day, version=made.version)
    if COLUMN in rows.column_names:
        raise UsageError(
            f"{made.dataset} has a column {COLUMN}, which the Delta table has for the day.", "Call it otherwise."
        )
    days = pa.array([date.fromisoformat(made.day)] * rows.num_rows, pa.date32())
    return rows.append_column(COLUMN, days)


def _require_same(made: Version, there: Any, schema: Any) -> None:
    """Refuse columns that are not those of the table: Delta would turn texts into numbers where it can."""
    has, given = ({each.name: str(each.type) for each in found.fields} for found in (there.schema(), schema))
    if differ := sorted(name for name in has.keys() | given.keys() if has.get(name) != given.get(name)):
        raise UsageError(
            f"{made.dataset} of {made.day} has other columns than the Delta table: {', '.join(differ)}.",
            "Name another table, or change that one's schema.",
        )
