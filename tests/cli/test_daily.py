"""``clx daily``: the real commands with real workers, and the lake that they leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.tools import skip_or_fail


def clx(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clx", *words], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def run(folder: Path, *words: str, code: int = 0) -> Any:
    done = clx(folder, "daily", "run", "flow.py", "--date", "2026-11-27", "--format", "json", *words, code=code)
    return json.loads(done.stdout) if code == 0 else done.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    clx(tmp_path, "daily", "new", "lab")
    return tmp_path / "lab"


def replace(lab: Path, old: str, new: str) -> None:
    text = (lab / "flow.py").read_text()
    assert old in text
    (lab / "flow.py").write_text(text.replace(old, new))


def jobs(lab: Path) -> list[str]:
    found = json.loads(clx(lab, "jobs", "list", "--format", "json", "--limit", "1000").stdout)["jobs"]
    return [each["type"] for each in found if each["type"].startswith("task:")]


def test_a_day_from_nothing_and_again_and_after_a_change(lab: Path) -> None:
    """A finished day does nothing; a changed model runs that model, what keeps it, and gold."""
    first = run(lab)
    assert (first["flow"], first["day"], first["missing"], first["errors"]) == ("lab", "2026-11-27", {}, {})
    gold = lab / "lake/clean/gold/aggregated/2026/11/27/day.parquet"
    assert pq.read_table(gold).num_rows == 20
    assert len(jobs(lab)) == 17
    run(lab)
    assert len(jobs(lab)) == 17
    replace(lab, "    score = pc.divide", "    slm = slm + 1 if slm == 3 else slm\n    score = pc.divide")
    run(lab)
    assert sorted(set(jobs(lab)[:99])) == sorted({f"task:lab.{each}:1.0.0" for each in (
        "arrive", "gold", "infer", "prepare", "silver")})  # fmt: skip
    assert len(jobs(lab)) == 17 + 7 + 1 + 1  # the models, silver of the third, gold
    told = json.loads((gold.parent / "_schema.json").read_text())
    assert told["version"] == 2
    said = clx(lab, "daily", "why", str(gold)).stdout
    for words in ("gold/aggregated 2026-11-27 version 2", "silver/slm_3", "lab.infer (job", "bronze/readings"):
        assert words in said
    status = json.loads(clx(lab, "daily", "status", "--format", "json").stdout)
    assert [(each["day"], each["state"]) for each in status["days"]] == [("2026-11-27", "done")]
    assert "2026-11-27  done" in clx(lab, "daily", "status").stdout


def test_six_of_seven_are_enough_and_five_are_not(lab: Path) -> None:
    replace(lab, "    score = pc.divide", '    if slm in {3}: raise ValueError("no mind")\n    score = pc.divide')
    found = run(lab)
    assert (found["missing"], found["errors"]) == ({"infer": [3], "silver": [3]}, {"infer[3]": "ValueError: no mind"})
    told = json.loads((lab / "lake/clean/gold/aggregated/2026/11/27/_schema.json").read_text())
    assert told["missing"] == ["3"]
    assert clx(lab, "daily", "status").stdout.splitlines()[1].split()[:2] == ["2026-11-27", "partial"]
    replace(lab, "{3}", "{3, 4}")
    said = run(lab, code=1)
    assert "no mind" in said
    assert "See which step: clx daily describe 2026-11-27 flow.py; -v" in said
    assert clx(lab, "daily", "status").stdout.splitlines()[1].split()[:2] == ["2026-11-27", "failed"]
    replace(lab, "if slm in {3, 4}", "if False")
    assert run(lab)["missing"] == {}
    told = json.loads((lab / "lake/clean/gold/aggregated/2026/11/27/_schema.json").read_text())
    assert (told["version"], told["missing"]) == (2, [])


def test_a_machine_without_a_network_runs_days(lab: Path) -> None:
    """As in a laboratory that has none: not even its own address answers there."""
    if os.geteuid() != 0:
        skip_or_fail("root", "a namespace without a network needs root")
    told = subprocess.run(
        ["unshare", "-n", sys.executable, "-P", "-m", "clx", "daily", "run", "flow.py", "--date", "2026-11-27"],
        cwd=lab, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert pq.read_table(lab / "lake/clean/gold/aggregated/2026/11/27/day.parquet").num_rows == 20
    assert len(jobs(lab)) == 17, "workers of its own did the steps"


def test_the_same_in_one_process(lab: Path) -> None:
    assert run(lab, "--local")["missing"] == {}
    assert (lab / "lake/clean/gold/aggregated/2026/11/27/day.parquet").exists()


def test_why_leads_to_what_came_in_where_the_lake_lies_outside_of_the_project(lab: Path, tmp_path: Path) -> None:
    """It has a table of its own there, and the jobs of the steps are in that of the flow."""
    (tmp_path / "data" / ".clx").mkdir(parents=True)
    replace(lab, 'Path(__file__).parent / "lake"', f'"{tmp_path / "data" / "lake"}"')
    run(lab, "--local")
    said = clx(tmp_path, "daily", "why", "data/lake/clean/gold/aggregated/2026/11/27/day.parquet").stdout
    for words in ("silver/slm_3", "lab.infer (job", "lab.prepare (job", "bronze/readings"):
        assert words in said


def test_what_a_flow_is_and_what_differs(lab: Path) -> None:
    run(lab, "--local")
    told = json.loads(clx(lab, "daily", "check", "--format", "json").stdout)
    assert [each["name"] for each in told["steps"]] == ["arrive", "prepare", "infer", "silver", "gold"]
    assert (told["lakes"][0]["days"], told["lakes"][0]["differs"], told["late"]) == (9, [], None)
    gold = lab / "lake/clean/gold/aggregated/2026/11/27/day.parquet"
    whole = gold.read_bytes()
    gold.write_bytes(b"other")
    assert "day.parquet has other bytes" in clx(lab, "daily", "check", code=1).stdout
    assert "laid out anew" in clx(lab, "daily", "check", "--repair").stdout
    assert gold.read_bytes() == whole
    rmtree(lab / "lake")
    again = clx(lab, "daily", "run", "--local", "--date", "2026-11-27").stderr
    assert "Warning: gold/aggregated of 2026-11-27 is not in" in again
    assert "9 differ" in clx(lab, "daily", "check", code=1).stdout
    assert "there is no folder" in clx(lab, "doctor", "--daily", "flow.py", code=3).stdout
    clx(lab, "daily", "check", "--repair")
    assert gold.read_bytes() == whole
    again = clx(lab, "daily", "run", "--local", "--date", "9999-12-30").stderr
    assert " is not in " not in again
    assert "Warning: 9999-12-30 is yet to come in Europe/Berlin" in again
    replace(lab, 'at="06:00"', 'by="00:00"')
    assert "LATE: " in clx(lab, "daily", "check", code=1).stdout


def test_what_is_wrong_is_told_with_the_way_out(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "of.v2.py").write_text("x = 1\n")
    for words, said in (
        (("run", "none.py"), "There is no flow"),
        (("run", "empty.py"), "has no flow"),
        (("run", "broken.py"), "Install nothing_of_that_name, or correct "),
        (("run", "of.v2.py"), "Call it NAME.py"),
        (("run", "lab/flow.py", "--date", "27.11."), "is no day"),
        (("run", "lab/flow.py", "--flow", "other"), "has no flow 'other'"),
        (("new", "lab"), "not an empty directory"),
        (("why", "lab/flow.py"), "lies in no lake"),
        (("describe", "2026-11-27", "lab/flow.py"), "Run it: clx daily run lab/flow.py --date DAY"),
    ):
        assert said in clx(tmp_path, "daily", *words, code=2).stderr


def test_days_are_listed_described_and_shown(lab: Path) -> None:
    assert "lab has not run here." in clx(lab, "daily", "list").stdout
    for command in ("describe", "show"):
        assert "has not run" in clx(lab, "daily", command, "2026-11-27", code=2).stderr
    replace(lab, "    score = pc.divide", '    if slm == 3: raise ValueError("no mind")\n    score = pc.divide')
    run(lab)
    assert "partial" in clx(lab, "daily", "list").stdout
    assert "no such run" in clx(lab, "daily", "list", "--state", "failed").stdout
    told = json.loads(clx(lab, "daily", "describe", "2026-11-27", "--format", "json").stdout)
    steps = {(each["step"], each["item"]): (each["state"], each["why"]) for each in told["steps"]}
    assert len(steps) == 16
    assert steps["infer", "3"] == ("failed", "no mind")
    assert {each["state"] for each in told["steps"] if each["item"] != "3"} == {"done"}
    gold = next(each for each in told["published"] if each["dataset"] == "gold/aggregated")
    assert (gold["version"], gold["rows"], gold["missing"]) == (1, 20, ["3"])
    assert gold["size"] == (Path(gold["folder"]) / "day.parquet").stat().st_size
    shown = clx(lab, "daily", "show", "2026-11-27").stdout
    for words in ("published  gold/aggregated version 1", "failed     infer[3]", "no mind", "begun      infer[7]"):
        assert words in shown
    assert "has not run for 2026-11-28" in clx(lab, "daily", "describe", "2026-11-28", code=2).stderr


def test_the_page_names_commands_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "daily.md").read_text(encoding="utf-8")
    named = re.findall(r"clx (daily|staging|jobs|workers|schedules|config) ([a-z]+)", page)
    assert len(named) > 40
    for group, name in named:
        assert name in import_module(f"clx.cli.{group}").command.commands, (group, name)
