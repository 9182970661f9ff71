"""The combinations of a matrix, and documents with expressions whose values are filled in.

A range includes its last number where it is met: ``{range: [1, 2]}`` is 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, InvalidOperation, localcontext
from itertools import product
from math import prod
from typing import Any

from clx.errors import UsageError
from clx.expressions.language import OPENING, Scope, Template, parse
from clx.settings.problems import quoted, shortened

WORKS_LIMIT = 100_000
"""Works that one pipeline file can come to, over all of its pipelines and steps."""
_RANGE = "Write {range: [start, stop]} or {range: [start, stop, step]}: stop is included, step is not 0."


class MatrixError(UsageError):
    """A matrix has no combinations, or too many.

    Args:
        axis: the name in the matrix of which that is; empty: all of it.
    """

    def __init__(self, fact: str, next_step: str, axis: str = "") -> None:
        super().__init__(fact, next_step)
        self.axis = axis


@dataclass(frozen=True)
class Range(Sequence[int | float]):
    """Numbers from *start* by *step*, *size* of them; exact in decimals, and none is there before it is asked for."""

    start: Decimal
    step: Decimal
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.size:
            raise IndexError(index)
        found = self.start + index * self.step
        return int(found) if self.start == int(self.start) and self.step == int(self.step) else float(found)


def range_of(bounds: Sequence[Any], axis: str) -> Range:
    """The numbers that ``range: bounds`` means.

    Raises:
        MatrixError: they are no two or three numbers, or too many, or none.
    """
    if not 2 <= len(bounds) <= 3 or any(isinstance(each, bool) or not isinstance(each, int | float) for each in bounds):
        raise MatrixError(f"the range of {axis} is {shortened(str(list(bounds)))}", _RANGE, axis)
    with localcontext() as context:
        context.prec = 50
        start, stop, step = (Decimal(str(each)) for each in (*bounds, 1)[:3])
        if step == 0 or (stop - start) / step < 0:
            raise MatrixError(f"the range of {axis} holds no number", _RANGE, axis)
        try:
            steps = int(((stop - start) / step).to_integral_value(ROUND_FLOOR))
        except (InvalidOperation, OverflowError):
            steps = WORKS_LIMIT
    if steps >= WORKS_LIMIT:
        raise MatrixError(f"the range of {axis} holds more than {WORKS_LIMIT} numbers", "Make it smaller.", axis)
    return Range(start, step, steps + 1)


def with_templates(value: Any) -> Any:
    """*value* with templates in place of texts that hold expressions, as :func:`fill` takes it.

    Raises:
        ExpressionError: an expression is none.
    """
    if isinstance(value, str):
        return parse(value) if OPENING in value else value
    if isinstance(value, dict):
        return {name: with_templates(each) for name, each in value.items()}
    return [with_templates(each) for each in value] if isinstance(value, list) else value


def fill(value: Any, scope: Scope) -> Any:
    """*value* with each template in it replaced by what it becomes.

    Raises:
        ExpressionError: of a template.
    """
    if isinstance(value, Template):
        return value.value(scope)
    if isinstance(value, Mapping):
        return {name: fill(each, scope) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [fill(each, scope) for each in value]
    return value


def templates_in(value: Any) -> Iterator[Template]:
    """Every template in a document."""
    if isinstance(value, Template):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from templates_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from templates_in(each)


def axes_of(matrix: Mapping[str, Any], scope: Scope) -> dict[str, Sequence[Any]]:
    """The values of each name in a matrix.

    Args:
        matrix: of each name a list, ``{"range": …}``, or a template that becomes one of these.
        scope: what templates in it can name.

    Raises:
        MatrixError: something else.
        ExpressionError: of a template.
    """
    return {name: _values(name, fill(value, scope)) for name, value in matrix.items()}


def _values(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping) and value.keys() == {"range"} and isinstance(value["range"], list):
        return range_of(value["range"], name)
    if isinstance(value, Mapping):
        raise MatrixError(f"{name} in the matrix is a mapping that is no range", _RANGE, name)
    fact = f"{name} in the matrix is {quoted(value)}, no list"
    raise MatrixError(fact, f"Write {name}: [{shortened(str(value))}].", name)


def size_of(axes: Mapping[str, Sequence[Any]]) -> int:
    """How many combinations there are: one where there is no name."""
    return prod(map(len, axes.values()))


def combinations(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination, the last name changing first.

    Raises:
        MatrixError: there are more than :data:`WORKS_LIMIT`.
    """
    if size_of(axes) > WORKS_LIMIT:
        raise MatrixError(f"the matrix has more than {WORKS_LIMIT} combinations", "Make it smaller.")
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))
