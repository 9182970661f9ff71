"""How a day goes: order, fan-outs, deadlines, what comes late. Steps are run by the test itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from clx.daily import Flow, Step, at_least
from clx.daily.day import Day
from clx.errors import RoutineError


def start(data_date: Any) -> int:
    return 10


def infer(patterns: int, slm: int) -> int:
    return patterns * slm


def keep(result: int, slm: int) -> int:
    return result + 1


def gold(results: dict[int, int], missing: list[int]) -> tuple[int, list[int]]:
    return sum(results.values()), missing


def flow(deadline: float | None = None) -> Flow:
    items = [1, 2, 3]
    enough = at_least(2)
    return Flow(
        "seven",
        [
            Step("start", start),
            Step("infer", infer, {"patterns": "@start", "slm": "@each"}, each=items, enough=enough, deadline=deadline),
            Step("keep", keep, {"result": "@infer.each", "slm": "@each"}, each=items, enough=enough),
            Step("gold", gold, {"results": "@keep", "missing": "@keep.missing"}),
        ],
    )


class Runs:
    """Runs steps here; notes each, fails and delays those it is told to."""

    def __init__(self, fails: Sequence[Any] = (), waits: dict[Any, asyncio.Event] | None = None) -> None:
        self.fails, self.waits = fails, waits or {}
        self.asked: Counter[Any] = Counter()
        self.gold: list[Any] = []

    async def __call__(self, step: Step, item: Any, inputs: dict[str, Any]) -> Any:
        at = (step.name, item) if item is not None else step.name
        self.asked[at] += 1
        if at in self.waits:
            await self.waits[at].wait()
        if at in self.fails:
            raise RoutineError("task:seven:1.0.0", {"type": "ValueError", "message": "bad"}, 1)
        found = step.function(**inputs)
        if step.name == "gold":
            self.gold.append(found)
        return found


def test_all_is_there() -> None:
    runs = Runs()
    assert asyncio.run(Day(flow(), "d", runs).go()) == {"missing": {}, "errors": {}}
    assert runs.gold == [(63, [])]
    assert set(runs.asked.values()) == {1}


def test_two_of_three_are_enough_and_the_third_is_named() -> None:
    runs = Runs(fails=[("infer", 2)])
    found = asyncio.run(Day(flow(), "d", runs).go())
    assert found == {"missing": {"infer": [2], "keep": [2]}, "errors": {"infer[2]": "ValueError: bad"}}
    assert runs.gold == [(42, [2])]
    assert ("keep", 2) not in runs.asked


def test_one_of_three_is_not_and_what_needs_it_does_not_begin() -> None:
    runs = Runs(fails=[("infer", 2), ("infer", 3)])
    day = Day(flow(), "d", runs)
    with pytest.raises(RoutineError, match="bad"):
        asyncio.run(day.go())
    assert day.errors == {"infer[2]": "ValueError: bad", "infer[3]": "ValueError: bad"}
    assert "gold" not in runs.asked


def test_a_step_that_fails_ends_the_day() -> None:
    runs = Runs(fails=["start"])
    day = Day(flow(), "d", runs)
    with pytest.raises(RoutineError, match="bad"):
        asyncio.run(day.go())
    assert (set(runs.asked), day.errors) == ({"start"}, {"start": "ValueError: bad"})


def test_a_late_one_makes_what_needs_it_anew_and_nothing_else() -> None:
    async def main() -> None:
        late = asyncio.Event()
        runs = Runs(waits={("infer", 3): late})
        going = asyncio.ensure_future(Day(flow(deadline=0.01), "d", runs).go())
        while not runs.gold:
            await asyncio.sleep(0)
        assert runs.gold == [(32, [3])]
        assert not going.done()
        late.set()
        assert await going == {"missing": {}, "errors": {}}
        assert runs.gold == [(32, [3]), (63, [])]
        assert {at for at, count in runs.asked.items() if count > 1} == {"gold"}

    asyncio.run(main())


def test_at_the_deadline_fewer_than_enough_are_waited_for() -> None:
    async def main() -> None:
        late = {("infer", item): asyncio.Event() for item in (2, 3)}
        runs = Runs(waits=late)
        going = asyncio.ensure_future(Day(flow(deadline=0.01), "d", runs).go())
        await asyncio.sleep(0.1)
        assert not runs.gold
        late["infer", 2].set()
        while not runs.gold:
            await asyncio.sleep(0)
        assert runs.gold == [(32, [3])]
        late["infer", 3].set()
        await going

    asyncio.run(main())


def test_a_late_one_that_fails_stays_missing() -> None:
    async def main() -> None:
        late = asyncio.Event()
        runs = Runs(fails=[("infer", 3)], waits={("infer", 3): late})
        going = asyncio.ensure_future(Day(flow(deadline=0.01), "d", runs).go())
        while not runs.gold:
            await asyncio.sleep(0)
        late.set()
        found = await going
        assert (found["missing"], found["errors"]) == ({"infer": [3], "keep": [3]}, {"infer[3]": "ValueError: bad"})
        assert runs.gold == [(32, [3])]

    asyncio.run(main())


def test_a_day_that_is_given_up_gives_up_what_it_has_asked() -> None:
    async def main() -> None:
        runs = Runs(waits={("infer", 1): asyncio.Event()})
        going = asyncio.ensure_future(Day(flow(), "d", runs).go())
        while ("infer", 3) not in runs.asked:
            await asyncio.sleep(0)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
