"""The pinned browser: found where, drawing what, and when ``--all`` leaves it out."""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from tests.jobtypes.drawio.diagrams import BLUE, blue_box, cell, model
from tests.support.tools import require as require_tools

from clx.jobtypes.drawio.converter import DrawioConverter
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.tools.catalog import PINS, install_hint
from clx.tools.finding import Tool, cache_directory, cache_root, cached, require
from clx.tools.install import install

HERE = f"{os.uname().sysname} {os.uname().machine}"


def require_machine() -> None:
    if not PINS["browser"].runs_here():
        pytest.skip(f"there is no pinned browser for {HERE}")


@pytest.fixture(scope="session")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """The browser itself, 70 MB, fetched once; npm's own cache may have it already."""
    require_machine()
    require_tools("npm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLX_CACHE_DIR", str(tmp_path_factory.mktemp("browser")))
        return install("browser", lambda _line: None)


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def put_in_cache() -> Path:
    return program(cache_directory(PINS["browser"]) / PINS["browser"].entry)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine the pin is made for, with an empty path and cache."""
    monkeypatch.setitem(PINS, "browser", msgspec.structs.replace(PINS["browser"], system=HERE))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CHROME_PATH", raising=False)
    monkeypatch.setattr("clx.tools.finding._files", lambda _name: ())
    return tmp_path


def draw(text: str, root: Path, picture_format: str) -> bytes:
    inputs, outputs = root / "in", root / "out"
    for directory in (inputs, outputs):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    (inputs / "d.drawio").write_text(text)
    converter = DrawioConverter(Settings())
    try:
        payload = {"source": "d.drawio", "format": picture_format, "scale": 1.0, "border": 0}
        converter.convert(payload, inputs, outputs, lambda _line: None)
    finally:
        converter.close()
    return (outputs / f"1.{picture_format}").read_bytes()


def test_the_pinned_browser_draws(pinned: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same shapes as any Chromium draws, and the same bytes each time."""
    require_tools("drawio")
    written = model(blue_box(), cell("Straße → λ", y=140, number=3))
    others = Image.open(io.BytesIO(draw(model(blue_box()), tmp_path, "png"))).convert("RGB")
    monkeypatch.setenv("CHROME_PATH", str(pinned.path))
    assert require("browser", Settings()).path == pinned.path
    own = Image.open(io.BytesIO(draw(model(blue_box()), tmp_path, "png"))).convert("RGB")
    assert own.getpixel((60, 30)) == BLUE
    assert (own.size, own.tobytes()) == (others.size, others.tobytes())
    for picture_format in ("png", "svg"):
        assert draw(written, tmp_path, picture_format) == draw(written, tmp_path, picture_format)


def test_the_pinned_browser_says_the_pinned_version(pinned: Tool) -> None:
    said = subprocess.check_output([pinned.path, "--version"], text=True)
    assert said.split() == ["Chromium", PINS["browser"].version]


def test_the_cached_browser_is_preferred_and_known_by_its_version(bare: Path) -> None:
    system = program(bare / "bin" / "chromium")
    assert require("browser", Settings()).path == system
    assert JOB_TYPES["drawio"].fingerprint(Settings())["browser"].startswith(str(system.resolve()))
    copy = put_in_cache()
    found = require("browser", Settings())
    assert (found.path, found.origin) == (copy, "cache")
    assert JOB_TYPES["drawio"].fingerprint(Settings())["browser"] == PINS["browser"].version


def test_a_copy_for_another_machine_does_not_count(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_cache()
    assert cached("browser") is not None
    monkeypatch.setitem(PINS, "browser", msgspec.structs.replace(PINS["browser"], system="Plan9 vax"))
    assert cached("browser") is None


@pytest.mark.parametrize(
    ("distribution", "manager", "made_for", "hint"),
    [
        ("debian", "apt-get", HERE, "sudo apt-get install chromium"),
        ("ubuntu", "apt-get", HERE, "clx tools install browser"),
        ("ubuntu", "apt-get", "Plan9 vax", "sudo snap install chromium"),
        ("fedora", "dnf", HERE, "sudo dnf install chromium-headless"),
        ("other", "other", HERE, "clx tools install browser"),
    ],
)
def test_the_hint_names_what_works_here(
    bare: Path, monkeypatch: pytest.MonkeyPatch, distribution: str, manager: str, made_for: str, hint: str
) -> None:
    program(bare / "bin" / manager)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": distribution})
    monkeypatch.setitem(PINS, "browser", msgspec.structs.replace(PINS["browser"], system=made_for))
    assert install_hint("browser") == hint


def clx(*arguments: str, cwd: Path, **variables: str) -> str:
    command = [sys.executable, "-m", "clx", "tools", "install", *arguments]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@pytest.fixture
def others_installed(tmp_path: Path) -> Path:
    """A cache that holds everything but the browser."""
    require_tools("plantuml")
    require_tools("drawio")
    (tmp_path / "cache" / "tools").mkdir(parents=True)
    for name in ("plantuml", "drawio", "drawio-math"):
        (tmp_path / "cache" / "tools" / name).symlink_to(cache_root() / "tools" / name)
    return tmp_path / "cache"


def test_all_leaves_the_browser_out_where_there_is_one(others_installed: Path, tmp_path: Path) -> None:
    chosen = program(tmp_path / "chromium")
    said = clx("--all", cwd=tmp_path, CLX_CACHE_DIR=str(others_installed), CHROME_PATH=str(chosen))
    assert said.startswith("0\n")
    assert f"browser is {chosen} (environment); `clx tools install browser` would fetch the pinned one\n" in said
    assert not (others_installed / "tools" / "browser").exists()


def test_all_fetches_the_browser_where_there_is_none(others_installed: Path, tmp_path: Path) -> None:
    """It is tried, which shows without a package client in one line."""
    require_machine()
    said = clx("--all", cwd=tmp_path, CLX_CACHE_DIR=str(others_installed), PATH=str(tmp_path), CHROME_PATH="")
    assert said.startswith("3\n")
    assert "There is no npm" in said


def test_installing_plantuml_prepares_it(others_installed: Path, tmp_path: Path) -> None:
    """The first worker does not spend a second on the archive of classes when it ends."""
    said = clx("plantuml", cwd=tmp_path, CLX_CACHE_DIR=str(others_installed))
    assert said.startswith("0\n")
    assert [each.suffix for each in (others_installed / "java-classes").iterdir()] == [".jsa"]


def test_plantuml_is_installed_also_without_java(others_installed: Path, tmp_path: Path) -> None:
    said = clx("plantuml", cwd=tmp_path, CLX_CACHE_DIR=str(others_installed), PATH=str(tmp_path))
    assert said.startswith("0\n")
    assert "plantuml cannot run yet: java is not installed." in said
