"""Inference requests and answers of the Open Inference Protocol, version 2, over HTTP: bytes to objects and back.

Source of every rule: the protocol's text (https://github.com/kserve/open-inference-protocol) and its extension
for binary tensors, as ``tritonclient`` speaks it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from clx.serving.failures import Refusal
from clx.serving.tensors import DATATYPES, Tensor, elements, from_bytes, from_json, to_json

LARGEST_JSON = 16 << 20
"""Bytes of JSON that a request may have: nobody else is served while it is read. Binary tensors are not read at all."""
LONGEST_NAME = 256
MOST_KNOWN = 256
"""Requests whose JSON is kept, apart from the numbers: clients send the same again and again."""
LARGEST_KNOWN = 1024
"""Bytes of such JSON."""
LONGEST_TIMEOUT = 86_400_000_000
"""Microseconds: a day."""
_HALF = re.compile(r"[\ud800-\udfff]")
_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Wanted:
    """An output that was asked for; *binary*: as bytes."""

    name: str
    binary: bool


@dataclass(slots=True)
class Inference:
    """A request.

    Attributes:
        inputs: its tensors.
        outputs: what was asked for; empty: all there are.
        id: comes back with the answer; empty: there was none.
        binary: whether outputs of which nothing was said go out as bytes.
        timeout: microseconds from the first byte read; 0: none was said.
        priority: 1 is first; 0: none was said.
        parameters: whatever else was sent.
        inside: names, datatypes and shapes of the inputs: requests with the same are alike to a model.
    """

    inputs: list[Tensor]
    outputs: list[Wanted] = field(default_factory=list)
    id: str = ""
    binary: bool = False
    timeout: int = 0
    priority: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    inside: tuple[Any, ...] = ()


class _Input(msgspec.Struct, gc=False):
    name: str
    datatype: str
    shape: list[Any]
    data: list[Any]
    parameters: dict[str, Any] | None = None


class _Document(msgspec.Struct, gc=False):
    inputs: list[_Input]
    id: Any = None
    outputs: Any = None
    parameters: Any = None


_quick = msgspec.json.Decoder(_Document).decode


class _Known(NamedTuple):
    """What the JSON before binary data said when it was read: the same bytes say the same again."""

    asked: Inference
    cuts: list[tuple[int, int]]
    header: int
    size: int


_known: dict[bytes, _Known] = {}


def parsed(body: bytes) -> Any:
    """A document as JSON has it; ``NaN`` and ``Infinity`` are numbers, too, as clients of the protocol send them.

    Raises:
        Refusal: it is none.
    """
    try:
        return _decode(body)
    except (ValueError, msgspec.DecodeError):  # the former: within a text that is no UTF-8
        pass
    except RecursionError:
        raise Refusal("malformed", "the body is nested too deeply") from None
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Refusal("malformed", f"the body is no JSON: {error}") from None
    except (ValueError, RecursionError):  # bytes that are no text, a number of thousands of digits
        raise Refusal("malformed", "the body is no JSON") from None


def inference(body: bytes, header: int | None = None) -> Inference:
    """The request that a body is.

    Args:
        body: all of it, decompressed.
        header: bytes of the JSON before binary data (``Inference-Header-Content-Length``); None: it is all JSON.

    Raises:
        Refusal: names what is wrong.
    """
    found = _direct(body) if header is None else _again(body, header)
    return _read(body, header) if found is None else found


def _read(body: bytes, header: int | None) -> Inference:
    if header is not None and not 0 < header <= len(body):
        raise Refusal("malformed", f"Inference-Header-Content-Length is {header}; the body has {len(body)} bytes")
    if (len(body) if header is None else header) > LARGEST_JSON:
        raise Refusal("too_large", f"a request may have {LARGEST_JSON} bytes of JSON: send tensors as binary data")
    document = parsed(body if header is None else body[:header])
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise Refusal("malformed", "the body is no object with a list of inputs")
    rest = memoryview(body)[len(body) if header is None else header :]
    inputs, at = [], 0
    for each in document["inputs"]:
        tensor, took = _input(each, rest[at:])
        inputs.append(tensor)
        at += took
    if at != len(rest):
        raise Refusal("malformed", f"{len(rest) - at} bytes after the last tensor belong to no input")
    if len({each.name for each in inputs}) < len(inputs):
        raise Refusal("malformed", "an input is there twice")
    asked = _whole(document, inputs)
    if header is not None and header <= LARGEST_KNOWN:
        _learn(body, header, asked)
    return asked


def _direct(body: bytes) -> Inference | None:
    """The request that JSON without anything unusual is; None: it has to be looked at more closely, or is wrong."""
    if len(body) > LARGEST_JSON:
        return None
    try:
        said = _quick(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    inputs = []
    for each in said.inputs:
        if each.parameters is not None or each.datatype not in DATATYPES or not _is_text(each.name):
            return None
        shape, count = elements(each.name, each.shape)
        inputs.append(from_json(each.name, each.datatype, shape, count, each.data))
    if len(inputs) > 1 and len({each.name for each in inputs}) < len(inputs):
        return None
    if said.id is None and said.outputs is None and said.parameters is None:
        return Inference(inputs, inside=_inside(inputs))
    return _whole({"id": said.id, "outputs": said.outputs, "parameters": said.parameters}, inputs)


def _inside(inputs: list[Tensor]) -> tuple[Any, ...]:
    return tuple([(each.name, each.datatype, each.shape) for each in inputs])


def _again(body: bytes, header: int) -> Inference | None:
    """A request that says what another one said, with other numbers; None: nobody has said it yet."""
    known = _known.get(body[:header])
    if known is None or known.header != header or known.size != len(body):
        return None
    said, rest = known.asked, memoryview(body)
    inputs = [
        Tensor(each.name, each.datatype, each.shape, rest[begin:end])
        for each, (begin, end) in zip(said.inputs, known.cuts, strict=True)
    ]
    return Inference(
        inputs, said.outputs, said.id, said.binary, said.timeout, said.priority, said.parameters, said.inside
    )


def _learn(body: bytes, header: int, asked: Inference) -> None:
    cuts, at = [], header
    for each in asked.inputs:
        if each.datatype in ("BYTES", "BOOL"):  # what they hold is looked at
            return
        cuts.append((at, at + len(each.data)))
        at += len(each.data)
    if at != len(body):  # an input was JSON
        return
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    empty = [Tensor(each.name, each.datatype, each.shape, b"") for each in asked.inputs]
    _known[body[:header]] = _Known(replace(asked, inputs=empty), cuts, header, at)


def _input(said: Any, rest: memoryview) -> tuple[Tensor, int]:
    """An input, and how many of the bytes after the JSON are its."""
    if not isinstance(said, dict) or not _is_text(said.get("name")):
        raise Refusal("malformed", f"an input is no object with a name of at most {LONGEST_NAME} characters")
    name, datatype = said["name"], said.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Refusal("malformed", f"input {name}: datatype is none of {', '.join(DATATYPES)}")
    shape, count = elements(name, said.get("shape"))
    parameters = _parameters(said, f"input {name}")
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in said:
            raise Refusal("malformed", f"input {name} has neither data nor binary_data_size")
        return from_json(name, datatype, shape, count, said["data"]), 0
    if "data" in said:
        raise Refusal("malformed", f"input {name} has data and binary_data_size")
    if type(size) is not int or not 0 <= size <= len(rest):
        raise Refusal(
            "malformed", f"input {name}: binary_data_size is no number from 0 to {len(rest)}: so many bytes are left"
        )
    return from_bytes(name, datatype, shape, count, rest[:size]), size


def _is_text(said: Any) -> bool:
    """Whether it is a text that can be said again: half of a pair of surrogates cannot."""
    return isinstance(said, str) and len(said) <= LONGEST_NAME and (said.isascii() or not _HALF.search(said))


def _parameters(said: dict[str, Any], whose: str) -> dict[str, Any]:
    parameters = said.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise Refusal("malformed", f"parameters of {whose} are no object")
    return parameters


def _whole(document: dict[str, Any], inputs: list[Tensor]) -> Inference:
    parameters = _parameters(document, "the request")
    for name in _SEQUENCES if parameters else ():
        if parameters.get(name):
            raise Refusal("malformed", f"{name}: sequences are not supported")
    asked = document.get("outputs")
    if asked is not None and not isinstance(asked, list):
        raise Refusal("malformed", "outputs are no list")
    said = "" if document.get("id") is None else document["id"]
    if said != "" and not _is_text(said):
        raise Refusal("malformed", f"id is no text of at most {LONGEST_NAME} characters")
    binary = parameters.get("binary_data_output") is True
    return Inference(
        inputs,
        [_wanted(each, binary=binary) for each in asked or ()],
        said,
        binary,
        _number(parameters, "timeout", LONGEST_TIMEOUT),
        _number(parameters, "priority", 1 << 31),
        parameters,
        _inside(inputs),
    )


def _number(parameters: dict[str, Any], name: str, most: int) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise Refusal("malformed", f"{name} is no whole number from 0 to {most}")
    return value


def _wanted(said: Any, *, binary: bool) -> Wanted:
    if not isinstance(said, dict) or not _is_text(said.get("name")):
        raise Refusal("malformed", f"an output is no object with a name of at most {LONGEST_NAME} characters")
    parameters = _parameters(said, f"output {said['name']}")
    if parameters.get("classification"):
        raise Refusal("malformed", f"output {said['name']}: classification is not supported")
    as_bytes = parameters.get("binary_data", binary)
    if not isinstance(as_bytes, bool):
        raise Refusal("malformed", f"output {said['name']}: binary_data is neither true nor false")
    return Wanted(said["name"], as_bytes)


def answer(asked: Inference, model: str, version: str, outputs: Sequence[Tensor]) -> tuple[int | None, list[Any]]:
    """What goes out: bytes of the JSON before binary data (None: it is all JSON), and the parts of the body.

    Raises:
        Refusal: an output was asked for that there is not.
    """
    document: dict[str, Any] = {"model_name": model, "model_version": version}
    if asked.id:
        document["id"] = asked.id
    parts: list[Any] = []
    said, finite = [], True
    for tensor, binary in _chosen(asked, outputs):
        each: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary:
            each["parameters"] = {"binary_data_size": len(tensor.data)}
            parts.append(tensor.data)
        else:
            each["data"] = to_json(tensor)
            finite = finite and (tensor.datatype[:2] != "FP" or _are_finite(each["data"]))
        said.append(each)
    document["outputs"] = said
    head = _encode(document) if finite else json.dumps(document).encode()
    return (len(head) if parts else None), [head, *parts]


def _are_finite(numbers: list[float]) -> bool:
    return math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))  # the sum of finite ones may not be


def _chosen(asked: Inference, outputs: Sequence[Tensor]) -> list[tuple[Tensor, bool]]:
    if not asked.outputs:
        return [(each, asked.binary) for each in outputs]
    by_name = {each.name: each for each in outputs}
    for each in asked.outputs:
        if each.name not in by_name:
            raise Refusal("malformed", f"there is no output {each.name}: there are {', '.join(by_name)}")
    return [(by_name[each.name], each.binary) for each in asked.outputs]
