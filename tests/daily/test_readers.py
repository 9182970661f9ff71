"""What lies in a lake's folders is what pandas, polars and DuckDB read, as the guide lays it out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers")
    clx = [sys.executable, "-P", "-m", "clx", "daily"]
    subprocess.run([*clx, "new", "lab"], cwd=folder, check=True, capture_output=True, timeout=60)
    words = ["run", "flow.py", "--date", "2026-11-27", "--local"]
    subprocess.run([*clx, *words], cwd=folder / "lab", check=True, capture_output=True, timeout=120)
    return folder / "lab" / "lake"


def test_gold_and_silver_by_pandas(lake: Path) -> None:
    import pandas as pd

    gold = pd.read_parquet(lake / "clean/gold/aggregated/2026/11/27")
    silver = pd.concat(pd.read_parquet(each) for each in sorted(lake.glob("clean/silver/*/2026/11/27/*.parquet")))
    told = json.loads((lake / "clean/gold/aggregated/2026/11/27/_schema.json").read_text())
    assert list(gold.columns) == [each["name"] for each in told["columns"]]
    assert len(gold) == told["rows"] == 20
    means = silver.groupby("sensor")["score"].mean()
    assert (abs(gold.set_index("sensor")["score_mean"] - means) < 1e-12).all()


def test_gold_and_silver_by_polars(lake: Path) -> None:
    import polars as pl

    gold = pl.read_parquet(lake / "clean/gold/aggregated/2026/11/27/*.parquet")
    silver = pl.scan_parquet(lake / "clean/silver/*/2026/11/27/*.parquet").collect()
    assert (gold.height, silver.height, silver["slm"].n_unique()) == (20, 140, 7)


def test_gold_and_silver_by_duckdb(lake: Path) -> None:
    import duckdb

    gold, silver = (f"{lake}/clean/{zone}/*/2026/11/27/*.parquet" for zone in ("gold", "silver"))
    (found,) = duckdb.sql(
        f"SELECT count(*), max(abs(g.score_mean - s.mean)) FROM read_parquet('{gold}') g JOIN "
        f"(SELECT sensor, avg(score) AS mean FROM read_parquet('{silver}') GROUP BY sensor) s USING (sensor)"
    ).fetchall()
    assert found[0] == 20
    assert found[1] < 1e-12
