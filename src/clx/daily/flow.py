"""What a flow is: steps, each a function with inputs, and how they hang together.

::

    flow = Flow("lab", [
        Step("extract", extract),
        Step("infer", infer, {"patterns": "@extract", "slm": "@each"}, each=range(1, 8), enough=at_least(6)),
        Step("gold", aggregate, {"results": "@infer", "missing": "@infer.missing"}),
    ], zone="Europe/Berlin", at="06:00")

A flow says nothing of where it runs: its steps are tasks and its day is a workflow (:mod:`clx.routines`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clx.errors import UsageError

if TYPE_CHECKING:
    from clx.db.schedules.models import CatchUp

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
_AT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ITEM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARTS = ("each", "missing")


class Mark(Enum):
    """An input that is the day, or the item of a fan-out."""

    DATE = "@data_date"
    EACH = "@each"


class Reference(NamedTuple):
    """An input that is what another step has given.

    Attributes:
        part: ``each``: for the same item; ``missing``: the items that have given nothing; empty: all of it.
    """

    step: str
    part: str = ""


class at_least(NamedTuple):  # noqa: N801  (read as a word: enough=at_least(6))
    """That so many of a fan-out are enough."""

    number: int


class Step:
    """A function of a flow with its inputs.

    Args:
        name: unique in its flow.
        function: gets its inputs by name, and gives what other steps get: numbers, texts, dataclasses, ``clx.File``,
            arrays and tables, as :doc:`routines-values` says.
        inputs: by parameter: a value; ``"@STEP"``, what that step gave (of a fan-out a mapping from item to that);
            ``"@STEP.each"``, what it gave for the same item; ``"@STEP.missing"``, the items that gave nothing;
            ``"@each"``, the item; ``"@data_date"``. A text that begins with ``@`` itself is written ``@@``. A parameter
            ``data_date`` that is not named gets the day.
        each: items, texts or whole numbers: the step runs once for each, side by side.
        enough: how many of them are: ``"all"``, ``"any"``, ``at_least(n)``. With fewer the day fails.
        deadline: seconds from the first one's beginning after which those that are not there are missing, if the
            others are enough; they go on, and what comes late makes the next version. None: all are waited for.
        pool: whose workers run it (``clx daily work --pool NAME``); empty: any that have no pool.
        timeout: seconds that one run may take; then it is killed.
        max_runs: runs until one succeeds; None: an exception is final.
        backoff: seconds, or a ``timedelta``, before the second of them, as :func:`clx.define.task` has it.
        version: of its function, where the digest of its code is not enough: it calls other modules, say.

    Raises:
        UsageError: something of that cannot be.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        inputs: Mapping[str, Any] | None = None,
        *,
        each: Iterable[Any] | None = None,
        enough: at_least | str = "all",
        deadline: float | timedelta | None = None,
        pool: str = "",
        timeout: float | timedelta | None = None,
        max_runs: int | None = None,
        backoff: float | timedelta | None = None,
        version: str = "",
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"No step can be called {name!r}.", "Begin with a letter; go on with a-z 0-9 _ -.")
        if not callable(function):
            raise UsageError(f"The step {name} has no function.", f"Write Step({name!r}, function).")
        self.name, self.function, self.pool, self.version = name, function, pool, version
        self.timeout, self.max_runs, self.backoff = timeout, max_runs, backoff
        self.items = None if each is None else _items(name, each)
        self.enough = _enough(name, enough, self.items)
        self.deadline = _seconds(name, deadline)
        self.inputs = self._bound(inputs or {})

    def _bound(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        parameters = inspect.signature(self.function).parameters
        if odd := [each for each in inputs if each not in parameters]:
            raise UsageError(
                f"The step {self.name} is given {odd[0]}, which {self._called} does not take.",
                f"It takes: {', '.join(parameters) or 'nothing'}.",
            )
        found = {name: _read(value) for name, value in inputs.items()}
        if "data_date" in parameters:
            found.setdefault("data_date", Mark.DATE)
        lacks = [n for n, each in parameters.items() if each.default is each.empty and n not in found]
        if lacks:
            raise UsageError(
                f"The step {self.name} does not say what {lacks[0]} of {self._called} is.",
                f'Write Step({self.name!r}, {self._called}, {{"{lacks[0]}": …}}).',
            )
        by_item = [v for v in found.values() if v is Mark.EACH or (isinstance(v, Reference) and v.part == "each")]
        if bool(by_item) != (self.items is not None):
            raise UsageError(
                f"The step {self.name} has each=, and no input that is @each." if self.items
                else f"The step {self.name} has an input of each item, and no each=.",
                'Write both: {"parameter": "@each"} and each=ITEMS.',
            )  # fmt: skip
        return found

    @property
    def _called(self) -> str:
        return getattr(self.function, "__name__", "its function")

    @property
    def references(self) -> list[Reference]:
        """The steps that it gets something of."""
        return [each for each in self.inputs.values() if isinstance(each, Reference)]


class Flow:
    """Steps that make a day of what came in, once for each day.

    Args:
        name: unique among the flows of a table.
        steps: in any order; those that need nothing of each other run side by side.
        zone: whose days they are.
        at: ``"06:00"``, when each day's run is due, on that day by that zone's clock; None: nothing is due by itself.
        by: ``"09:00"``, when each day must be done, on that day by that zone's clock: ``clx daily check`` tells of one
            that is not; None: it does not matter.
        catch_up: what a table that nobody worked on runs afterwards: ``all`` in order, ``last``, ``none``.

    Raises:
        UsageError: something of that cannot be: it says which step, and what to write.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        *,
        zone: str = "UTC",
        at: str | None = None,
        by: str | None = None,
        catch_up: CatchUp = "all",
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"No flow can be called {name!r}.", "Begin with a letter; go on with a-z 0-9 _ -.")
        self.name, self.zone, self.at, self.by, self.catch_up = name, zone, at, by, catch_up
        self.steps = {each.name: each for each in steps}
        if len(self.steps) < len(steps):
            names = [each.name for each in steps]
            twice = next(each for each in names if names.count(each) > 1)
            raise UsageError(f"The flow {name} has two steps {twice}.", "Give one of them another name.")
        if not steps:
            raise UsageError(f"The flow {name} has no steps.", "Give it one: Step(NAME, function).")
        self._check_references()
        for time in (at, by):
            if time is not None and not (isinstance(time, str) and _AT.fullmatch(time)):
                raise UsageError(f"{time!r} is no time of a day.", 'Write it as "06:00".')
        self.order = self._in_order()
        from clx.daily.registering import register

        register(self)

    def _check_references(self) -> None:
        for step in self.steps.values():
            for wanted in step.references:
                if wanted.step not in self.steps:
                    raise UsageError(
                        f"The step {step.name} needs @{wanted.step}, which the flow {self.name} does not have.",
                        f"It has: {', '.join(self.steps)}. A text that begins with @ is written @@.",
                    )
                items = self.steps[wanted.step].items
                if wanted.part and items is None:
                    raise UsageError(
                        f"The step {step.name} needs @{wanted.step}.{wanted.part}, and {wanted.step} has no items.",
                        f"Write @{wanted.step}, or give that step each=ITEMS.",
                    )
                if wanted.part == "each" and not {*(step.items or ())} <= {*(items or ())}:
                    raise UsageError(
                        f"The step {step.name} has items that {wanted.step} does not have.",
                        f"Give it each={items!r}.",
                    )

    def _in_order(self) -> list[Step]:
        """The steps, each behind those it needs."""
        from graphlib import CycleError, TopologicalSorter

        needs = {name: {each.step for each in step.references} for name, step in self.steps.items()}
        try:
            return [self.steps[each] for each in TopologicalSorter(needs).static_order()]
        except CycleError as error:
            raise UsageError(
                f"Steps of the flow {self.name} wait for each other: {' → '.join(error.args[1])}.",
                "Take one of these inputs away.",
            ) from None

    @property
    def file(self) -> Path:
        """Where it is written: the file of its first step's function."""
        return Path(inspect.getfile(inspect.unwrap(next(iter(self.steps.values())).function))).absolute()

    @property
    def cron(self) -> str | None:
        """When it is due, as a schedule says it."""
        return None if self.at is None else f"{int(self.at[3:])} {int(self.at[:2])} * * *"


def _read(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    if value in {each.value for each in Mark}:
        return Mark(value)
    name, dot, part = value[1:].partition(".")
    if dot and part not in _PARTS:
        raise UsageError(f"{value!r} is no input.", f"Write @{name}, @{name}.each or @{name}.missing.")
    return Reference(name, part)


def _items(step: str, each: Iterable[Any]) -> list[int | str]:
    found = list(each)
    for item in found:
        if isinstance(item, bool) or not isinstance(item, int | str) or not _ITEM.fullmatch(str(item)):
            raise UsageError(
                f"{item!r} cannot be an item of the step {step}.", "Items are whole numbers, or short texts without /."
            )
    if not found:
        raise UsageError(f"The step {step} has each=, and no items.", "Name at least one, or leave each= out.")
    if len({str(item) for item in found}) < len(found):
        raise UsageError(f"The items of the step {step} are not all different.", "Name each once.")
    return found


def _enough(step: str, enough: at_least | str, items: list[int | str] | None) -> int:
    """How many items must be there; of a step without any: 1."""
    most = 1 if items is None else len(items)
    number = {"all": most, "any": 1}.get(enough, 0) if isinstance(enough, str) else enough.number
    if type(number) is not int or not 1 <= number <= most:
        raise UsageError(
            f"enough={enough!r} cannot be of the step {step}, which has {most}.",
            'Write "all", "any" or at_least(n).',
        )
    return number


def _seconds(step: str, value: float | timedelta | None) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 7 * 86400:
        raise UsageError(f"deadline={value!r} of the step {step} is not possible.", "Give seconds, a week at most.")
    return float(seconds)
