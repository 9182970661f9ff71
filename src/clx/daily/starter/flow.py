"""A day of a laboratory: readings come in, seven small models look at them, and what they agree on is kept.

clx daily run flow.py --date 2026-11-27
clx daily status flow.py
clx daily why lake/clean/gold/aggregated/2026/11/27/day.parquet
"""

from datetime import date
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.compute as pc

from clx.daily import Check, Flow, Lake, Step, Version, at_least

lake = Lake(Path(__file__).parent / "lake")
MODELS = range(1, 8)
SENSORS = 20


def arrive(data_date: date) -> Version:
    """What came in: here it is made up, the same whenever it is made. Read yours instead."""
    random = Random(data_date.toordinal())  # noqa: S311
    rows = [(sensor, hour, 20 + sensor / 10 + random.gauss(0, 1)) for sensor in range(SENSORS) for hour in range(24)]
    sensors, hours, values = zip(*rows, strict=True)
    table = pa.table({"sensor": sensors, "hour": hours, "value": values})
    return lake.publish("bronze/readings", data_date, {"readings": table})


def prepare(readings: Version) -> pa.Table:
    """What the models look at: the mean and the spread of each sensor."""
    table = lake.read(readings.dataset, readings.day, version=readings.version)
    by_sensor = table.group_by("sensor", use_threads=False)  # threads would add up in another order each time
    return by_sensor.aggregate([("value", "mean"), ("value", "stddev")]).sort_by("sensor")


def infer(patterns: pa.Table, slm: int) -> pa.Table:
    """A model: how odd it finds each sensor. Each of the seven is of another mind."""
    mean, spread = patterns["value_mean"], patterns["value_stddev"]
    score = pc.divide(pc.abs(pc.subtract(mean, pc.mean(mean))), pc.add(spread, slm / 10))
    return pa.table({"sensor": patterns["sensor"], "slm": pa.array([slm] * len(score)), "score": score})


def silver(data_date: date, result: pa.Table, slm: int) -> Version:
    """Keep what a model found."""
    checks = [Check.rows(SENSORS), Check.no_nulls("score"), Check.between("score", 0, 1000)]
    return lake.publish(f"silver/slm_{slm}", data_date, {f"slm_{slm}_day": result}, checks=checks)


def gold(data_date: date, results: dict[int, Version], missing: list[int]) -> Version:
    """Keep what they agree on; the row says who was missing."""
    tables = [lake.read(each.dataset, each.day, version=each.version) for each in results.values()]
    by_sensor = pa.concat_tables(tables).group_by("sensor", use_threads=False)
    scores = by_sensor.aggregate([("score", "mean"), ("score", "count")])
    checks = [Check.rows(1), Check.unique("sensor")]
    return lake.publish("gold/aggregated", data_date, {"day": scores.sort_by("sensor")}, checks=checks, missing=missing)


flow = Flow(
    "lab",
    [
        Step("arrive", arrive, timeout=900, max_runs=3),
        Step("prepare", prepare, {"readings": "@arrive"}, timeout=900, max_runs=3),
        Step("infer", infer, {"patterns": "@prepare", "slm": "@each"}, each=MODELS, enough=at_least(6), timeout=1800),
        Step(
            "silver",
            silver,
            {"result": "@infer.each", "slm": "@each"},
            each=MODELS,
            enough=at_least(6),
            timeout=300,
            max_runs=3,
        ),
        Step("gold", gold, {"results": "@silver", "missing": "@silver.missing"}, timeout=600, max_runs=3),
    ],
    zone="Europe/Berlin",
    at="06:00",
)
