"""Every requirement has a row in the documentation, and every row a test that names it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDS = [
    f"REQ-{chapter}.{number}"
    for chapter, last in ((1, 5), (2, 4), (3, 7), (4, 5), (5, 4), (6, 4), (7, 4), (8, 4))
    for number in range(1, last + 1)
]
ROW = re.compile(r"^\| (REQ-\d\.\d) \| [^|]+ \| `([^`|]+)::([^`|]+)` \| ([^|]+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall((ROOT / "docs" / "requirements.md").read_text(encoding="utf-8"))


@cache
def functions_of(path: str) -> dict[str, str]:
    """Test function → its source."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_table_is_complete() -> None:
    assert [row[0] for row in rows()] == IDS


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_the_test_exists_and_names_its_requirement(row: tuple[str, str, str, str]) -> None:
    id_, path, name, _command = row
    assert id_ in functions_of(path)[name]


def test_commands_of_the_table_exist() -> None:
    from clx.cli.main import COMMANDS

    named = {word for *_, command in rows() for word in re.findall(r"clx ([a-z-]+)", command)}
    assert named <= set(COMMANDS)
