"""What expressions of a pipeline say when a stage begins: whether a step is done, and which works it brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clx.db.models import decode_or_show
from clx.db.pipelines import statements as sql
from clx.db.transaction import Transaction
from clx.db.works.fields import checked
from clx.db.works.models import Document
from clx.errors import UsageError
from clx.expressions.language import Scope, parse_condition
from clx.expressions.matrix import axes_of, combinations, fill, with_templates

if TYPE_CHECKING:
    from clx.db.pipelines.advancing import Step


class Steps(Mapping[str, Mapping[str, Any]]):
    """The steps of a pipeline as expressions see them; results are read when they are asked for."""

    def __init__(self, tx: Transaction, matrix: Any, steps: Sequence[Step]) -> None:
        self._steps = {step.name: _Step(tx, step) for step in steps}
        self._matrix: Mapping[str, Any] = matrix if isinstance(matrix, Mapping) else {}
        self.failed = next((step.name for step in steps if step.status == "failure"), "")
        """The first step that has failed; empty where none has."""

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def scope(self) -> Scope:
        """What expressions can name."""
        return Scope(self._matrix, self)


class _Step(Mapping[str, Any]):
    """A step: its ``status``, and of its ``work`` the ``results``: a list of them where it has a matrix."""

    def __init__(self, tx: Transaction, step: Step) -> None:
        self._tx, self._step = tx, step
        self._work: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name == "status":
            return self._step.status
        if name != "work":
            raise KeyError(name)
        if self._work is None:
            rows = self._tx.execute(sql.DOCUMENTS_OF_STEP, (self._step.id,)).fetchall()
            found = [_results(decode_or_show(row[0])) for row in rows]
            self._work = {"results": found if self._has_several() else next(iter(found), None)}
        return self._work

    def _has_several(self) -> bool:
        """Whether it may have several works, however many they have become."""
        if self._step.works > 1:
            return True
        row = self._tx.execute(sql.DEFINITION, (self._step.id,)).fetchone()
        definition = decode_or_show(row[0]) if row else None
        return isinstance(definition, dict) and bool(definition.get("matrix"))

    def __iter__(self) -> Iterator[str]:
        return iter(("status", "work"))

    def __len__(self) -> int:
        return 2


def _results(document: Any) -> Any:
    return document.get("results") if isinstance(document, dict) else None


def holds(condition: str, scope: Scope) -> bool:
    """Whether a condition that is an expression is true.

    Raises:
        ExpressionError: it has no value.
    """
    return bool(parse_condition(condition).value(scope))


def combined(definition: Mapping[str, Any], scope: Scope) -> Iterator[Document]:
    """The documents of the works of a step that are made when it begins, one for each combination of its matrix.

    Args:
        definition: of the step: ``work``, what no expression is in; ``fields`` and ``axes``, which have some, as texts.

    Raises:
        ExpressionError: an expression has no value.
        MatrixError: the matrix has become something else, or too many combinations.
        UsageError: a field cannot be what it became.
    """
    axes = axes_of(with_templates(definition["axes"]), scope)
    fields = with_templates(definition["fields"])
    for values in combinations(axes):
        inner = Scope({**scope.matrix, **values}, scope.steps)
        yield {**definition["work"], **{name: _kept(name, fill(value, inner)) for name, value in fields.items()}}


def _kept(name: str, value: Any) -> Any:
    """What is kept of *value* in the field *name*."""
    try:
        return _listed(name, checked(name, fitted(name, value)))
    except UsageError as error:
        raise UsageError(f"{error.fact} {error.next_step}", "Correct the pipeline.") from None


def _listed(name: str, value: Any) -> Any:
    is_one = name in {"event", "tags", "group"} and not isinstance(value, list) and value is not None
    return [value] if is_one else value


def fitted(name: str, value: Any) -> Any:
    """*value* for a field, where files write it otherwise: numbers in a command, texts of digits as events."""
    if name == "command" and isinstance(value, list):
        return [_word(each) for each in value]
    if name == "event" and isinstance(value, str):
        return _digits(value)
    if name == "event" and isinstance(value, list):
        return [_digits(each) for each in value]
    return value


def _word(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _digits(value: Any) -> Any:
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    return int(value) if is_number else value
