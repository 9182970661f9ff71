"""The example of a day: staging, two machines' workers and the lake by one command."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clx.cli import daily

EXAMPLE = Path(__file__).parents[2] / "examples" / "daily"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
_SILVER, _GOLD = "clean/silver/slm_results/2026/11/27", "clean/gold/aggregated/2026/11/27"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, without what it may have left where it lies."""
    left = shutil.ignore_patterns("jobs.db*", "artifacts", "output", "__pycache__")
    return shutil.copytree(EXAMPLE, tmp_path / "daily", ignore=left)


def run(project: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "run.py", *words], cwd=project, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def clx(project: Path, *words: str) -> str:
    """What a command says, however it ends: after 09:00 `check` tells that the day is late."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "clx", *words], cwd=project, capture_output=True, text=True, check=False
    ).stdout


def told(text: str) -> list[str]:
    """The lines of *text* that are the same each time."""
    kept = [each for each in text.splitlines() if re.match("A token|Staging|The lab|lab of|Gold", each)]
    return [re.sub(r":\d+;| \(.* s\)", "", each) for each in kept]


def test_a_day_goes_through_staging_and_machines_into_the_lake_once(project: Path) -> None:
    assert told(run(project, "--port", "0")) == told(README)
    lake = project / "output" / "lake"
    silver = sorted(each.name for each in (lake / _SILVER).iterdir())
    assert silver == ["_schema.json", *(f"slm_{slm}_job_1.parquet" for slm in range(1, 8))]
    gold = pq.read_table(lake / _GOLD / "job_1.parquet").to_pydict()
    assert gold["sensor"] == list(range(20))
    assert gold["score_count"] == [7] * 20
    assert max(range(20), key=gold["score_mean"].__getitem__) == 13
    assert list((project / "output" / "staging").glob("2026/**/*")) == []
    run(project, "--port", "0")
    ran = json.loads(clx(project, "jobs", "list", "--format", "json", "--limit", "100"))["jobs"]
    assert sum(each["type"].startswith("task:") for each in ran) == 3 + 7 + 3
    assert json.loads((lake / _GOLD / "_schema.json").read_text())["version"] == 1


def test_a_port_that_is_taken_is_told(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run(project, "--port", str(taken.getsockname()[1]), code=1)
    assert "is taken" in said
    assert "Another port" in said


def test_it_has_the_numbers_that_the_readme_says(project: Path) -> None:
    found = json.loads(clx(project, "daily", "check", "--format", "json", "flow.py"))
    steps = {each["name"]: (each["timeout"], each["max_runs"], each["pool"]) for each in found["steps"]}
    preparation = dict.fromkeys(("extract", "preprocess", "patterns"), (900, 3, "lake"))
    assert steps == {
        **preparation, "infer": (1800, 3, "models"), "transfer": (300, 3, "lake"), "aggregate": (600, 3, "lake"),
        "cleanup": (300, 3, "lake"),
    }  # fmt: skip
    assert (found["at"], found["by"], found["zone"]) == ("06:00", "09:00", "Europe/Berlin")
    assert [(each["items"], each["enough"]) for each in found["steps"] if each["items"]] == [(7, 6)]


def test_the_readme_names_commands_that_there_are() -> None:
    named = re.findall(r"clx daily (\w+)", README)
    assert len(named) >= 5
    assert {*named} <= {*daily.command.commands}
