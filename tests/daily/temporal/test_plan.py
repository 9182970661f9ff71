"""A flow without its functions: the same day by a plan that went as JSON, and no data in what goes by Temporal."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from clx.artifacts.store import ArtifactStore
from clx.daily import Flow, Step, at_least
from clx.daily.day import Day
from clx.daily.temporal.plan import PAYLOAD, Plan, document_of, pairs_of, queue_of, short, whole
from clx.errors import RoutineError
from clx.routines import registry
from clx.routines.codecs import canonical, restore


def extract(data_date: date, words: list[str]) -> str:
    return f"{data_date} {len(words)}"


def infer(patterns: str, slm: int) -> str:
    return f"{patterns} {slm}"


def gold(results: dict[int, str], missing: list[int]) -> str:
    return f"{results} {missing}"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Flow:
    monkeypatch.setattr(registry, "_known", dict(registry.known()))
    return Flow("planned", [
        Step("gold", gold, {"results": "@infer", "missing": "@infer.missing"}, pool="gpu", max_runs=2),
        Step("infer", infer, {"patterns": "@extract", "slm": "@each"}, each=range(1, 4), enough=at_least(2), timeout=5),
        Step("extract", extract, {"words": ["long"] * 50_000}),
    ])  # fmt: skip


def planned(flow: Flow, store: ArtifactStore) -> dict[str, Any]:
    tasks = {name: registry.known()[f"task:planned.{name}:1.0.0"] for name in flow.steps}
    found: dict[str, Any] = json.loads(json.dumps(document_of(flow, date(2026, 11, 27), tasks, store)))
    return found


def test_a_day_goes_by_its_plan(flow: Flow, store: ArtifactStore) -> None:
    plan = Plan(planned(flow, store))
    asked: dict[str, Any] = {}

    async def run(step: Any, item: Any, inputs: dict[str, Any]) -> Any:
        asked[f"{step.name}{item or ''}"] = inputs
        if item == 2:
            raise RoutineError("infer", {"type": "ValueError", "message": "no mind"})
        return f"{step.name} {item}"

    told = asyncio.run(Day(cast("Flow", plan), plan.date, run).go())
    assert told == {"missing": {"infer": [2]}, "errors": {"infer[2]": "ValueError: no mind"}}
    assert asked["extract"]["data_date"] == {"$date": "2026-11-27"}
    assert restore(asked["extract"]["words"], list[str], files=store) == ["long"] * 50_000
    assert asked["infer3"] == {"patterns": "extract None", "slm": 3}
    assert asked["gold"] == {"results": {1: "infer 1", 3: "infer 3"}, "missing": [2]}
    steps = {each.name: (each.timeout, each.attempts, each.pool) for each in plan.order}
    assert (steps["infer"], steps["gold"][1:], steps["extract"][1:]) == ((5.0, 3, ""), (2, "gpu"), (3, ""))
    assert [queue_of("planned", pool) for pool in ("", "gpu")] == ["clx-daily-planned", "clx-daily-planned-gpu"]


def test_what_a_fan_out_gave_is_what_a_codec_makes_of_it_and_long_values_are_in_the_store(
    flow: Flow, store: ArtifactStore
) -> None:
    document = planned(flow, store)
    assert len(json.dumps(document)) < PAYLOAD
    inline = document["inline"]
    values = {item: "x" * (inline * 2 if item == 9 else 3) for item in (9, 10, 2)}
    nodes = {item: short(canonical(value, str, "value", store), store, inline) for item, value in values.items()}
    assert len(json.dumps(nodes)) < inline
    node = whole(pairs_of(nodes), store)
    assert node == json.loads(canonical(values, dict[int, str], "value", store))
    assert restore(node, dict[int, str], files=store) == values
    assert whole({"a": 1}, store) == {"a": 1}
