"""Values of the standard library go through canonical JSON and come back as they went; equal ones have equal texts."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.routines.codecs.examples import BERLIN, DIFFERENT, keys

from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError, RoutineValueError
from clx.routines.codecs import canonical, canonical_arguments, key_of, restore, restore_arguments, restore_text
from clx.routines.codecs.canonical import READERS
from clx.routines.codecs.finding import reader_for
from clx.routines.codecs.standard import READ

GOLDEN = Path(__file__).parent / "golden.json"
EQUAL: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: "x", "1": "y", None: "z"}, {None: "z", "1": "y", 1: "x"}),
    ({"a", "b", "c"}, {"c", "b", "a"}),
    (math.nan, -math.nan),
    (Path("a//b/./c"), Path("a/b/c")),
    ([[1], [1]], [[1]] * 2),
]


def named(value: Any) -> str:
    return "huge" if type(value) is int and value.bit_length() > 1000 else repr(value)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down; NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return pairs_of(one) == pairs_of(other)
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, datetime):
        return repr(one) == repr(other) and one.tzname() == other.tzname()
    return repr(one) == repr(other) if isinstance(one, float | complex | Decimal) else bool(one == other)


def pairs_of(mapping: dict[Any, Any]) -> list[tuple[str, str]]:
    return sorted((repr(key), canonical(each)) for key, each in mapping.items())


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.mark.parametrize("value", DIFFERENT, ids=lambda value: named(value)[:30])
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    text = canonical(value)
    assert same(restore_text(text), value)
    assert same(restore(json.loads(text)), value)
    assert canonical(restore_text(text)) == text


def test_no_two_values_have_one_text() -> None:
    texts = [canonical(value) for value in DIFFERENT]
    assert [pair for pair in itertools.combinations(texts, 2) if pair[0] == pair[1]] == []


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_have_one_text(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


_HASHABLE = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=20), st.uuids()),
        *(st.dates(), st.timedeltas(), st.times(), st.decimals(allow_nan=False), st.complex_numbers()),
        st.datetimes(timezones=st.none() | st.just(UTC) | st.just(BERLIN)),
    ),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
_VALUES = st.recursive(
    _HASHABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_HASHABLE, inner, max_size=4) | st.sets(_HASHABLE),
    max_leaves=12,
)


@given(_VALUES)
def test_whatever_it_is_it_comes_back(value: Any) -> None:
    text = canonical(value)
    back = restore_text(text)
    assert type(back) is type(value)
    assert canonical(back) == text
    json.loads(text, parse_constant=pytest.fail)


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_the_order_of_a_dict_does_not_matter(value: dict[str, int], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


# -- keys are the same everywhere -----------------------------------------------------------------------


def test_keys_are_those_that_earlier_versions_made() -> None:
    """Where this fails, every kept result would be lost: then the prefix of keys has to change."""
    assert keys() == json.loads(GOLDEN.read_text(encoding="utf-8"))


def interpreters() -> list[str]:
    """Those of other versions of Python that are on this machine."""
    named = [shutil.which(f"python3.{each}") for each in (12, 13, 14)]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("3.1[2-9]*/bin/python")
    return sorted({*(each for each in named if each and "shims" not in each), *map(str, kept)})


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", interpreters())
def test_keys_are_the_same_in_every_python(interpreter: str) -> None:
    root = Path(__file__).parents[3]
    code = "import json; from tests.routines.codecs.examples import keys; print(json.dumps(keys()))"
    variables = {"PYTHONPATH": f"{root}:{root / 'src'}", "PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1"}
    asked = subprocess.run([interpreter, "-c", code], env=variables, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout) == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_keys_are_the_same_in_every_process(seed: str) -> None:
    code = (
        "from clx.routines.codecs import canonical; "
        "print(canonical([{'x', 'y', 'z', 1, None}, {'b': {2, 'q'}, 'a': frozenset('hello')}]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
    )
    assert asked.stdout.strip() == canonical([{"x", "y", "z", 1, None}, {"b": {2, "q"}, "a": frozenset("hello")}])


def test_a_key_names_routine_version_and_arguments() -> None:
    keys = {
        key_of(*each)
        for each in (("a", "1.0.0", "{}"), ("b", "1.0.0", "{}"), ("a", "1.0.1", "{}"), ("a", "1.0.0", "[]"))
    }
    assert len(keys) == 4
    assert all(len(key) == 64 for key in keys)


# -- arguments, large values ----------------------------------------------------------------------------


def test_arguments_are_one_object_by_name(files: ArtifactStore) -> None:
    text = canonical_arguments({"b": (1,), "a": "x" * 70_000}, {"a": str}, files)
    parsed = json.loads(text)
    assert list(parsed) == ["a", "b"]
    assert list(parsed["a"]) == ["$large"]
    assert restore_arguments(parsed, {}, files) == {"a": "x" * 70_000, "b": (1,)}


def test_large_values_are_artifacts_by_what_they_are(files: ArtifactStore) -> None:
    value = {"rows": list(range(50_000)), "bytes": b"\xff" * 10_000}
    text = canonical(value, files=files)
    assert len(text) < 200
    assert text == canonical(dict(reversed(value.items())), files=files)
    assert restore_text(text, files=files) == value
    assert len(list(files.digests())) == 2


def test_nothing_is_stored_of_what_cannot_be_sent(files: ArtifactStore) -> None:
    with pytest.raises(RoutineValueError, match=r"^b\[1\]: object cannot be sent"):
        canonical_arguments({"a": b"x" * 10_000, "b": [b"y" * 10_000, object()]}, {}, files)
    assert list(files.digests()) == []


def test_what_needs_a_store_is_refused_without_one() -> None:
    with pytest.raises(RoutineValueError, match="no store"):
        canonical([b"x" * 10_000])
    with pytest.raises(RoutineValueError, match="no store"):
        canonical("x" * 100_000)


# -- refusals -------------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels - 1):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "data: object cannot be sent"),
        ([1, {"a": (2, object())}], 'data[1]["a"][1]: object'),
        ({1: object()}, "data[1]: object"),
        ({object(): 1}, "data[object]: object"),
        ({object}, "data{…}: type"),
        (Text("x"), "data: Text cannot be sent"),
        ("\ud800", "data: str with half a surrogate pair"),
        (endless(), "deeper than 200"),
        (nested(201), "deeper than 200"),
        ([1 << (1 << 21)], "data[0]: int of 2,097,153 bits"),
        (lambda: 0, "data: function cannot be sent"),
    ],
)  # fmt: skip
def test_what_has_no_codec_is_refused_by_its_place(value: Any, told: str) -> None:
    with pytest.raises(RoutineValueError) as caught:
        canonical(value, path="data")
    assert told in caught.value.fact
    assert len(caught.value.fact) < 400
    assert caught.value.next_step


def test_two_hundred_levels_are_sent() -> None:
    assert restore_text(canonical(nested(200))) == nested(200)


@pytest.mark.parametrize(
    "data",
    [
        *({"$x": 1}, {"$t": 5}, {"$t": "ab"}, {"$i": 5}, {"$i": "x"}, {"$i": "9" * 400_000}, {"$f": "1"}, {"$f": []}),
        *({"$b": "é"}, {"$b": "====a"}, {"$m": [[1]]}, {"$m": [[[], 1]]}, {"$m": 7}, {"$s": [[]]}, {"$fs": [{}]}),
        *({"$date": "x"}, {"$date": 1}, {"$time": []}, {"$timedelta": [1, 2]}, {"$timedelta": [10**18, 0, 0]}),
        *({"$datetime": ["2025-01-01T00:00:00", 0, "../../etc/passwd"]}, {"$datetime": ["2025-01-01", 0, "No/Zone"]}),
        *({"$datetime": ["2025-01-01T00:00:00+05:00", 0, "Europe/Berlin"]}, {"$datetime": ["2025-01-01", 2, None]}),
        *({"$uuid": "x"}, {"$uuid": {}}, {"$decimal": "x"}, {"$decimal": 1.5}, {"$complex": [1, 2]}, {"$path": "a"}),
        *({"$path": ["os", "a"]}, {"$o": ["os.system", 1, {}]}, {"$o": []}, {"$e": [[], 1, "A"]}),
        *({"$a": []}, {"$a": ["x"]}, {"$a": 5}),
        *({"$large": ["0" * 64, 5]}, {"$bytes": ["../../etc/passwd", 5]}, {"$bytes": 5}, {"$file": ["0" * 64, 5]}),
        *({"a": 1, "$t": []}, {"$t": [], "$s": []}, nested(201), {1, 2}),
    ],
    ids=lambda data: str(data)[:40],
)  # fmt: skip
def test_what_stands_for_no_value_is_refused(data: Any, files: ArtifactStore) -> None:
    with pytest.raises((RoutineValueError, ArtifactError)):
        restore({"rows": [data]}, files=files)


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1", '{"a":1}x', "[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RoutineValueError, match=r"^value: it is"):
        restore_text(text)


_OTHER_TAGS = ("$date", "$datetime", "$n", "$a", "$o", "$x", "a")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*sorted(READERS), *_OTHER_TAGS]), inner, max_size=2),
        max_leaves=10,
    )
)  # fmt: skip
def test_whatever_is_read_is_a_value_or_refused(data: Any) -> None:
    try:
        value = restore(data)
    except RoutineValueError:
        return
    canonical(value)


def test_forged_large_values_are_refused(files: ArtifactStore) -> None:
    digest = files.put_bytes(b"[1,2]")
    assert restore({"$large": [digest, 5]}, files=files) == [1, 2]
    for data in ([digest, 6], [digest, 1 << 40], [digest, "5"], [digest], 5, ["0" * 63, 5], [5, 5]):
        with pytest.raises(RoutineValueError):
            restore({"$large": data}, files=files)
    with pytest.raises(ArtifactError, match="not in the store"):
        restore({"$large": ["0" * 64, 5]}, files=files)
    with pytest.raises(RoutineValueError, match="no JSON"):
        restore({"$large": [files.put_bytes(b"print"), 5]}, files=files)
    with pytest.raises(RoutineValueError, match=r"\$large"):
        restore([{"$large": [digest, 5]}], files=files)


def test_tags_are_known_by_their_names() -> None:
    assert reader_for("$decimal") is READERS["$decimal"] is READ["$decimal"]
