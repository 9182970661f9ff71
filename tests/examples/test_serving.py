"""The example of serving: two models trained, exported, served, asked and put under load by one command."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from clx.cli import models, serve

EXAMPLE = Path(__file__).parents[2] / "examples" / "serving"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, without what it may have left where it lies."""
    left = shutil.ignore_patterns("jobs.db*", "artifacts", "output", "__pycache__")
    return shutil.copytree(EXAMPLE, tmp_path / "serving", ignore=left)


def test_it_trains_serves_asks_and_loads(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "--no-page"], cwd=project, capture_output=True, text=True, timeout=280, check=True
    )
    told = [line for line in done.stdout.splitlines() if re.match(r"Model |digits|demand", line)]
    assert told == [line for line in README.splitlines() if re.match(r"Model |digits|demand", line)]
    assert re.search(r"^400/s +\d+ ", done.stdout, re.MULTILINE)
    assert b"<svg" in (project / "output" / "load.svg").read_bytes()


def test_its_page_has_the_models_until_ctrl_c(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "run.py"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
    browser = build_opener(HTTPCookieProcessor())
    browser.open(url).close()
    with browser.open(f"{url.partition('?')[0]}models") as page:
        assert re.search(rb'id="model-demand".*id="model-digits"', page.read(), re.DOTALL)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_readme_names_commands_that_there_are() -> None:
    named = re.findall(r"clx (serve|models) (\w+)", README)
    assert len(named) >= 5
    groups = {"serve": serve.command, "models": models.command}
    for group, name in named:
        assert name in groups[group].commands
