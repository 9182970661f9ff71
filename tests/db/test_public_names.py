"""``import clx`` costs nothing and offers the queue."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import clx
from clx import errors


def test_the_names_are_what_they_say() -> None:
    namespace: dict[str, Any] = {}
    exec("from clx import *", namespace)
    del namespace["__builtins__"]
    modules = {name for name, found in namespace.items() if isinstance(found, ModuleType)}
    assert modules == {"define"}
    assert all(found.__name__.rpartition(".")[2] == name for name, found in namespace.items())
    others = {name for name in namespace if name not in vars(errors)}
    assert others == {
        "AsyncQueue",
        "Client",
        "Consumer",
        "Failure",
        "File",
        "Hooks",
        "Job",
        "NewJob",
        "Queue",
        "Schedule",
        "Success",
        "Task",
        "Work",
        "define",
        "lifecycle",
        "progress",
        "task",
    }
    with pytest.raises(AttributeError):
        clx.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_know_the_same_names() -> None:
    stub = ast.parse(Path(clx.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    names = {name.name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert names == {*clx._PUBLIC, *clx._MODULES}  # type: ignore[attr-defined]


def test_every_error_of_the_queue_comes_from_clx() -> None:
    """Those that docstrings of public names promise, those that the room of the queue raises, and kinds of these."""
    known = {name: found for name, found in vars(errors).items() if isinstance(found, type)}
    found = {name for text in _raises() for name in re.findall(r"\w+", text) if name in known}
    for path in (Path(clx.__file__).parent / "db").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
        found |= {ast.unparse(each).partition("(")[0] for each in raised} & set(known)
    roots = tuple(
        known[name] for name in found - {"UsageError"}
    )  # what is wrong with courses is no matter of the queue
    found |= {name for name, each in known.items() if issubclass(each, roots)}
    assert found >= {"QueueError", "JobExistsError", "LostRunError", "DatabaseInUseError", "DatabaseBusyError"}
    assert found - set(clx.__all__) == set()


def _raises() -> list[str]:
    """The ``Raises`` sections of the public names and of their public methods."""
    classes = [getattr(clx, name) for name in clx.__all__ if name not in vars(errors)]
    members = [getattr(each, name) for each in classes for name in dir(each) if not name.startswith("_")]
    docs = [inspect.getdoc(each) or "" for each in (*classes, *members)]
    return [found for doc in docs for found in re.findall(r"^Raises:\n((?:    .*\n?)+)", doc, re.MULTILINE)]


def test_importing_clx_imports_nothing_heavy() -> None:
    code = (
        "import sys, clx; print(sorted({n.split('.')[0] for n in sys.modules} & {'msgspec', 'sqlalchemy', 'sqlite3'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
