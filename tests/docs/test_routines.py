"""The page about tasks and workflows is true, and so is its example."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_routines import serving
from tests.support.scene import until

from clx.cli.routines import command
from clx.routines import registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "routines.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLE = ROOT / "examples" / "routines"


def clx(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-P", "-m", "clx", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The first example as ``search.py``, and workers for it at ``jobs.db``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "search", raising=False)
    (tmp_path / "search.py").write_text(EXAMPLES[0], encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clx", "routines", "work", "-m", "search", "--workers", "1", "--db", "jobs.db"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield tmp_path
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_the_examples_run(workers: Path) -> None:
    assert len(EXAMPLES) > 6
    until(lambda: serving(workers / "jobs.db"))
    namespace: dict[str, Any] = vars(import_module("search"))
    for example in EXAMPLES[1:]:
        exec(compile(example, "docs/routines.md", "exec", dont_inherit=True), namespace)
    asyncio.run(namespace["program"]())
    assert 0 <= namespace["draw"]().result() < 100


def test_every_command_and_the_keys_of_its_document_are_on_the_page() -> None:
    for name in command.commands:
        assert f"clx routines {name}" in PAGE
    for key in ("is_same_source", "recorded_values", "waits_for", "called_by", "removed", "nearest", "signature"):
        assert f"`{key}`" in PAGE


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:[a-z_]+/)+\w+\.py(?:::\w+)?)`", PAGE))))
def test_what_is_said_to_hold_a_promise_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    file = ROOT / "tests" / path
    assert file.is_file()
    if function:
        assert f"def {function}(" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [line for line in PAGE.splitlines() if line.startswith("| Guarantee")])
def test_every_guarantee_names_its_test(line: str) -> None:
    assert ".py" in line.split("|")[3]


def test_the_example_project_runs(tmp_path: Path) -> None:
    project = tmp_path / "routines"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("jobs.db*", "artifacts", "__pycache__"))
    found = json.loads(clx("routines", "run", "search", "-p", "epochs=200", cwd=project))
    assert found["hyperparameters"]["degree"] == 2
    again = json.loads(clx("routines", "run", "search", "-p", "epochs=200", "--format", "json", cwd=project))
    assert again["result"] == found
    tree = json.loads(clx("routines", "graph", str(again["job"]), "--format", "json", cwd=project))
    assert [each["state"] for each in tree["calls"]] == ["cached"] * 6


def test_the_readme_of_the_example_names_what_there_is() -> None:
    told = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"clx routines (\w+)", told):
        assert name in command.commands
