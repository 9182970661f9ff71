"""Arrays travel as artifacts: by their elements, not by how these lie in memory; large ones come back mapped."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError, RoutineValueError
from clx.routines.codecs import arrays, canonical, restore, restore_text

ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
_ARRAYS: list[Any] = [
    *(np.arange(6), np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.arange(6.0), np.arange(6, dtype="u2")),
    *(np.zeros(0), np.zeros((0, 3)), np.array(5), np.array(5.0), np.array([-0.0]), np.array([0.0]), np.array([np.nan])),
    *(np.array(["a", "bc"]), np.array([b"a"]), np.array([True, False]), np.array([1 + 2j]), np.zeros(3, "f2")),
    *(np.array(["2025-01-01"], "M8[D]"), np.array(["2025-01-01"], "M8[ns]"), np.array([5], "m8[s]"), np.zeros(2, "V3")),
    *(np.array([(1, 2.0)], ALIGNED), np.array([(1, [1, 2])], [("a", "<i2"), ("b", "<i4", (2,))])),
    np.array([((1, 2),)], [("in", [("x", "<i2"), ("y", "<i2")])]),
]  # fmt: skip
ARRAYS = {f"{each.dtype.str}{each.shape}{each.tolist()}": each for each in _ARRAYS}
SCALARS = [
    *(np.float64(1.5), np.float32(1.5), np.int64(3), np.uint8(3), np.bool_(True), np.complex64(1j), np.str_("ab")),
    *(np.str_(""), np.bytes_(b"x"), np.datetime64("2025-01-01"), np.timedelta64(5, "s"), np.float16(0.5)),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_it_went(name: str, files: ArtifactStore) -> None:
    array = ARRAYS[name]
    text = canonical(array, files=files)
    back = restore_text(text, files=files)
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable
    assert canonical(back, files=files) == text


def test_different_arrays_have_different_texts(files: ArtifactStore) -> None:
    texts = {canonical(each, files=files) for each in (*_ARRAYS, *(each.tolist() for each in _ARRAYS[:3]))}
    assert len(texts) == len(_ARRAYS) + 3


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_a_scalar_comes_back_as_it_went(value: Any) -> None:
    back = restore_text(canonical(value))
    assert type(back) is type(value)
    assert back == value
    assert canonical(value) != canonical(value.item())


def test_what_is_not_a_number_is_one_value() -> None:
    assert canonical(np.float64("nan")) == canonical(-np.float64("nan"))


@given(
    npst.arrays(
        st.sampled_from(["i1", "<i4", ">i4", "f8", ">f8", "c8", "M8[us]", "U3"]),
        npst.array_shapes(min_dims=0, max_dims=3, max_side=4),
    )
)
def test_order_in_memory_does_not_matter(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    files = ArtifactStore(tmp_path_factory.getbasetemp() / "shared-artifacts")
    text = canonical(np.ascontiguousarray(array).reshape(array.shape), files=files)
    other_order = array.astype(array.dtype.newbyteorder(">"))
    for each in (np.asfortranarray(array), np.stack([array, array])[1:], other_order, array[...]):
        assert canonical(each.reshape(array.shape), files=files) == text
    np.testing.assert_array_equal(restore_text(text, files=files), array)


def test_what_lies_between_fields_does_not_matter(files: ArtifactStore) -> None:
    one, other = (np.frombuffer(bytearray([fill]) * 32, ALIGNED) for fill in (0, 255))
    for each in (one, other):
        each["a"], each["b"] = 1, 2.0
    assert one.tobytes() != other.tobytes()
    assert canonical(one, files=files) == canonical(other, files=files)


class Subclass(np.ndarray[Any, Any]):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.array([object()]),
        lambda: np.array([1], np.longdouble),
        lambda: np.array([(1, None)], [("a", "i1"), ("b", "O")]),
        lambda: np.ma.MaskedArray([1], [True]),
        lambda: np.zeros(3).view(Subclass),
        lambda: np.longdouble(1),
        lambda: np.float64,
        lambda: np.dtype("f8"),
    ],
)
def test_what_is_no_plain_array_is_refused(make: Any, files: ArtifactStore) -> None:
    value = make()
    with pytest.raises(RoutineValueError, match=r'^data\["x"\]: '):
        canonical({"x": value}, path="data", files=files)
    assert list(files.digests()) == []


# -- large ones ---------------------------------------------------------------------------------------


def test_a_large_array_is_mapped_from_the_store(files: ArtifactStore) -> None:
    array = np.arange(1 << 20, dtype="f8")
    back = restore_text(canonical(array, files=files), files=files)
    base = back
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    assert isinstance(base, mmap)
    np.testing.assert_array_equal(back, array)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_stays_bounded(files: ArtifactStore, order: Any) -> None:
    array = np.ones((1 << 12, 1 << 11), dtype="f8", order=order)  # 64 MiB
    tracemalloc.start()
    try:
        text = canonical(array, files=files)
        back = restore_text(text, files=files)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert back.shape == array.shape
    assert peak < 40 << 20


def test_what_came_is_sent_on_without_being_read(files: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    text = canonical(np.arange(1 << 16, dtype="i4").reshape(256, 256), files=files)
    back = restore_text(text, files=files)

    def read(*_: Any) -> Any:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(arrays, "_write", read)
        assert canonical(back, files=files) == text
        for other in (back[1:], back.T, back.view(">i4")):
            with pytest.raises(AssertionError):
                canonical(other, files=files)
    assert restore_text(canonical(back[1:], files=files), files=files).tolist() == back[1:].tolist()
    files.path(json.loads(text)["$a"][3]).unlink()
    files.forget()
    assert canonical(back, files=files) == text
    assert restore_text(text, files=files).tolist() == back.tolist()


def test_an_array_that_changed_is_another_value(files: ArtifactStore) -> None:
    array = np.zeros(1 << 14)
    texts = []
    for each in (0.0, 1.0, 0.0, 2.0):
        array[5] = each
        texts.append(canonical(array, files=files))
        assert restore_text(texts[-1], files=files)[5] == each
    assert texts[0] == texts[2]
    assert len(set(texts)) == 3


def test_what_was_sent_before_is_not_written_again(files: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(1 << 14)
    text = canonical(array, files=files)
    monkeypatch.setattr(arrays, "_write", None)
    assert canonical(array, files=files) == text


# -- forged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        *(("<f8", [3]), ("<f8", [-2, -1]), ("<f8", [2.0]), ("<f8", 2), ("<f8", ["2"]), ("|O", [2]), (">f8", [2])),
        *(("<f16", [1]), ("os", [2]), ("<f8,<f8", [1]), (5, [2]), (None, [2]), ([["a", "|O"]], [2]), ([["a"]], [2])),
        *(([[5, "<f8"]], [2]), ("<f8", [0, 10**30]), ("f8", [2]), ("<f8", [1] * 100)),
    ],
    ids=str,
)  # fmt: skip
def test_forged_arrays_are_refused(files: ArtifactStore, dtype: Any, shape: Any) -> None:
    digest = files.put_bytes(bytes(16))
    with pytest.raises(RoutineValueError):
        restore({"$a": ["npy", dtype, shape, digest]}, files=files)


@pytest.mark.parametrize(
    "data", [["npy"], ["npy", "<f8", [2], "x"], ["npy", "<f8", [2], 5], ["npy", "<f8", [2], "a", 1]]
)
def test_forged_names_are_refused(files: ArtifactStore, data: Any) -> None:
    with pytest.raises(RoutineValueError):
        restore({"$a": data}, files=files)


@pytest.mark.parametrize("size", [2, 20_000])
def test_a_damaged_or_missing_array_is_an_error_of_the_store(files: ArtifactStore, size: int) -> None:
    text = canonical(np.arange(size), files=files)
    path = files.path(json.loads(text)["$a"][3])
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ArtifactError, match="damaged"):
        restore_text(text, files=files)
    with pytest.raises(ArtifactError, match="not in the store"):
        restore_text(text, files=files)


def test_numpy_is_not_loaded_for_what_is_none_of_its() -> None:
    code = "import sys, clx.routines.codecs as c; c.canonical([1, (2,), {3: 1.5}]); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
