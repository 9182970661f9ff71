"""What a flow is without its functions: what a workflow of Temporal needs to know of it, as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from clx.daily.flow import Mark, Reference

if TYPE_CHECKING:
    from clx.daily.flow import Flow, Step
    from clx.routines.codecs.canonical import Files
    from clx.routines.routine import Routine

PAYLOAD = 64 << 10
"""Bytes that a payload has at most, beside the names in it."""
RUNS = 3
"""Attempts of a step without ``max_runs``: its exceptions are final, and workers that were lost are made up for."""
_LONGEST = 30 * 86_400.0
"""Seconds for a step that may take as long as it takes: Temporal wants a number."""


class Planned(NamedTuple):
    """A step as the interpreter of a day reads it: of :class:`clx.daily.flow.Step` what is no function, and

    Attributes:
        inputs: its values are parsed canonical JSON.
        timeout: seconds that an attempt may take.
        attempts: how many there are at most.
        backoff: seconds before the second of them, doubled before each later one.
        code: digest of the function.
    """

    name: str
    inputs: Mapping[str, Any]
    items: list[Any] | None
    enough: int
    deadline: float | None
    pool: str
    timeout: float
    attempts: int
    code: str
    backoff: float = 0.5

    @property
    def references(self) -> list[Reference]:
        """The steps that it gets something of."""
        return [each for each in self.inputs.values() if isinstance(each, Reference)]


class Plan:
    """A flow as the interpreter of a day reads it.

    Args:
        document: as :func:`document_of` has made it.

    Attributes:
        date: the day, as parsed canonical JSON.
        inline: bytes of a value from which on it goes by the store.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.name: str = document["flow"]
        self.date: Any = document["date"]
        self.inline: int = document["inline"]
        self.order = [_planned(each) for each in document["steps"]]
        self.steps = {each.name: each for each in self.order}


def document_of(flow: Flow, day: date, tasks: Mapping[str, Routine[..., Any]], files: Files) -> dict[str, Any]:
    """The plan of a day, with what its steps are given as canonical JSON.

    Args:
        tasks: of the flow's steps, by their names.
        files: where large values go.

    Raises:
        RoutineValueError: an input has no codec.
    """
    values = sum(len(each.items or "1") + len(each.inputs) for each in flow.order)  # of one payload, at most
    inline = PAYLOAD // values
    return {
        "flow": flow.name,
        "date": node_of(day, date, "data_date", files, inline),
        "inline": inline,
        "steps": [_document(each, tasks[each.name], files, inline) for each in flow.order],
    }


def _document(step: Step, routine: Routine[..., Any], files: Files, inline: int) -> dict[str, Any]:
    from clx.db.backoff import BASE

    inputs: dict[str, Any] = {}
    for name, value in step.inputs.items():
        if isinstance(value, Reference):
            inputs[name] = {"step": value.step, "part": value.part}
        elif isinstance(value, Mark):
            inputs[name] = {"mark": value.value}
        else:
            inputs[name] = {"value": node_of(value, routine.argument_hints.get(name, Any), name, files, inline)}
    timeout, backoff = routine.options.timeout, routine.options.backoff
    return {
        **{name: getattr(step, name) for name in ("name", "items", "enough", "deadline", "pool")},
        "inputs": inputs,
        "timeout": _LONGEST if timeout is None else timeout / 1000,
        "attempts": step.max_runs or RUNS,
        "backoff": (BASE if backoff is None else backoff) / 1000,
        "code": routine.code,  # type: ignore[attr-defined]
    }


def node_of(value: Any, hint: Any, name: str, files: Files, inline: int) -> Any:
    """A value as parsed canonical JSON of at most *inline* bytes: a longer one goes into the store."""
    from clx.routines.codecs import canonical

    return short(canonical(value, hint, name, files), files, inline)


def short(text: str, files: Files, inline: int) -> Any:
    """Canonical *text* parsed, or where it is longer than *inline* bytes an artifact of it."""
    import msgspec

    from clx.routines.codecs import artifact_of, artifacts_of

    if len(text) > inline and not text.startswith('{"$large":'):
        text = artifact_of(text, files)
    files.share(artifacts_of(text))
    return msgspec.json.decode(text)


def pairs_of(values: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping from items to parsed canonical JSON, as that, in the order in which a codec writes it."""
    return {"$m": [[item, values[item]] for item in sorted(values, key=json.dumps)]}


def whole(node: Any, files: Files) -> Any:
    """The same where values of such a mapping went by the store."""
    import msgspec

    if not (isinstance(node, dict) and node.keys() == {"$m"}):
        return node
    pairs = [
        [item, msgspec.json.decode(files.get_bytes(value["$large"][0]))]
        if isinstance(value, dict) and value.keys() == {"$large"}
        else [item, value]
        for item, value in node["$m"]
    ]
    return {"$m": pairs}


def queue_of(flow: str, pool: str) -> str:
    """The task queue of a flow, or of one of its pools."""
    return f"clx-daily-{flow}" + (f"-{pool}" if pool else "")


def _planned(document: Mapping[str, Any]) -> Planned:
    inputs = {name: _input(each) for name, each in document["inputs"].items()}
    return Planned(**{**document, "inputs": inputs})


def _input(told: Mapping[str, Any]) -> Any:
    if "step" in told:
        return Reference(told["step"], told["part"])
    return Mark(told["mark"]) if "mark" in told else told["value"]
