"""The digest of a step's code: what changes it and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from clx.daily.code import code_of

TEXT = """
LIMIT = 3
OTHER = 1

def helper(x):
    return deeper(x)

def deeper(x):
    return x + LIMIT

def unused():
    return OTHER

def step(x):
    return [helper(each) for each in x]
"""


@pytest.fixture
def digest(tmp_path: Path) -> Any:
    count = iter(range(100))

    def of(text: str, version: str = "") -> str:
        path = tmp_path / f"m{next(count)}.py"
        path.write_text(text)
        spec = util.spec_from_file_location("flowfile", path)
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return code_of(module.step, version)

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [("helper(each)", "helper(each) * 2"), ("x + LIMIT", "x - LIMIT"), ("LIMIT = 3", "LIMIT = 4")],
    ids=["itself", "what it calls by another", "a constant of that"],
)
def test_what_it_uses_changes_it(digest: Any, old: str, new: str) -> None:
    assert digest(TEXT) != digest(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [("OTHER = 1", "OTHER = 2"), ("def deeper(x):", "# words\n\n\ndef deeper(x):  # words"), ("return OTHER", "pass")],
    ids=["a constant of others", "comments and blank lines", "a function of others"],
)
def test_what_it_does_not_use_does_not(digest: Any, old: str, new: str) -> None:
    assert digest(TEXT) == digest(TEXT.replace(old, new))


def test_a_version_changes_it(digest: Any) -> None:
    assert digest(TEXT) != digest(TEXT, "2")


def test_a_function_that_has_no_source_has_one_too() -> None:
    space: dict[str, Any] = {}
    exec("def step(x):\n    return x + 1", space)
    other: dict[str, Any] = {}
    exec("def step(x):\n    return x + 2", other)
    assert code_of(space["step"]) != code_of(other["step"])


HELD = """
ODD = {"a": [1, 2], "b": (3,)}
WORDS = frozenset({"one", "two", "three", "four"})

def first(x):
    return x

def second(x):
    return x + 1

WAYS = {"a": first, "b": second, "c": lambda x: x - 1, "d": lambda x: x - 2}
LOOP = []
LOOP.append(LOOP)

def step(x):
    return [WAYS[each](x) for each in WORDS & ODD.keys()], LOOP, SOME
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[1, 2]", "[1, 3]"), ('"b": (3,)', '"b": [3]'), ('"four"', '"five"'), ("x + 1", "x + 2"), ("x - 2", "x - 3"),
        ('"a": first, "b": second', '"a": second, "b": first'),
    ],
)  # fmt: skip
def test_what_constants_hold_changes_it(digest: Any, old: str, new: str) -> None:
    assert old in HELD
    assert digest(HELD) != digest(HELD.replace(old, new))


def test_where_its_file_lies_does_not(digest: Any) -> None:
    """Each machine has it elsewhere, and a worker refuses a step of another code."""
    text = HELD.replace("def step", "from pathlib import Path\n\nSOME = Path(__file__), [Path(__file__)]\n\ndef step")
    assert digest(text) == digest(text)  # each is a file of its own


def test_it_is_the_same_in_each_process(tmp_path: Path) -> None:
    """Sets of texts have another order in each, and objects another place."""
    text = HELD.replace("def step", "SOME = (object(), object)\n\ndef step")
    (tmp_path / "held.py").write_text(text)
    said = "import held; from clx.daily.code import code_of; print(code_of(held.step))"
    found = {
        subprocess.run(
            [sys.executable, "-c", said], cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": seed},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(found) == 1
