"""``clx serve bench``: simulations, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clx.cli.serve_bench import command
from clx.errors import UsageError


def test_policies_are_compared_on_the_same_requests(tmp_path: Path) -> None:
    (tmp_path / "times").write_text("1000000\n2000000\n" * 20)
    words = ["--simulate", "--requests", "200", "--times", str(tmp_path / "times"), "--json"]
    said = [CliRunner().invoke(command, words, catch_exceptions=False).output for _ in range(2)]
    assert said[0] == said[1]
    found = json.loads(said[0])
    assert found["mean_ms"] == 1.5
    assert set(found["policies"]["CLX"]) == {
        f"{kind} {load}" for kind in ("Poisson", "bursts") for load in (0.7, 1.5, 4)
    }
    assert all(each["kept_rate"] == 1.0 for each in found["policies"]["CLX"].values())


def test_a_table_without_json() -> None:
    said = CliRunner().invoke(command, ["--simulate", "--requests", "100"], catch_exceptions=False).output
    assert "CLX" in said
    assert "Poisson 0.7" in said
    assert "% of the most that anybody could" in said


@pytest.mark.parametrize("more", [[], ["--held", "10"]])
def test_a_fleet_beside_a_small_one(more: list[str]) -> None:
    words = ["--simulate", "--models", "50", "--workers", "3", "--json", *more]
    found = json.loads(CliRunner().invoke(command, words, catch_exceptions=False).output)["fleets"]
    assert set(found) == {"10 models, 2 workers", "50 models, 3 workers"}
    assert all(each["kept_rate"] >= 0.999 for each in found.values())
    assert (found["50 models, 3 workers"]["cold"] > 0) == bool(more)


def test_what_actions_took_is_replayed(tmp_path: Path) -> None:
    columns = ["server", "kind", "outcome", "rows", "took_ns"]
    rows = [["1", "load", "success", "0", "9"], *[["1", "infer", "success", "1", "2000000"]] * 30]
    rows.append(["1", "infer", "failed", "1", "0"])
    (tmp_path / "actions.tsv").write_text("\n".join("\t".join(row) for row in [columns, *rows]))
    words = ["--simulate", "--requests", "100", "--times", str(tmp_path / "actions.tsv"), "--json"]
    assert json.loads(CliRunner().invoke(command, words, catch_exceptions=False).output)["mean_ms"] == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "No model is named"),
        (["m", "--load", "replay"], "nothing to replay"),
        (["m", "--url", "ftp://x"], "no address"),
        (["--simulate", "--times", __file__], "Write nanoseconds"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], text: str) -> None:
    done = CliRunner().invoke(command, [*words])
    error = done.exception
    assert done.exit_code == 2 or isinstance(error, UsageError)
    assert text in (done.output + str(error) + str(getattr(error, "next_step", "")))
