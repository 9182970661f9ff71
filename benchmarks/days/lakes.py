"""What a day's gold takes: in a lake, and by hand."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import row

MODELS, ROWS, KEYS, ROUNDS = 7, 1_000_000, 10_000, 5
AIM, AIM_MEMORY = 1.3, 1.2
_DAY = "2026-11-27"
_MAKE = f"""
import sys
import numpy as np, pyarrow as pa
from clx.daily import Lake
rng = np.random.default_rng(0)
with Lake("lake") as lake:
    for slm in range({MODELS}):
        score = rng.random({ROWS})
        table = pa.table({{"key": rng.integers(0, {KEYS}, {ROWS}), "score": score}})
        lake.publish(f"silver/slm_{{slm}}", "{_DAY}", {{f"slm_{{slm}}": table}})
"""
_TAKEN = """
import json, resource, sys, time
import numpy, pyarrow.compute, pyarrow.parquet
{imports}
began, before = time.perf_counter(), time.process_time()
{body}
wall, cpu = time.perf_counter() - began, time.process_time() - before
print(json.dumps([wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
_BY_HAND = """
found = pl.scan_parquet(sorted(glob.glob("lake/clean/silver/slm_*/2026/11/27/*.parquet")))
means = found.group_by("key").agg(pl.col("score").mean()).sort("key").collect(engine="streaming")
means.write_parquet("gold.parquet", compression="zstd", compression_level=5)
"""
_BY_LAKE = f"""
files = [each for slm in range({MODELS}) for each in lake.files(f"silver/slm_{{slm}}", "{_DAY}")]
means = pl.scan_parquet(files).group_by("key").agg(pl.col("score").mean()).sort("key").collect(engine="streaming")
lake.publish("gold/aggregated", "{_DAY}", {{"day": means}}, checks=[Check.rows(1), Check.unique("key")])
"""
_BY_ARROW = f"""
found = pa.concat_tables([lake.read(f"silver/slm_{{slm}}", "{_DAY}") for slm in range({MODELS})])
means = found.group_by("key").aggregate([("score", "mean")]).sort_by("key")
lake.publish("gold/arrow", "{_DAY}", {{"day": means}}, checks=[Check.rows(1), Check.unique("key")])
"""
_LAKE = (
    "import polars as pl, pyarrow as pa, glob\nfrom clx.daily import Check, Lake\n"
    f'lake = Lake("lake")\nlake.version("silver/slm_0", "{_DAY}")'  # a worker has opened it
)
_WAYS = {
    "polars by hand": ("import polars as pl, glob", _BY_HAND),
    "Lake.files, polars, publish": (_LAKE, _BY_LAKE),
    "Lake.read, pyarrow, publish": (_LAKE, _BY_ARROW),
}


def aggregate(folder: Path, _days: int) -> None:
    """Each way in a process of its own that has imported what it needs, in turns."""
    (folder / ".clx").mkdir(mode=0o700)
    subprocess.run([sys.executable, "-c", _MAKE], cwd=folder, check=True)
    found: dict[str, list[list[float]]] = {way: [] for way in _WAYS}
    for _ in range(ROUNDS):
        for way, (imports, body) in _WAYS.items():
            code = _TAKEN.format(imports=imports, body=body)
            done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
            found[way].append(json.loads(done.stdout))
    hand, *others = ([statistics.median(each) for each in zip(*taken, strict=True)] for taken in found.values())
    for way, taken in zip(list(_WAYS)[1:], others, strict=True):
        row(f"{way}, wall, by {next(iter(_WAYS))}", taken[0], hand[0], AIM)
        row("the same, CPU", taken[1], hand[1], AIM)
        ratio = taken[2] / hand[2]
        print(
            f"the same, memory: {taken[2]:.0f} MiB, {hand[2]:.0f} MiB, {ratio:.2f} × (aim ≤ {AIM_MEMORY} ×)", flush=True
        )
