"""The benchmark's day as a flow of CLX: the steps of the example, with nothing to compute."""

from __future__ import annotations

from datetime import date

from clx.daily import Flow, Step

MODELS = range(1, 8)


def arrive(data_date: date) -> str:
    return str(data_date)


def prepare(readings: str) -> str:
    return readings


def infer(patterns: str, slm: int) -> str:
    return f"{patterns} {slm}"


def silver(result: str) -> str:
    return f"silver of {result}"


def gold(results: dict[int, str]) -> int:
    return len(results)


flow = Flow(
    "bench-day",
    [
        Step("arrive", arrive, timeout=900),
        Step("prepare", prepare, {"readings": "@arrive"}, timeout=900),
        Step("infer", infer, {"patterns": "@prepare", "slm": "@each"}, each=MODELS, timeout=1800),
        Step("silver", silver, {"result": "@infer.each"}, each=MODELS, timeout=300),
        Step("gold", gold, {"results": "@silver"}, timeout=600),
    ],
)
