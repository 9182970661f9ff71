"""The fingerprint: complete, cheap, and about tools only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.drawio.tools import is_desktop
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings


def executable(path: Path, content: str) -> Settings:
    path.write_text(content)
    path.chmod(0o755)
    return Settings().having(DrawioSettings(executable=str(path)))


def test_the_browser_is_told_by_path_size_and_time(tmp_path: Path) -> None:
    settings = executable(tmp_path / "chromium", "one")
    before = JOB_TYPES["drawio"].fingerprint(settings)
    assert set(before) == {"clx", "converter", "browser", "drawio", "math"}
    assert before["browser"].startswith(str((tmp_path / "chromium").resolve()))
    executable(tmp_path / "chromium", "another")
    longer = JOB_TYPES["drawio"].fingerprint(settings)
    os.utime(tmp_path / "chromium", (1, 1))
    later = JOB_TYPES["drawio"].fingerprint(settings)
    assert len({before["browser"], longer["browser"], later["browser"]}) == 3


def test_an_application_of_ones_own_is_told_by_its_main_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "export3.html").touch()
    main = tmp_path / "js" / "app.min.js"
    main.write_text("1")
    monkeypatch.setenv("DRAWIO_APP", str(tmp_path))
    before = JOB_TYPES["drawio"].fingerprint(Settings())["drawio"]
    main.write_text("12")
    assert JOB_TYPES["drawio"].fingerprint(Settings())["drawio"] != before


def test_scale_and_border_are_not_part_of_it() -> None:
    other = Settings().having(DrawioSettings(scale=1.0, border=0))
    assert JOB_TYPES["drawio"].fingerprint(Settings()) == JOB_TYPES["drawio"].fingerprint(other)


def test_desktop_has_no_web_application(tmp_path: Path) -> None:
    settings = executable(tmp_path / "drawio", "")
    assert set(JOB_TYPES["drawio"].fingerprint(settings)) == {"clx", "converter", "browser"}


@pytest.mark.parametrize(
    ("name", "desktop"),
    [("drawio", True), ("draw.io", True), ("drawio-x86_64-24.7.AppImage", True), ("chromium", False)],
)
def test_desktop_is_told_by_its_name(name: str, desktop: bool) -> None:
    assert is_desktop(Path("/opt/tools") / name) is desktop


def test_it_is_cheap() -> None:
    JOB_TYPES["drawio"].fingerprint(Settings())
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        JOB_TYPES["drawio"].fingerprint(Settings())
        best = min(best, time.perf_counter() - started)
    assert best < 0.02, "a browser that is asked for its version takes far longer"


def test_it_imports_nothing_heavy() -> None:
    heavy = "{'subprocess', 'xml.etree.ElementTree', 'defusedxml', 'clx.jobtypes.browser'}"
    code = (
        "import sys; from clx.jobtypes.registry import JOB_TYPES; from clx.settings.schema import Settings; "
        f"JOB_TYPES['drawio'].fingerprint(Settings()); print(sorted({heavy} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
