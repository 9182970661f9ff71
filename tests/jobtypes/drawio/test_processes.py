"""Crashes, hangs and killed owners: what the converter does, and that no process is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from tests.jobtypes.drawio.conftest import Studio
from tests.jobtypes.drawio.diagrams import cell, model
from tests.support.tools import require

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.browser import Browser
from clx.jobtypes.drawio import converter as module
from clx.jobtypes.drawio.converter import DrawioConverter
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.settings.schema import Settings
from clx.tools.finding import locate

PLAIN = model(cell("plain"))


def browser_group(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def wait_until_empty(group: int) -> list[psutil.Process]:
    """What is left of a process group after at most 15 seconds."""
    psutil.wait_procs(browser_group(group), timeout=15)
    return browser_group(group)


def group_of(studio: Studio) -> int:
    exporter = studio.converter._exporter
    assert exporter is not None
    return exporter.browser.pid


def test_close_leaves_nothing_and_the_next_job_starts_anew(own_studio: Studio) -> None:
    own_studio.png(PLAIN)
    group = group_of(own_studio)
    assert len(browser_group(group)) > 1
    own_studio.converter.close()
    own_studio.converter.close()
    assert wait_until_empty(group) == []
    assert own_studio.png(PLAIN)


def test_the_browser_stays_warm_and_is_recycled(own_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECYCLE_AFTER", 3)
    own_studio.png(PLAIN)
    group = group_of(own_studio)
    own_studio.png(PLAIN)
    assert group_of(own_studio) == group
    own_studio.png(PLAIN)
    assert wait_until_empty(group) == []
    own_studio.png(PLAIN)
    assert group_of(own_studio) != group


def test_mathjax_is_loaded_for_formulas_only_and_changes_no_other_picture(own_studio: Studio) -> None:
    """A page without formulas does not wait for it; the first formula gets a browser that has it, which stays."""
    has_math = "typeof MathJax === 'object' && 'typesetPromise' in MathJax"

    def is_loaded() -> object:
        exporter = own_studio.converter._exporter
        assert exporter is not None
        return exporter.browser.evaluate(has_math, session=exporter.page.session, timeout=60)

    first, first_svg = own_studio.png(PLAIN), own_studio.svg(PLAIN)
    assert not is_loaded()
    assert "mjx" in own_studio.svg(model(cell(r"$$\frac{1}{3}$$"), attributes='math="1"'))
    assert is_loaded()
    group = group_of(own_studio)
    assert (own_studio.png(PLAIN), own_studio.svg(PLAIN)) == (first, first_svg)
    assert group_of(own_studio) == group


@pytest.mark.parametrize("victim", ["whole group", "renderers"])
def test_a_killed_browser_is_replaced_once_within_the_job(own_studio: Studio, victim: str) -> None:
    first = own_studio.png(PLAIN)
    group = group_of(own_studio)
    if victim == "whole group":
        os.killpg(group, signal.SIGKILL)
    else:
        for process in browser_group(group):
            if "--type=renderer" in process.cmdline():
                process.kill()
    assert own_studio.png(PLAIN) == first
    assert group_of(own_studio) != group
    assert wait_until_empty(group) == []


def test_a_browser_that_always_dies_is_a_retryable_error(own_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each browser is killed by the real signal as soon as it is warm."""
    warm = DrawioConverter._warm

    def warm_then_killed(converter: DrawioConverter) -> object:
        exporter = warm(converter)
        os.killpg(exporter.browser.pid, signal.SIGKILL)
        return exporter

    monkeypatch.setattr(DrawioConverter, "_warm", warm_then_killed)
    with pytest.raises(ConversionError, match="ended twice while it drew page 1") as caught:
        own_studio.png(PLAIN)
    assert caught.value.retryable


def test_a_page_that_takes_too_long_is_given_up(own_studio: Studio) -> None:
    own_studio.png(PLAIN)
    group = group_of(own_studio)
    exporter = own_studio.converter._exporter
    assert exporter is not None
    exporter.browser.evaluate("clx.draw = () => { for (;;); }; 1", session=exporter.page.session, timeout=60)
    started = time.monotonic()
    with pytest.raises(ConversionError, match=r"Page 1 was not drawn within 0\.5 s") as caught:
        own_studio.png(PLAIN, timeout=0.5)
    assert time.monotonic() - started < 30
    assert not caught.value.retryable
    assert wait_until_empty(group) == []
    assert own_studio.png(PLAIN)


OWNER = """
    import sys
    from pathlib import Path
    from clx.settings.schema import Settings
    from clx.jobtypes.drawio.converter import DrawioConverter

    inputs, outputs, work_dir, mood = sys.argv[1:]
    converter = DrawioConverter(Settings(), Path(work_dir))
    converter.convert({"source": "d.drawio", "format": "png"}, Path(inputs), Path(outputs), print)
    exporter = converter._exporter
    print(exporter.browser.pid, flush=True)
    if mood == "busy":
        exporter.browser.evaluate("(() => { for (;;); })()", session=exporter.page.session, timeout=60)
    sys.stdin.read()
"""


@pytest.mark.parametrize("mood", ["idle", "busy"])
def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path, mood: str) -> None:
    require("drawio")
    for name in ("in", "out", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "d.drawio").write_text(PLAIN)
    directories = [str(tmp_path / name) for name in ("in", "out", "work")]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), *directories, mood],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        assert len(browser_group(group)) > 1
        owner.kill()
        owner.wait()
        assert wait_until_empty(group) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_the_browser_gets_no_descriptors_but_its_own(own_studio: Studio) -> None:
    own_studio.png(PLAIN)
    mine = psutil.Process().num_fds()
    own_studio.converter.close()
    assert psutil.Process().num_fds() == mine - 3, "two pipe ends and the log"


def test_a_browser_that_is_none_is_a_missing_tool(tmp_path: Path) -> None:
    require("drawio")
    settings = Settings().having(DrawioSettings(executable="/bin/false"))
    converter = DrawioConverter(settings, tmp_path)
    (tmp_path / "d.drawio").write_text(PLAIN)
    with pytest.raises(ToolMissingError, match="/bin/false does not start"):
        converter.convert({"source": "d.drawio"}, tmp_path, tmp_path, print)
    assert [path.name for path in tmp_path.iterdir()] == ["d.drawio"]


def killed_while_starting(directory: Path, *, times: int) -> DrawioConverter:
    """A converter whose browser is killed by the real signal the first *times* times that it starts."""
    real = locate("browser", Settings())
    assert real is not None
    starts, script = directory / "starts", directory / "browser"
    starts.touch()
    script.write_text(
        f'#!/bin/sh\necho >>"{starts}"\necho "[1:WARNING:sandbox/linux.cc] a warning" >&2\n'
        f'[ "$(wc -l <"{starts}")" -gt {times} ] || kill -KILL $$\n'
        f'exec {real.path} "$@"\n'
    )
    script.chmod(0o755)
    (directory / "work").mkdir()
    return DrawioConverter(Settings().having(DrawioSettings(executable=str(script))), directory / "work")


def test_a_browser_killed_while_it_starts_is_replaced_within_the_job(tmp_path: Path) -> None:
    require("drawio")
    converter = killed_while_starting(tmp_path, times=1)
    assert Studio(tmp_path, converter).png(PLAIN)
    converter.close()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_browser_always_killed_while_it_starts_is_a_retryable_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short memory passes: the job is worth another run, unlike one whose browser cannot start."""
    require("drawio")
    monkeypatch.setattr(Browser, "_sandbox", True)
    converter = killed_while_starting(tmp_path, times=1000)
    with pytest.raises(ConversionError, match="killed while it started") as caught:
        Studio(tmp_path, converter).png(PLAIN)
    assert caught.value.retryable
    assert list((tmp_path / "work").iterdir()) == []
    assert Browser._sandbox, "what Chromium warns of is no reason to draw without its sandbox"


def test_a_profile_into_which_a_dying_process_still_writes_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("drawio")
    found = locate("browser", Settings())
    assert found is not None
    browser = Browser(found.path, tmp_path, lambda _event: None)
    remove = shutil.rmtree
    written: list[Path] = []

    def remove_and_write(path: Path, *, ignore_errors: bool = False) -> None:
        remove(path, ignore_errors=ignore_errors)
        if not written:
            path.mkdir()
            (path / "Preferences").touch()
            written.append(path)

    monkeypatch.setattr(shutil, "rmtree", remove_and_write)
    browser.kill()
    assert written
    assert list(tmp_path.iterdir()) == []


def test_formulas_without_mathjax_name_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("drawio")
    monkeypatch.setenv("DRAWIO_MATH", str(tmp_path))
    (tmp_path / "d.drawio").write_text(model(cell("$$x$$"), attributes='math="1"'))
    converter = DrawioConverter(Settings())
    with pytest.raises(ConversionError, match="MathJax") as caught:
        converter.convert({"source": "d.drawio"}, tmp_path, tmp_path, print)
    assert "clx tools install drawio-math" in caught.value.next_step
