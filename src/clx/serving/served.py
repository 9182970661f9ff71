"""Models as the controller knows them: what each takes and gives, where it is held, and what became of its requests."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Literal

from clx.serving.failures import Refusal
from clx.serving.frames import Spec
from clx.serving.protocol import Inference
from clx.serving.tensors import DATATYPES, Tensor

State = Literal["loading", "ready", "failed", "unloaded", "cold"]
"""``cold``: given up for the memory of others, or not loaded for want of it; loaded when it is asked for."""


MOST_FITTING = 256
"""Kinds of requests that are known to fit a model."""


@dataclass(slots=True)
class Count:
    """How often something was, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, times: int = 1) -> None:
        self.count += times
        self.ns += ns

    def document(self) -> dict[str, int]:
        """As the protocol's statistics have it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Statistics:
    """What became of a model's requests.

    Attributes:
        causes: of answers without a result, by the code that their clients were told.
        latest: nanoseconds from first byte to answer of the results that nobody has looked at yet
            (:class:`clx.serving.figures.Figures` does, once a second).
        batches: runs by how many rows they had.
    """

    success: Count = field(default_factory=Count)
    fail: Count = field(default_factory=Count)
    queue: Count = field(default_factory=Count)
    infer: Count = field(default_factory=Count)
    offered: int = 0
    refused: int = 0
    missed: int = 0
    withdrawn: int = 0
    rows: int = 0
    runs: int = 0
    last: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    latest: list[int] = field(default_factory=list)
    batches: dict[int, Count] = field(default_factory=dict)

    def ran(self, rows: int, requests: int, took: int) -> None:
        """A batch has run, for *took* nanoseconds."""
        self.runs += 1
        self.rows += rows
        self.last = time_ns() // 1_000_000
        self.infer.add(took * requests, requests)
        batch = self.batches.get(rows)
        if batch is None:
            batch = self.batches[rows] = Count()
        batch.add(took)

    def answered_without(self, code: str) -> None:
        """A request was answered, and had no result."""
        self.causes[code] = self.causes.get(code, 0) + 1


@dataclass(slots=True)
class Served:
    """A model.

    Attributes:
        name: of the model.
        version: of it; a text.
        path: its file.
        below: its file below the directory of each worker; then *path* is empty.
        digest: SHA-256 of *path*, once a worker of another machine was told of it.
        size: its bytes, likewise.
        state: how it stands.
        reason: why it has failed.
        timeout: microseconds that a request has which says nothing.
        largest: rows of its largest batch; 0: as the model says.
        inputs: what it takes, once it is held.
        outputs: what it gives.
        batches: whether the first dimension counts rows.
        most_rows: of a batch, once it is held.
        grown: bytes that a worker has grown by when it was last loaded there.
        digest: SHA-256 of its file, where that is known.
        size: bytes of its file, likewise.
        callable: ``MODULE:NAME`` of what workers import in place of a file.
        asked: nanoseconds (monotonic) at which it was last asked for.
        load_ns: nanoseconds that its last load took, until it was ready; 0: nobody knows.
        run_ns: nanoseconds that a request took when it was last held; 0: nobody knows.
        residence: how it is to stand (:data:`clx.db.serving.models.Residence`).
        key: what tells it from other versions and other ways to load it.
    """

    name: str
    version: str
    path: str
    state: State = "unloaded"
    reason: str = ""
    timeout: int = 0
    largest: int = 0
    inputs: dict[str, Spec] = field(default_factory=dict)
    outputs: list[Spec] = field(default_factory=list)
    batches: bool = False
    most_rows: int = 1
    grown: int = 0
    below: str = ""
    digest: str = ""
    size: int = 0
    callable: str = ""
    residence: str = "loaded"
    asked: int = 0
    load_ns: int = 0
    run_ns: int = 0
    key: str = ""
    numbers: Statistics = field(default_factory=Statistics)
    _fitting: dict[tuple[Any, ...], tuple[dict[str, Spec], tuple[int, Hashable]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        source = self.digest[:16] or self.callable or self.below or self.path
        self.key = self.key or f"{self.name}/{self.version}/{self.largest}/{source}"

    @property
    def memory(self) -> int:
        """Bytes that a worker has grown by for it; at least those of its file, wherever they found room."""
        return max(self.grown, self.size)

    def take(self, other: Served) -> None:
        """What can change without loading it anew is as in *other*, which is the same model."""
        self.timeout, self.residence = other.timeout, other.residence

    def deadline(self, asked: Inference, arrived: int) -> int:
        """When a request has to be answered that *arrived* then, nanoseconds (monotonic); 0: whenever."""
        timeout = asked.timeout or self.timeout
        return arrived + timeout * 1000 if timeout else 0

    def check(self, asked: Inference) -> tuple[int, Hashable]:
        """How many rows a request has, and what has to be equal in requests that run together.

        Raises:
            Refusal: it has inputs that the model does not take.
        """
        known = self._fitting.get(asked.inside) if asked.inside else None
        if known is not None and known[0] is self.inputs:  # it is what was asked before
            return known[1]
        found = self._checked(asked)
        if len(self._fitting) >= MOST_FITTING:
            self._fitting.clear()
        self._fitting[asked.inside] = self.inputs, found
        return found

    def _checked(self, asked: Inference) -> tuple[int, Hashable]:
        if len(asked.inputs) != len(self.inputs):
            raise self._inputs_differ(asked)
        shapes = []
        for each in asked.inputs:
            spec = self.inputs.get(each.name)
            if spec is None:
                raise self._inputs_differ(asked)
            if each.datatype != spec.datatype:
                raise Refusal("malformed", f"input {each.name} is {spec.datatype}, not {each.datatype}")
            if not _fits(each.shape, spec.shape):
                raise Refusal(
                    "malformed", f"input {each.name} has the shape {_text(spec.shape)}, not {list(each.shape)}"
                )
            shapes.append(each.shape[1:])
        if not self.batches:
            return 1, None
        rows = {each.shape[0] for each in asked.inputs}
        if len(rows) > 1 or 0 in rows:
            raise Refusal("malformed", "the first dimension of all inputs is the same, and not 0: it counts rows")
        return rows.pop(), tuple(shapes) if len(shapes) > 1 else shapes[0]

    def _inputs_differ(self, asked: Inference) -> Refusal:
        given = ", ".join(each.name for each in asked.inputs) or "none"
        return Refusal("malformed", f"{self.name} takes the inputs {', '.join(self.inputs)}; there were {given}")

    def metadata(self) -> dict[str, Any]:
        """As the protocol tells a model."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "python" if self.callable else "onnxruntime_onnx",
            "inputs": [_document(each) for each in self.inputs.values()],
            "outputs": [_document(each) for each in self.outputs],
        }


def _document(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _text(shape: Sequence[int]) -> str:
    return str([each if each >= 0 else "any" for each in shape]).replace("'", "")


def _fits(given: Sequence[int], spec: Sequence[int]) -> bool:
    return len(given) == len(spec) and all(want in (-1, have) for have, want in zip(given, spec, strict=True))


def joined(inputs: Sequence[Sequence[Tensor]], rows: int) -> list[Tensor]:
    """The inputs of several requests as those of one: row upon row."""
    first = inputs[0]
    if len(inputs) == 1:
        return list(first)
    by_name = [{each.name: each for each in request} for request in inputs]
    return [
        Tensor(
            each.name,
            each.datatype,
            (rows, *each.shape[1:]),
            b"".join(request[each.name].data for request in by_name),
        )
        for each in first
    ]


def split(outputs: Sequence[Tensor], rows: Sequence[int]) -> list[list[Tensor]]:
    """The outputs of a batch as those of its requests.

    Raises:
        Refusal: an output has other rows than the inputs had.
    """
    if len(rows) == 1:
        return [list(outputs)]
    total = sum(rows)
    parts: list[list[Tensor]] = [[] for _ in rows]
    for each in outputs:
        if not each.shape or each.shape[0] != total:
            raise Refusal("failed", f"output {each.name} has the shape {list(each.shape)} for {total} rows")
        ends = _ends(each, total)
        at = 0
        for place, count in enumerate(rows):
            data = memoryview(each.data)[ends[at] : ends[at + count]]
            parts[place].append(Tensor(each.name, each.datatype, (count, *each.shape[1:]), data))
            at += count
    return parts


def _ends(tensor: Tensor, rows: int) -> Sequence[int]:
    """Where in its bytes each row begins, and the last one ends."""
    if DATATYPES[tensor.datatype].size:
        size = len(tensor.data) // rows
        return range(0, size * rows + 1, size) if size else [0] * (rows + 1)
    per_row = 1
    for each in tensor.shape[1:]:
        per_row *= each
    ends, at, data = [0], 0, memoryview(tensor.data)
    for _ in range(rows):
        for _ in range(per_row):
            at += 4 + int.from_bytes(data[at : at + 4], "little")
        ends.append(at)
    return ends
