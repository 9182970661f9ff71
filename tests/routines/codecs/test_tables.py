"""Tables of pandas, polars and pyarrow come back as they went; their keys tell data and schema, nothing else."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import ipc

from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError, RoutineValueError
from clx.routines.codecs import (
    artifacts_of,
    canonical,
    key_of,
    pandastables,
    polarstables,
    restore,
    restore_text,
    tables,
)
from clx.routines.codecs.files import File
from clx.routines.codecs.mapping import MAPPED
from clx.routines.codecs.tabledigest import digest_of, type_text

FRAME = pd.DataFrame(
    {
        "int": [1, 2, 3],
        "float": [1.5, float("nan"), -0.0],
        "str": ["x", None, "z"],
        "time": pd.date_range("2025-10-25", periods=3, tz="Europe/Berlin"),
        "category": pd.Categorical(["u", "v", "u"]),
        "Int64": pd.array([1, None, 2**60 + 1], dtype="Int64"),
        "object": np.array(["p", None, "q"], dtype=object),
        "date": [dt.date(2025, 1, 1)] * 3,
        "bool": [True, False, True],
        "duration": pd.to_timedelta([1, 2, 3], unit="s"),
        "period": pd.period_range("2025-01", periods=3, freq="M"),
        "decimal": [Decimal("1.5"), None, Decimal(2)],
        "string": pd.array(["x", None, "z"], dtype="string"),
        "arrow": pd.array([1, 2, None], dtype="int32[pyarrow]"),
        "float32": np.array([1, 2, 3], "f4"),
        "interval": pd.interval_range(0, 3),
    }
)
PANDAS = {
    "frame": FRAME,
    "times": FRAME.set_index("time")[["int"]],
    "levels": FRAME.set_index(["int", "str"])[["float"]],
    "freq": pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2025-01-01", periods=2, freq="D", name="n")),
    "range": pd.DataFrame(np.zeros((2, 3))),
    "twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "columns": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", "q"])),
    "objects": pd.DataFrame([[1, 2]], columns=pd.Index(["a", 1], dtype=object)),
    "empty": pd.DataFrame(),
    "rows": pd.DataFrame(index=[1, 2]),
    "slice": FRAME.iloc[1:],
    "series": pd.Series([1, 2], name="q"),
    "named": pd.Series(["x", "y"], index=["a", "b"], name=("t", 1)),
    "none": pd.Series([], dtype="f8"),
    "index": pd.Index([1, 2], name="z"),
    "texts": pd.Index(["a", "b"]),
    "steps": pd.RangeIndex(0, 10, 3, name="r"),
    "hours": pd.date_range("2025-01-01", periods=3, freq="h"),
    "tuples": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
    "categories": pd.CategoricalIndex(["a", "b"]),
    "periods": pd.period_range("2025-01", periods=2, freq="M"),
}
POLARS = {
    "frame": pl.DataFrame(
        {
            "int": [1, None, 3],
            "str": ["x", None, "z"],
            "list": [[1], [], None],
            "struct": [{"a": 1, "b": "x"}] * 3,
            "time": [dt.datetime(2025, 1, 1)] * 3,  # noqa: DTZ001
            "decimal": [Decimal("1.5")] * 3,
            "float": [1.0, float("nan"), None],
            "bool": [True, None, False],
            "bytes": [b"x", None, b""],
        }
    ).with_columns(
        category=pl.col("str").cast(pl.Categorical),
        enum=pl.col("str").cast(pl.Enum(["x", "z", "y"])),
        u8=pl.col("int").cast(pl.UInt8),
        zone=pl.col("time").dt.replace_time_zone("Europe/Berlin"),
        array=pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int64, 2)),
        null=pl.lit(None),
    ),
    "series": pl.Series("x", [1, 2]),
    "unnamed": pl.Series([1.5]),
    "empty": pl.DataFrame(),
}
_TABLE = pa.table(
    {
        "a": [1, None, 3],
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
        "view": pa.array(["a", None, "b"], pa.string_view()),
        "fixed": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
    }
)
ARROW = {
    "table": _TABLE,
    "batch": _TABLE.to_batches()[0],
    "slice": _TABLE.slice(1),
    "noted": _TABLE.replace_schema_metadata({"by": "hand"}),
    "empty": pa.table({}),
    "no rows": _TABLE.schema.empty_table(),
    "no batch": pa.RecordBatch.from_pylist([], schema=pa.schema([("a", pa.int64())])),
}


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def key(value: Any, files: ArtifactStore) -> str:
    return key_of("train", "0.0.1", canonical(value, files=files))


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_comes_back_as_it_went(name: str, files: ArtifactStore) -> None:
    value = PANDAS[name]
    back = restore_text(canonical(value, files=files), files=files)
    assert type(back) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value)
        assert (type(back.index), type(back.columns)) == (type(value.index), type(value.columns))
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value)
    else:
        pd.testing.assert_index_equal(back, value)
        assert getattr(back, "freq", None) == getattr(value, "freq", None)
    assert key(back, files) == key(value, files)


@pytest.mark.parametrize("name", POLARS)
def test_polars_comes_back_as_it_went(name: str, files: ArtifactStore) -> None:
    value: Any = POLARS[name]
    back = restore_text(canonical(value, files=files), files=files)
    assert type(back) is type(value)
    assert back.equals(value)
    if isinstance(value, pl.DataFrame):
        assert back.schema == value.schema
    assert key(back, files) == key(value, files)


@pytest.mark.parametrize("name", ARROW)
def test_arrow_comes_back_as_it_went(name: str, files: ArtifactStore) -> None:
    value: Any = ARROW[name]
    back = restore_text(canonical(value, files=files), files=files)
    assert type(back) is type(value)
    assert back.equals(value)
    assert back.schema.equals(value.schema, check_metadata=True)
    assert key(back, files) == key(value, files)


def test_no_two_tables_have_one_key(files: ArtifactStore) -> None:
    values = [*PANDAS.values(), *POLARS.values(), *ARROW.values()]
    assert len({key(value, files) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, 2]), pa.array([1, 3])),
        (pa.array([1, None]), pa.array([None, 1])),
        (pa.array([1, None]), pa.array([1, 0])),
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array([1]), pa.array([1], pa.int32())),
        (pa.array(["ab", "c"]), pa.array(["a", "bc"])),
        (pa.array(["", None]), pa.array([None, ""])),
        (pa.array([[1], [2, 3]]), pa.array([[1, 2], [3]])),
        (pa.array([[], None]), pa.array([None, []], pa.list_(pa.null()))),
        (pa.array([[None], [1]]), pa.array([[1], [None]])),
        (pa.array([{"a": None}]), pa.array([None], pa.struct([("a", pa.null())]))),
        (pa.array([{"a": 1, "b": 2}]), pa.array([{"a": 2, "b": 1}])),
        (pa.array([True, False]), pa.array([False, True])),
        (pa.array(["a", "b"]), pa.array(["a", "b"]).dictionary_encode()),
        (pa.nulls(2), pa.nulls(3)),
        (pa.array([0], pa.timestamp("s")), pa.array([0], pa.timestamp("s", "UTC"))),
    ],
    ids=lambda array: str(array.type),
)  # fmt: skip
def test_digests_tell_tables_apart(one: Any, other: Any) -> None:
    assert digest_of(pa.table({"x": one})) != digest_of(pa.table({"x": other}))
    assert digest_of(pa.table({"x": one})) != digest_of(pa.table({"y": one}))


_CELLS = st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3)
_ROWS = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-5, 5),
        "s": st.none() | st.text(max_size=3),
        "l": _CELLS,
        "b": st.none() | st.booleans(),
    }
)
_SCHEMA = pa.schema([("n", pa.int64()), ("s", pa.string()), ("l", pa.list_(pa.int64())), ("b", pa.bool_())])


@given(st.lists(_ROWS, max_size=12), st.integers(1, 4), st.integers(0, 3))
def test_digests_do_not_tell_how_a_table_is_cut(rows: list[Any], step: int, before: int) -> None:
    whole = pa.Table.from_pylist(rows, schema=_SCHEMA)
    digest = digest_of(whole)
    pieces = [whole.slice(start, step) for start in range(0, len(rows), step)]
    assert digest_of(pa.concat_tables([*pieces, whole.slice(0, 0)])) == digest
    padded = pa.Table.from_pylist([*[{"n": 7, "s": "x", "l": [7], "b": True}] * before, *rows], schema=_SCHEMA)
    assert digest_of(padded.slice(before)) == digest
    assert digest_of(padded) == digest or before


def test_what_lies_under_a_null_does_not_matter() -> None:
    valid = pa.py_buffer(bytes([0b01]))
    one, other = (
        pa.Array.from_buffers(pa.int64(), 2, [valid, pa.py_buffer(np.array([1, under]).tobytes())]) for under in (0, 9)
    )
    assert digest_of(pa.table({"x": one})) == digest_of(pa.table({"x": other}))


def test_the_key_does_not_tell_who_wrote_the_file(files: ArtifactStore) -> None:
    """Another version of the writer makes other bytes; pandas notes its own version."""
    table = pa.table({"x": [1, 2]})
    plain, noted = (canonical(each, files=files) for each in (table, table.replace_schema_metadata({"pandas": "3.9"})))
    assert plain != noted
    assert key_of("a", "1", plain) == key_of("a", "1", noted)
    assert key_of("a", "1", plain) != key_of("a", "1", plain.replace(json.loads(plain)["$a"][4], "0" * 65))
    forged = canonical(f'{{"$a":["arrow",["{"0" * 64}",5],"x"]}}')
    assert key_of("a", "1", forged) != key_of("a", "1", canonical('{"$a":["arrow","x"]}'))


def test_the_digest_is_the_one_that_earlier_versions_made() -> None:
    assert digest_of(_TABLE) == "f2f26d30e08d4c22014f27fa5886bb0263a1c4043568969e9e3735b4424b7ff9"
    assert type_text(_TABLE.schema.field("dictionary").type) == "dictionary<int32,string,False>"


def test_all_artifacts_of_a_text_are_found(files: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    structured = np.zeros(2, [('a],"x', "i1"), ("b", "f8", (2,))])
    looks_like_one = f'{{"$bytes":["{"0" * 64}",5]}}'
    value = [
        FRAME,
        np.ones(3),
        {"s": structured},
        b"x" * 9999,
        File(tmp_path / "model"),
        looks_like_one,
        "0" * 64,
        pa.table({}),
    ]
    text = canonical(value, files=files)
    assert sorted(artifacts_of(text)) == sorted(files.digests())
    large = canonical([*value, "y" * 70_000], files=files)
    assert large.startswith('{"$large":')
    assert sorted(artifacts_of(large)) == sorted(files.digests())
    assert len(restore_text(large, files=files)) == len(value) + 1
    assert artifacts_of(canonical(["y" * 70_000], files=files))[0] in set(files.digests())


def test_a_large_table_is_mapped(files: ArtifactStore) -> None:
    table = pa.table({"x": np.arange(100_000)})
    text = canonical(table, files=files)
    back = restore_text(text, files=files)
    assert json.loads(text)["$a"][1][0] in MAPPED.values()
    held = pa.total_allocated_bytes()
    again = restore_text(text, files=files)
    assert pa.total_allocated_bytes() - held < 10_000
    assert again.equals(back)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame({"x": ["a", 1]}, dtype=object),
        lambda: pd.DataFrame({"x": [object()]}),
        lambda: pd.DataFrame({"x": [1 + 2j]}),
        lambda: pd.DataFrame({"x": pd.arrays.SparseArray([0, 1])}),
        lambda: pd.DataFrame([[1]], columns=[pd.Timestamp("2025-01-01")]),
        lambda: pd.Timestamp("2025-01-01"),
        lambda: pl.LazyFrame({"a": [1]}),
        lambda: pl.DataFrame({"x": [object()]}, schema={"x": pl.Object}),
        lambda: pa.table({"x": pa.array([[1]], pa.list_view(pa.int64()))}),
        lambda: pa.table({"x": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
        lambda: pa.array([1]),
    ],
)  # fmt: skip
def test_what_would_not_come_back_is_refused(make: Any, files: ArtifactStore) -> None:
    with pytest.raises(RoutineValueError, match=r'^v\["d"\].*: ') as caught:
        canonical({"d": make()}, path="v", files=files)
    assert caught.value.next_step
    assert list(files.digests()) == []


def stored(table: Any, files: ArtifactStore) -> list[Any]:
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    return [files.put_bytes(data), len(data)]


def test_forged_tables_are_refused(files: ArtifactStore) -> None:
    good = stored(pa.table({"c0": [1]}), files)
    path = files.path(stored(pa.table({"c0": ["x" * 7777]}), files)[0])
    torn = path.read_bytes().replace(pack("<ii", 0, 7777), pack("<ii", 0, 1 << 20))
    assert torn != path.read_bytes()
    overflowing = [files.put_bytes(torn), len(torn)]
    noise = [files.put_bytes(b"no table"), 8]
    for data in (
        ["arrow"],
        ["arrow", good, "os.system", None, ""],
        ["arrow", good, "pyarrow.csv", None, ""],
        ["arrow", good, 5, None, ""],
        ["arrow", [good[0], good[1] + 1], "pyarrow.Table", None, ""],
        ["arrow", ["../../x", 5], "pyarrow.Table", None, ""],
        ["arrow", good[0], "pyarrow.Table", None, ""],
        ["arrow", noise, "pyarrow.Table", None, ""],
        ["arrow", overflowing, "pyarrow.Table", None, ""],
        ["arrow", good, "polars.DataFrame", ["a", "b"], ""],
        ["arrow", good, "pandas.DataFrame", None, ""],
        ["arrow", good, "pandas.DataFrame", {"dtypes": ["os"], "index": {"range": [0, 1, 1], "names": [None]}}, ""],
        ["arrow", good, "pandas.Series", {"dtype": "int64", "index": {"range": [0, 9, 1], "names": [None]}}, ""],
    ):
        with pytest.raises(RoutineValueError):
            restore({"$a": data}, files=files)
    with pytest.raises(ArtifactError):
        restore({"$a": ["arrow", ["0" * 64, 5], "pyarrow.Table", None, ""]}, files=files)
    assert restore({"$a": ["arrow", good, "pyarrow.Table", None, ""]}, files=files).num_rows == 1


def test_each_library_has_its_forms() -> None:
    assert {*pandastables.FORMS, *polarstables.FORMS} >= {"pandas.DataFrame", "polars.Series"}
    assert tables.writer(pl.LazyFrame) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "others"), [("numpy.ones(3)", "pandas polars pyarrow"), ("polars.Series([1])", "pandas")]
)
def test_no_library_is_loaded_for_values_of_another(made: str, others: str, tmp_path: Path) -> None:
    code = (
        f"import sys, {made.partition('.')[0]}; from pathlib import Path; import clx.routines.codecs as c; "
        f"from clx.artifacts.store import ArtifactStore; files = ArtifactStore(Path({str(tmp_path)!r})); "
        f"c.restore_text(c.canonical({made}, files=files), files=files); "
        f"print([name for name in {others.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
