"""Tables of polars, by way of Arrow."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from clx.routines.codecs.canonical import Refusal
from clx.routines.codecs.tables import Form

_CAST = "Cast the column before it is sent."


def _split(frame: Any) -> tuple[Any, Any]:
    """The names of columns stand beside: Arrow's side makes others of an empty one."""
    try:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        table = table.rename_columns([f"c{each}" for each in range(frame.width)])
        back = _join(table.slice(0, 0), frame.columns)
    except (pl.exceptions.PolarsError, pa.ArrowException, ValueError, TypeError) as error:
        raise Refusal(f"polars cannot give it to Arrow: {str(error)[:200]}", _CAST) from error
    for name, kind, other in zip(frame.columns, frame.dtypes, back.dtypes, strict=True):
        if kind != other:
            raise Refusal(f"column {name!r} of the type {kind} would come back as {other}.", _CAST)
    return table, frame.columns


def _join(table: Any, names: Any) -> Any:
    frame: Any = pl.from_arrow(table) if table.num_columns else pl.DataFrame()
    frame.columns = names
    return frame


FORMS = {
    "polars.DataFrame": Form(_split, _join),
    "polars.Series": Form(
        lambda series: _split(series.to_frame()), lambda table, about: _join(table, about).to_series(0)
    ),
}
