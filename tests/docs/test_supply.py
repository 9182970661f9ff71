"""What is fetched is exactly what was looked at, and what is said about it is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from clx.tools.catalog import PINS

_ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, str]:
    """Every requirement of the lock by its name, with all that is said of it; two for different Pythons are joined."""
    text = (_ROOT / "requirements-dev.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name = re.match(r"[a-z0-9-]+", line)
            assert name is not None, line
            found[name[0]] = found.get(name[0], "") + line
            assert re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line
    return found


def test_every_requirement_has_digests_and_none_is_missing() -> None:
    """Those of the package, its extras, its build and the developers' tools."""
    wanted = [*_PROJECT["project"]["dependencies"], *_PROJECT["build-system"]["requires"]]
    for extra in _PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[<>=;\[ ]", each)[0].lower() for each in wanted} - {_PROJECT["project"]["name"]}
    assert names <= set(locked())


def test_nothing_is_installed_without_its_digest() -> None:
    """Neither by ``make`` nor in the isolated environment that pip would make for the build."""
    installs = [line for line in (_ROOT / "Makefile").read_text("utf-8").splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes -r" in line or "--no-deps --no-build-isolation" in line for line in installs)


@pytest.mark.parametrize("name", PINS)
def test_where_tools_come_from_is_written_down(name: str) -> None:
    """Package, version and digest as they are pinned."""
    pin = PINS[name]
    text = (_ROOT / "docs" / "tools.md").read_text("utf-8")
    row = next(line for line in text.splitlines() if f"`{pin.package}` {pin.package_version}]" in line)
    assert f"| {pin.version} |" in row
    assert f"`{pin.sha256[:8]}…`" in row


def test_what_is_said_to_be_confined_is_held_by_tests_that_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (_ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(named) >= 12
    assert [path for path in named if not (_ROOT / path).is_file()] == []
