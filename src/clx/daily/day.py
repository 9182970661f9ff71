"""How a day goes: which step may begin, what it gets, when a fan-out is enough. No engine is known here.

The same coroutine runs as a workflow of CLX and as one of Temporal: whoever runs it brings a function that runs one
step, and everything else follows from what that gives. It asks no clock but by ``asyncio.wait`` with a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from clx.daily.flow import Flow, Mark, Reference, Step
from clx.errors import RoutineError

Run = Callable[[Step, Any, dict[str, Any]], Awaitable[Any]]
"""Runs a step for an item (None: it has none) with inputs by name, and gives its result.

It raises :class:`~clx.errors.RoutineError` where the step has failed."""


class Gathered(NamedTuple):
    """What a fan-out has given by now: values by item, and the items that have none."""

    values: dict[Any, Any]
    missing: list[Any]


class NotBegunError(Exception):
    """A step cannot begin, because one has failed that it needs."""


class Day:
    """One day of one flow.

    Args:
        date: the day, as the steps get it.
        run: runs a step.

    Attributes:
        errors: why, by step or ``step[item]``, for what has failed.
    """

    def __init__(self, flow: Flow, date: Any, run: Run) -> None:
        self._flow, self._date, self._run = flow, date, run
        self._asked: dict[tuple[str, Any, str], asyncio.Future[Any]] = {}
        self._newest: dict[tuple[str, Any], tuple[str, asyncio.Future[Any]]] = {}
        self._values: dict[str, Any] = {}
        self._stamps: dict[str, str] = {}
        self._awaited: set[tuple[str, str]] = set()
        self.errors: dict[str, str] = {}

    async def go(self) -> dict[str, Any]:
        """Run the steps to their end, and those anew that something late is for.

        Returns:
            ``missing``: by step, the items that have given nothing; ``errors``: as the attribute.

        Raises:
            RoutineError: a step has failed that is no item of a fan-out with enough others.
        """
        try:
            await self._through()
            while (late := [each for _, each in self._newest.values() if not each.done()]) or self._has_come_late():
                if late and not self._has_come_late():
                    await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
                await self._through()
        finally:
            for _, each in self._newest.values():
                each.cancel()
            await asyncio.gather(*(each for _, each in self._newest.values()), return_exceptions=True)
        for (name, item), (_, each) in self._newest.items():
            if (error := _error(each)) is not None:  # it may have failed when all others had ended
                self.errors[f"{name}[{item}]"] = told(error)
        gathered = {name: each.missing for name, each in self._values.items() if isinstance(each, Gathered)}
        return {"missing": {name: items for name, items in gathered.items() if items}, "errors": self.errors}

    def _has_come_late(self) -> bool:
        """Whether something that was missing is there by now."""
        return any(
            isinstance(found, Gathered) and any(_is_good(self._newest[name, item][1]) for item in found.missing
                                                if (name, item) in self._newest)
            for name, found in self._values.items()
        )  # fmt: skip

    async def _through(self) -> None:
        """Every step, as soon as what it needs is there; what was asked with the same inputs is not asked again."""
        going: dict[str, asyncio.Future[None]] = {}
        for step in self._flow.order:
            needs = [going[each.step] for each in step.references]
            going[step.name] = asyncio.ensure_future(self._after(needs, step))
        try:
            ended = await asyncio.gather(*going.values(), return_exceptions=True)
        finally:
            for each in going.values():
                each.cancel()
        failed = [each for each in ended if isinstance(each, BaseException)]
        if failed:
            raise next((each for each in failed if not isinstance(each, NotBegunError)), failed[0])

    async def _after(self, needs: list[asyncio.Future[None]], step: Step) -> None:
        if needs:
            await asyncio.wait(needs)
        if any(each.cancelled() or each.exception() is not None for each in needs):
            raise NotBegunError(step.name)
        if step.items is None:
            asked = self._ask(step, None)
            try:
                self._values[step.name] = await asyncio.shield(asked)
            except RoutineError as error:
                self.errors[step.name] = told(error)
                raise
            self._stamps[step.name] = self._newest[step.name, None][0]
        else:
            self._values[step.name] = found = await self._gather(step)
            stamps = (f"{item}={self._newest[step.name, item][0]}" for item in found.values)
            self._stamps[step.name] = f"({','.join(stamps)})"

    async def _gather(self, step: Step) -> Gathered:
        """Ask for the items, and wait until they are there, or from the deadline on until enough of them are."""
        assert step.items is not None
        asked = {item: self._ask(step, item) for item in step.items if self._has_inputs(step, item)}
        whole = step.name, self._stamp(step, None)
        if asked and whole not in self._awaited:
            await asyncio.wait(asked.values(), timeout=step.deadline)
        self._awaited.add(whole)  # something late is not waited for once more
        while _good(asked) < step.enough and (open_ := [each for each in asked.values() if not each.done()]):
            await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)
        failed = {item: error for item, each in asked.items() if (error := _error(each)) is not None}
        for item, error in failed.items():
            self.errors[f"{step.name}[{item}]"] = told(error)
        if _good(asked) < step.enough:
            raise next(iter(failed.values()), NotBegunError(step.name))
        values = {item: each.result() for item, each in asked.items() if _is_good(each)}
        return Gathered(values, [item for item in step.items if item not in values])

    def _has_inputs(self, step: Step, item: Any) -> bool:
        return all(item in self._values[each.step].values for each in step.references if each.part == "each")

    def _stamp(self, step: Step, item: Any) -> str:
        """What tells one asking of a step from another with other inputs, of an item or of all."""
        parts = []
        for each in step.references:
            of_item = each.part == "each" and item is not None
            if each.part != "each" or of_item:
                parts.append(self._newest[each.step, item][0] if of_item else self._stamps[each.step])
        return f"{step.name}<{';'.join(parts)}>"

    def _ask(self, step: Step, item: Any) -> asyncio.Future[Any]:
        stamp = self._stamp(step, item)
        at = (step.name, item, stamp)
        if at not in self._asked:
            inputs = {name: self._input(value, item) for name, value in step.inputs.items()}
            self._asked[at] = asyncio.ensure_future(self._run(step, item, inputs))
        self._newest[step.name, item] = stamp, self._asked[at]
        return self._asked[at]

    def _input(self, value: Any, item: Any) -> Any:
        if isinstance(value, Reference):
            found = self._values[value.step]
            if value.part == "each":
                return found.values[item]
            if value.part == "missing":
                return list(found.missing)
            return dict(found.values) if isinstance(found, Gathered) else found
        if value is Mark.DATE:
            return self._date
        return item if value is Mark.EACH else value


def _is_good(ended: asyncio.Future[Any]) -> bool:
    return ended.done() and not ended.cancelled() and ended.exception() is None


def _good(asked: dict[Any, asyncio.Future[Any]]) -> int:
    return sum(map(_is_good, asked.values()))


def _error(ended: asyncio.Future[Any]) -> BaseException | None:
    return ended.exception() if ended.done() and not ended.cancelled() else None


def told(error: BaseException) -> str:
    """Why something failed, in one line."""
    if isinstance(error, RoutineError):
        return f"{error.type}: {error.message}"
    return f"{type(error).__name__}: {error}"
