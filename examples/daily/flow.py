"""The day of a laboratory: what was staged becomes bronze, then patterns; seven small models; silver; gold.

Two kinds of machines do it. Those of the pool ``lake`` have the lake and reach the staging server; those of the pool
``models`` hold nothing: what they need is fetched, and fetched again where they are new.
"""

import io
import json
import os
from datetime import date
from pathlib import Path
from statistics import fmean, median, stdev
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.parquet as pq

from clx.daily import Check, Flow, Lake, Step, Version, at_least

OUTPUT = Path(__file__).parent / "output"
JOB = "job_1"
"""As the silver and gold files of a day are called."""
MODELS = range(1, 8)
lake = Lake(OUTPUT / "lake")


def ask(call: str, day: date, **more: str) -> bytes | None:
    """What staging answers; None: it holds no such thing."""
    said = urlencode({"data_date": day.isoformat(), **more})
    url = f"{os.environ.get('LAB_STAGING', 'http://127.0.0.1:8080')}/staging/{call}"
    token = {"X-API-Token": (OUTPUT / "staging.token").read_text().strip()}
    request = Request(url, said.encode(), token) if call == "cleanup" else Request(f"{url}?{said}", headers=token)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.read()
    except HTTPError as error:
        if error.code == 404:
            return None
        raise


def extract(data_date: date) -> Version:
    """What the laboratory has sent, kept as it came."""
    found = ask("download", data_date, name="readings.parquet")
    if found is None and (there := lake.version("bronze/readings", data_date)) is not None:
        return there  # it was cleaned up since, at the end of that day
    if found is None:
        raise ValueError(f"the readings of {data_date} were not sent")
    return lake.publish("bronze/readings", data_date, {"readings": pq.read_table(io.BytesIO(found))})


def preprocess(readings: Version) -> pa.Table:
    """Readings in the order of sensors and hours, without those that cannot be."""
    table = lake.read(readings.dataset, readings.day, version=readings.version).sort_by(
        [("sensor", "ascending"), ("hour", "ascending")]
    )
    return table.filter((pa.compute.field("value") > -90) & (pa.compute.field("value") < 60))


def patterns(table: pa.Table) -> pa.Table:
    """What the models look at: the day of each sensor as one list."""
    by_sensor: dict[int, list[float]] = {}
    for sensor, value in zip(table["sensor"].to_pylist(), table["value"].to_pylist(), strict=True):
        by_sensor.setdefault(sensor, []).append(value)
    return pa.table({"sensor": list(by_sensor), "values": list(by_sensor.values())})


def score(slm: int, values: list[float]) -> float:
    """How odd a sensor's day is to a small model; each of the seven looks at something else."""
    steps = [after - before for before, after in zip(values, values[1:], strict=False)]
    looks = {
        1: lambda: stdev(values),
        2: lambda: max(values) - min(values),
        3: lambda: abs(fmean(values) - median(values)),
        4: lambda: max(map(abs, steps)),
        5: lambda: abs(fmean(values[12:]) - fmean(values[:12])),
        6: lambda: stdev(steps),
        7: lambda: abs(values[-1] - values[0]),
    }
    return round(looks[slm](), 6)


def infer(patterns: pa.Table, slm: int) -> pa.Table:
    """One model over all sensors."""
    scores = [score(slm, values) for values in patterns["values"].to_pylist()]
    return pa.table({"sensor": patterns["sensor"], "slm": pa.array([slm] * len(scores)), "score": scores})


def transfer(data_date: date, results: dict[int, pa.Table], missing: list[int]) -> Version:
    """What the models found, into silver: one file of each."""
    checks = [Check.rows(1), Check.no_nulls("score"), Check.between("score", 0, 150)]
    files = {f"slm_{slm}_{JOB}": table for slm, table in results.items()}
    return lake.publish("silver/slm_results", data_date, files, checks=checks, missing=missing)


def aggregate(data_date: date, silver: Version) -> Version:
    """What they agree on, into gold; the row says which are missing."""
    table = lake.read(silver.dataset, silver.day, version=silver.version)
    found = table.group_by("sensor", use_threads=False).aggregate([("score", "mean"), ("score", "count")])
    checks = [Check.rows(1), Check.unique("sensor")]
    files = {JOB: found.sort_by("sensor")}
    return lake.publish("gold/aggregated", data_date, files, checks=checks, missing=silver.missing)


def cleanup(data_date: date, gold: Version) -> list[str]:  # noqa: ARG001  (that there is gold is what it needs)
    """The end of the day: what was staged is in the lake."""
    gone = ask("cleanup", data_date)
    return [] if gone is None else json.loads(gone)["removed"]


MINUTE = 60
flow = Flow(
    "lab",
    [
        Step("extract", extract, pool="lake", timeout=15 * MINUTE, max_runs=3, backoff=1),
        Step("preprocess", preprocess, {"readings": "@extract"}, pool="lake", timeout=15 * MINUTE, max_runs=3, backoff=1),
        Step("patterns", patterns, {"table": "@preprocess"}, pool="lake", timeout=15 * MINUTE, max_runs=3, backoff=1),
        Step(
            "infer",
            infer,
            {"patterns": "@patterns", "slm": "@each"},
            each=MODELS,
            enough=at_least(6),
            deadline=30 * MINUTE,
            timeout=30 * MINUTE,
            max_runs=3,
            backoff=5,
            pool="models",
        ),
        Step(
            "transfer",
            transfer,
            {"results": "@infer", "missing": "@infer.missing"},
            pool="lake",
            timeout=5 * MINUTE,
            max_runs=3,
            backoff=1,
        ),
        Step("aggregate", aggregate, {"silver": "@transfer"}, pool="lake", timeout=10 * MINUTE, max_runs=3, backoff=1),
        Step("cleanup", cleanup, {"gold": "@aggregate"}, pool="lake", timeout=5 * MINUTE, max_runs=3, backoff=1),
    ],
    zone="Europe/Berlin",
    at="06:00",
    by="09:00",
    catch_up="none",  # what nobody has sent cannot be made up for
)
