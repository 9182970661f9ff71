"""What may be staged: by its bytes, and never what Python would run on opening."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clx.daily.staged_kinds import KindError, kind_of, refuse_pickles


def npy(array: Any, **more: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **more)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), stream)
    return stream.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


OBJECTS = np.array([{"a": 1}, None], dtype=object)
PLAIN = [
    ("a.parquet", parquet(), "parquet"),
    ("a.npy", npy(np.arange(5.0)), "npy"),
    ("a.npy", npy(np.array(["x", "yz"])), "npy"),
    ("a.npy", npy(np.array(["2026-11-27"], "M8[ms]")), "npy"),
    ("a.npy", npy(np.zeros(2, [("a", "<f4"), ("b", "<i8", (2,)), ("c", [("d", "S3")])])), "npy"),
    ("a.npz", npz(a=np.arange(3), b=np.ones((2, 2))), "npz"),
    ("a.json", b' \n{"a": [1]}\n', "json"),
    ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "json"),
]


@pytest.mark.parametrize(("name", "data", "kind"), PLAIN)
def test_what_is_plain_is_taken_and_cannot_be_unpickled(name: str, data: bytes, kind: str) -> None:
    assert kind_of(name, io.BytesIO(data)) == kind
    with pytest.raises((pickle.UnpicklingError, ValueError, IndexError, EOFError)):
        pickle.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        *(pickle.dumps({"a": [1, 2]}, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
        npy(OBJECTS, allow_pickle=True),
        npy(np.zeros(1, [("a", "<f4"), ("b", "O")]), allow_pickle=True),
        npz(a=np.arange(3), b=OBJECTS),
        npy(np.arange(3)).replace(b"'<i8'", b"'i,O'"),
        zipped("data.pkl", b"x"),
        zipped("a.npy", pickle.dumps([1])),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"PK\x03\x04 no archive",
        b"a,b\n1,2\n",
        b"PAR1 cut off",
        b"",
    ],
)  # fmt: skip
def test_all_else_is_refused(data: bytes) -> None:
    for name in ("a.npy", "a.json", "a.parquet"):
        with pytest.raises(KindError):
            kind_of(name, io.BytesIO(data))


def test_no_kind_begins_as_a_pickle_can() -> None:
    """Those of their first bytes that are opcodes want a stack that is empty then."""
    opcodes = {each.code for each in pickletools.opcodes}
    for first in (b"{", b"[", b" ", b"\n", b"\xef"):
        assert first.decode("latin-1") not in opcodes


@pytest.mark.parametrize("name", ["a.pkl", "A.PICKLE", "model.joblib", "x.pt"])
def test_a_name_that_says_so_is_enough(name: str) -> None:
    with pytest.raises(KindError, match="is a pickle"):
        refuse_pickles(name)
    refuse_pickles("pkl.json")


def test_a_json_document_is_read_by_its_ends_alone() -> None:
    data = json.dumps({"a": "x" * 100_000}).encode()
    assert kind_of("a", io.BytesIO(data)) == "json"
    with pytest.raises(KindError):
        kind_of("a", io.BytesIO(data[:-2]))
