"""Tables of pandas: their columns and the levels of their index as columns of Arrow, all else beside them as JSON."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clx.routines.codecs.canonical import Refusal, as_type
from clx.routines.codecs.tables import Form

_OBJECTS = (str, bytes, bool, int, float, Decimal, date, time)
"""Types of which a column of objects may hold one, and None."""
_CAST = "Give its column another dtype: frame.astype(…)."


# -- columns ------------------------------------------------------------------------------------------


def _to_arrow(values: Any, name: str) -> tuple[Any, Any]:
    """A column, or a level of an index, as an array of Arrow; and its dtype."""
    dtype = values.dtype
    if dtype == np.dtype(object):
        _check_objects(values, name)
    plain = values.to_numpy() if isinstance(dtype, np.dtype) else values.array
    try:
        array = pa.array(plain, from_pandas=False)
        about = _dtype_data(dtype)
        back = _of_arrow(_chunked(array.slice(0, 0)), about)
    except (pa.ArrowException, NotImplementedError, TypeError, ValueError) as error:
        raise Refusal(f"{name} of the dtype {dtype} cannot be sent: {str(error)[:100]}", _CAST) from error
    if back.dtype != dtype:
        raise Refusal(f"{name} of the dtype {dtype} would come back as {back.dtype}.", _CAST)
    return array, about


def _check_objects(values: Any, name: str) -> None:
    kinds = {type(each) for each in values} - {type(None)}
    if len(kinds) > 1 or not kinds <= set(_OBJECTS):
        named = ", ".join(sorted(kind.__qualname__ for kind in kinds))
        raise Refusal(f"{name} of the dtype object holds {named[:100]}.", _CAST)


def _dtype_data(dtype: Any) -> Any:
    if isinstance(dtype, pd.StringDtype):
        return ["string", dtype.storage, dtype.na_value is pd.NA]
    if isinstance(dtype, pd.ArrowDtype):
        return ["arrow"]
    return "category" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)


def _of_arrow(column: Any, about: Any) -> Any:
    """Back again: an array that has the dtype."""
    if about == "category":
        return column.to_pandas().array
    if about == "object":
        found = np.empty(len(column), object)
        found[:] = column.to_pylist()
        return found
    if type(about) is list:
        dtype = pd.ArrowDtype(column.type) if about == ["arrow"] else _string(*as_type(list, about, 3))
    else:
        dtype = pd.api.types.pandas_dtype(as_type(str, about))
    if isinstance(dtype, np.dtype):
        return column.to_numpy().astype(dtype, copy=False)
    return dtype.__from_arrow__(column)


def _string(kind: Any, storage: Any, has_na: Any) -> Any:
    if kind != "string":
        raise ValueError("no such dtype")
    return pd.StringDtype(storage, na_value=pd.NA if has_na else np.nan)


def _chunked(array: Any) -> Any:
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


# -- indexes ------------------------------------------------------------------------------------------


def _index_data(index: Any) -> tuple[list[Any], dict[str, Any]]:
    """The levels of an index as arrays, and what else there is of it."""
    if type(index) is pd.RangeIndex:
        return [], {"range": [index.start, index.stop, index.step], "names": list(index.names)}
    levels = [index.get_level_values(each) for each in range(index.nlevels)]
    pairs = [_to_arrow(each, f"level {number} of the index") for number, each in enumerate(levels)]
    about: dict[str, Any] = {"names": list(index.names), "dtypes": [dtype for _, dtype in pairs]}
    about["multi"] = isinstance(index, pd.MultiIndex)
    if getattr(index, "freq", None) is not None and not isinstance(index, pd.PeriodIndex):
        about["freq"] = index.freqstr
    return [array for array, _ in pairs], about


def _index_of(columns: list[Any], about: Any) -> Any:
    if "range" in about:
        start, stop, step = (as_type(int, each) for each in as_type(list, about["range"], 3))
        return pd.RangeIndex(start, stop, step, name=about["names"][0])
    arrays = [_of_arrow(column, dtype) for column, dtype in zip(columns, about["dtypes"], strict=True)]
    if about["multi"]:
        return pd.MultiIndex.from_arrays(arrays, names=about["names"])
    [array] = arrays
    found = pd.Index(array, dtype=array.dtype, name=about["names"][0])
    if "freq" in about:
        found = type(found)(found, freq=about["freq"], name=found.name)
    return found


def _labels_data(labels: Any) -> dict[str, Any]:
    if type(labels) is pd.RangeIndex:
        return _index_data(labels)[1]
    about = {"labels": labels.tolist(), "names": list(labels.names)}
    return about if isinstance(labels, pd.MultiIndex) else {**about, "dtype": _dtype_data(labels.dtype)}


def _labels_of(about: Any) -> Any:
    if "range" in about:
        return _index_of([], about)
    if "dtype" not in about:
        return pd.MultiIndex.from_tuples(about["labels"], names=about["names"])
    dtype = about["dtype"]
    kind = _string(*dtype) if type(dtype) is list else pd.api.types.pandas_dtype(dtype)
    return pd.Index(about["labels"], dtype=kind, name=about["names"][0])


# -- tables -------------------------------------------------------------------------------------------


def _table(levels: list[Any], columns: list[Any]) -> Any:
    names = [*(f"i{each}" for each in range(len(levels))), *(f"c{each}" for each in range(len(columns)))]
    return pa.table([*levels, *columns], names=names)


def _split_frame(frame: Any) -> tuple[Any, Any]:
    levels, index = _index_data(frame.index)
    labels = frame.columns.tolist()
    pairs = [_to_arrow(frame.iloc[:, each], f"column {label!r}") for each, label in enumerate(labels)]
    about = {"index": index, "columns": _labels_data(frame.columns), "dtypes": [dtype for _, dtype in pairs]}
    return _table(levels, [array for array, _ in pairs]), {**about, "attrs": dict(frame.attrs)}


def _join_frame(table: Any, about: Any) -> Any:
    count = table.num_columns - len(about["dtypes"])
    index = _index_of(table.columns[:count], about["index"])
    pairs = zip(table.columns[count:], about["dtypes"], strict=True)
    arrays = {number: _of_arrow(column, dtype) for number, (column, dtype) in enumerate(pairs)}
    frame = pd.DataFrame(arrays, index=index, copy=False)
    frame.columns = _labels_of(about["columns"])
    frame.attrs = about["attrs"]
    return frame


def _split_series(series: Any) -> tuple[Any, Any]:
    levels, index = _index_data(series.index)
    array, dtype = _to_arrow(series, "the series")
    return _table(levels, [array]), {"index": index, "dtype": dtype, "name": series.name, "attrs": dict(series.attrs)}


def _join_series(table: Any, about: Any) -> Any:
    *levels, column = table.columns
    index = _index_of(levels, about["index"])
    array = _of_arrow(column, about["dtype"])
    series = pd.Series(array, index=index, dtype=array.dtype, name=about["name"], copy=False)
    series.attrs = about["attrs"]
    return series


def _split_index(index: Any) -> tuple[Any, Any]:
    levels, about = _index_data(index)
    return _table(levels, []), about


FORMS = {
    "pandas.DataFrame": Form(_split_frame, _join_frame),
    "pandas.Series": Form(_split_series, _join_series, lambda series, rows: series.iloc[:rows]),
    "pandas.Index": Form(_split_index, lambda table, about: _index_of(table.columns, about)),
}
