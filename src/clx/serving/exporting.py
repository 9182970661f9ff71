"""The logs of a server for other programs: tab-separated text, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from clx.db.odd_rows import as_text
from clx.db.serving.models import ActionRow, RequestRow
from clx.db.serving.table import ServingTable
from clx.errors import ToolMissingError, UsageError

Kind = Literal["requests", "actions"]
_ESCAPED = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"})


def columns(kind: Kind) -> list[str]:
    """Their names: the number of the server's start first."""
    return ["server", *(RequestRow if kind == "requests" else ActionRow)._fields]


def as_tsv(table: ServingTable, kind: Kind) -> Iterator[str]:
    """Line by line, the names of the columns first; tabs and ends of lines within a text become ``\\t``, ``\\n``."""
    yield "\t".join(columns(kind))
    for row in _rows(table, kind):
        yield "\t".join(as_text(each).translate(_ESCAPED) for each in row)


def as_parquet(table: ServingTable, kind: Kind, path: Path) -> None:
    """Write all of it to *path*.

    Raises:
        ToolMissingError: pyarrow is not installed.
        UsageError: the file cannot be written.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ToolMissingError(
            "Parquet is written by pyarrow, which is not installed.", "pip install pyarrow"
        ) from None
    rows = list(_rows(table, kind))
    names = columns(kind)
    made = {
        name: [row[at] if isinstance(row[at], int | str) else as_text(row[at]) for row in rows]
        for at, name in enumerate(names)
    }
    try:
        parquet.write_table(pa.table(made), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.", "Give another --output.") from None


def _rows(table: ServingTable, kind: Kind) -> Iterator[tuple[Any, ...]]:
    after = (-1, -1)
    while rows := table.logged(kind, after):
        yield from rows
        after = (int(rows[-1][0]), int(rows[-1][1]))
