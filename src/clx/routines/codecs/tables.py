"""Tables of pandas, polars and pyarrow: files of Arrow IPC as artifacts, mapped into memory where they are read.

The key of a call holds the digest of data and schema (``tabledigest``), not that of the file, whose bytes depend on
the version that wrote it: ``$a`` with ``arrow`` names the file first, and ``key_of`` leaves that out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import ipc

from clx.routines.codecs.canonical import (
    Files,
    NoFiles,
    Refusal,
    Sink,
    Writer,
    as_type,
    need,
    quoted,
    text_of,
    value_of,
)
from clx.routines.codecs.mapping import map_object
from clx.routines.codecs.tabledigest import digest_of

_LOOKED_AT = 1000
"""Rows that are converted to see whether a table can be sent."""
_ROWS = 1 << 20
"""Rows of a batch in a file."""


class Form(NamedTuple):
    """How one kind of table becomes one of Arrow and comes back.

    Attributes:
        split: to a table of Arrow, and what else there is of it, as a value that can be sent.
        join: back again.
        head: its first rows.
    """

    split: Callable[[Any], tuple[Any, Any]]
    join: Callable[[Any, Any], Any]
    head: Callable[[Any, int], Any] = lambda value, rows: value[:rows]


def _batch_of(table: Any, _: Any) -> Any:
    return pa.RecordBatch.from_arrays([_whole(each) for each in table.columns], schema=table.schema)


def _whole(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


_ARROW = {
    "pyarrow.Table": Form(
        lambda table: (table, None), lambda table, _: table, lambda table, rows: table.slice(0, rows)
    ),
    "pyarrow.RecordBatch": Form(
        lambda batch: (pa.Table.from_batches([batch]), None), _batch_of, lambda batch, rows: batch.slice(0, rows)
    ),
}


def _forms(root: str) -> dict[str, Form]:
    if root == "pyarrow":
        return _ARROW
    found: dict[str, Form] = import_module(f"clx.routines.codecs.{root}tables").FORMS
    return found


def writer(kind: type) -> Writer | None:
    """How values of *kind* are written."""
    root = kind.__module__.partition(".")[0]
    forms = _forms(root)
    module = import_module(root)
    for name, form in forms.items():
        base = getattr(module, name.partition(".")[2])
        if kind is base or (name == "pandas.Index" and issubclass(kind, base) and hasattr(module, kind.__name__)):
            return _writer(name, form)
    return None


def _writer(name: str, form: Form) -> Writer:
    def write(value: Any, files: Sink | None, depth: int) -> str:
        sink = need(files)
        if isinstance(sink, NoFiles):
            _, about = form.split(form.head(value, _LOOKED_AT))
            sink.was_asked = True
            return text_of(about, sink, depth)
        table, about = form.split(value)
        table = table.unify_dictionaries()
        digest = digest_of(table)
        told = f"{digest[:32]}-{digest[32:]}"  # whatever looks like a digest is taken for an artifact's
        file, size = sink.put_written(lambda stream: _write(table, stream))
        return f'{{"$a":["arrow",["{file}",{size}],{quoted(name)},{text_of(about, sink, depth)},"{told}"]}}'

    return write


def _write(table: Any, stream: Any) -> None:
    options = ipc.IpcWriteOptions(metadata_version=ipc.MetadataVersion.V5)
    with pa.PythonFile(stream, "w") as sink, ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=_ROWS)


def read(data: Any, files: Files | None, depth: int) -> Any:
    """The table that ``$a`` with ``arrow`` stands for."""
    _, file, name, about, _ = as_type(list, data, 5)
    root = as_type(str, name).partition(".")[0]
    if root not in {"pandas", "polars", "pyarrow"}:
        raise Refusal(f"there is no table of the kind {name[:60]!r}.")
    form = _forms(root).get(name)
    if form is None:
        raise Refusal(f"there is no table of the kind {name[:60]!r}.")
    digest, size = as_type(list, file, 2)
    buffer = pa.py_buffer(map_object(need(files), digest, size))
    try:
        table = ipc.open_file(buffer).read_all()
        table.validate(full=True)
        return form.join(table, value_of(about, files, depth))
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # each of the three has its own
        raise Refusal(f"artifact {digest[:12]} holds no such table: {str(error)[:200]}") from error
