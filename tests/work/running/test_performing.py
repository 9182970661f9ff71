"""What functions return is told as results, products and plots; what may be called is found, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from clx.errors import UsageError
from clx.work.running import commands
from clx.work.running.functions import allowed, static
from clx.work.running.performing import Performer, said


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (None, None, None)),
        (3, ({"result": 3}, None, None)),
        ({"a": 1}, ({"a": 1}, None, None)),
        (({"a": 1}, ["p"], [Path("q")]), ({"a": 1}, ["p"], ["q"])),
        ((None, None, ["q"]), (None, None, ["q"])),
        ((1, 2, 3), ({"result": [1, 2, 3]}, None, None)),
        (({"a": 1}, "p", "q"), ({"result": [{"a": 1}, "p", "q"]}, None, None)),
        ({"n": np.float64(0.5), "of": [np.arange(2)]}, ({"n": 0.5, "of": [[0, 1]]}, None, None)),
        ({"at": Path("x")}, ({"at": "x"}, None, None)),
        ({1: {2: 3}}, ({"1": {"2": 3}}, None, None)),
        (({1: {2: Path("x")}}, None, None), ({"1": {"2": "x"}}, None, None)),
    ],
)  # fmt: skip
def test_what_a_function_returns_is_told(value: Any, expected: Any) -> None:
    assert said(value) == expected


SPEC = {"command": None, "modules": (), "commands": (), "argsource": "parameters"}


def answer(spec: dict[str, Any], does: Any, **work: Any) -> list[Any]:
    return Performer({**SPEC, **spec}, does)("work", msgspec.json.encode(work))


def test_a_performer_answers_whatever_happens() -> None:
    how, told = answer({}, lambda a: a + 1, parameters={"a": 1})
    assert (how, msgspec.json.decode(told)["results"]) == ("done", {"result": 2})
    how, error, *_ = answer({}, lambda: 1 / 0)
    assert (how, error["type"]) == ("failed", "ZeroDivisionError")
    assert error["traceback"].splitlines()[1].strip().startswith(f'File "{__file__}", line ')  # none of ours above it
    assert answer({}, lambda a: a)[1]["traceback"].startswith("TypeError: ")
    how, error, *_ = answer({}, None, function="os.system", parameters={"command": "false"})
    assert (how, error["type"]) == ("failed", "UsageError")
    how, error, *_ = answer({"commands": ("true",)}, None, command=["false"])
    assert "not allowed" in error["message"]


def test_functions_are_found_by_their_path() -> None:
    assert static("clx.db.works.fields.known").__name__ == "known"
    assert static("clx.db.works.fields:known").__name__ == "known"
    assert static("clx.work.work.Work.from_dict").__name__ == "from_dict"
    for target, fact in (
        ("known", "names no function"),
        ("clx.db.works.fields.knwon", "has no knwon"),
        ("clx.work.nothing.known", "has no nothing"),
        ("no_such_module.known", "There is no module"),
        ("clx.db.works.fields.LONGEST_TIMEOUT", "is no function"),
        ("clx.db.works.fields", "is no function"),
        ("a..b", "names no function"),
    ):
        with pytest.raises(UsageError, match=fact):
            static(target)


def test_what_a_work_names_is_defined_where_it_says() -> None:
    assert allowed("clx.db.works.fields.known", ["clx.db.works.fields"]).__name__ == "known"
    for target in (
        "clx.db.works.fields.encode",
        "clx.db.works.fields._text",
        "clx.work.work.Work",
        "known",
        ".known",
        "",
    ):
        with pytest.raises(UsageError):
            allowed(target, ["clx.db.works.fields"])


def test_programs_are_found_before_anything_else() -> None:
    assert commands.program("sh").endswith("sh")
    with pytest.raises(UsageError, match="There is no program"):
        commands.program("no-such-program")
