"""The example of works: a pipeline by one command, with its page."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

import clx.pipelines
from clx import Work
from clx.cli import buckets, pipelines, work

EXAMPLE = Path(__file__).parents[2] / "examples" / "work"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, without what it may have left where it lies."""
    left = shutil.ignore_patterns("jobs.db*", "artifacts", "output", "__pycache__")
    return shutil.copytree(EXAMPLE, tmp_path / "work", ignore=left)


def test_it_runs_and_leaves_plots_and_results(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "--no-page"], cwd=project, capture_output=True, text=True, timeout=120, check=True
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("event ")]
    assert sorted(told) == sorted(line for line in README.splitlines() if line.startswith("event "))
    where = project / ".clx" / "jobs.db"
    reports = Work.search(tag="report", where=where)
    assert {work.results["dm"] for work in reports} == {480, 320, 260}
    assert all(work.results["measurements"] == 8 and work.results["agreement"] > 0.9 for work in reports)
    for work in reports:
        (plot,) = work.artifacts["plots"]
        assert Path(plot["path"]).read_bytes().startswith(b"\x89PNG")
        assert plot["digest"]
    failed = Work.search(pipeline="localise", status="failure", where=where)
    assert {(work.parameters["band"], work.parameters["baseline"]) for work in failed} == {(400, 3370)}
    assert Work.count(where=where) == 4 + 27 + 3 + 1


def test_its_page_is_there_until_ctrl_c(project: Path) -> None:
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
    (found, *_) = clx.pipelines.search(name="bursts", where=project / ".clx" / "jobs.db")
    with browser.open(f"{url.partition('?')[0]}pipelines/{found['id']}") as page:
        assert b"localise" in page.read()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_readme_names_commands_that_there_are() -> None:
    named = re.findall(r"clx (work|pipelines|results) (\w+)", README)
    assert len(named) > 8
    groups = {"work": work.command, "pipelines": pipelines.command, "results": buckets.results}
    for group, name in named:
        assert name in groups[group].commands
