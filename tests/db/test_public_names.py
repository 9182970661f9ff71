"""``import clx`` costs nothing and offers the queue."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clx


def test_the_names_are_what_they_say() -> None:
    namespace: dict[str, type] = {}
    exec("from clx import *", namespace)
    del namespace["__builtins__"]
    assert {name: found.__name__ for name, found in namespace.items()} == {
        name: name for name in ("Cancelled", "Consumer", "Failure", "Job", "NewJob", "Queue", "Success")
    }
    with pytest.raises(AttributeError):
        clx.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_know_the_same_names() -> None:
    stub = ast.parse(Path(clx.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    names = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert names == set(clx._PUBLIC)  # type: ignore[attr-defined]


def test_importing_clx_imports_nothing_heavy() -> None:
    code = (
        "import sys, clx; print(sorted({n.split('.')[0] for n in sys.modules} & {'msgspec', 'sqlalchemy', 'sqlite3'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
