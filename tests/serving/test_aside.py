"""Large JSON is read and written elsewhere as it would be here, whatever it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clx.serving import aside as aside_module
from clx.serving.aside import LARGE, MANY, Aside, is_large, is_much
from clx.serving.failures import Refusal
from clx.serving.protocol import Inference, Wanted, answer, inference
from clx.serving.tensors import Tensor

NUMBERS = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.5, float("nan"), -2, float("inf")]}
TEXTS = {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "ü"]}
SAID = {"timeout": 5, "priority": 2, "binary_data_output": True, "mine": 10**30}
BODIES: list[tuple[Any, bytes]] = [
    ({"inputs": [NUMBERS, TEXTS], "id": "7", "outputs": [{"name": "y"}], "parameters": SAID}, b""),
    ({"inputs": [{**NUMBERS, "data": [1]}]}, b""),
    ({"inputs": [{**NUMBERS, "datatype": "FP0"}]}, b""),
    ([], b""),
    ({"inputs": [{"name": "b", "datatype": "INT8", "shape": [3], "parameters": {"binary_data_size": 3}}]}, b"abc"),
]


def with_one(doing: Callable[[Aside], Awaitable[None]]) -> None:
    async def live() -> None:
        aside = Aside()
        try:
            await asyncio.wait_for(doing(aside), 60)
        finally:
            aside.end()

    asyncio.run(live())


def told(found: Inference | Refusal) -> Any:
    """What can be compared."""
    if isinstance(found, Refusal):
        return found.code, found.text
    inputs = [(each.name, each.datatype, tuple(each.shape), bytes(each.data)) for each in found.inputs]
    return inputs, found.outputs, found.id, found.binary, found.timeout, found.priority


def test_a_request_is_read_elsewhere_as_it_would_be_here() -> None:
    async def read(aside: Aside) -> None:
        for document, rest in BODIES:
            head = json.dumps(document).encode()
            header = len(head) if rest else None
            try:
                here: Any = inference(head + rest, header)
            except Refusal as refusal:
                here = refusal
            try:
                there: Any = await aside.read(head + rest, header)
            except Refusal as refusal:
                there = refusal
            assert told(here) == told(there)

    with_one(read)


def test_an_answer_is_written_elsewhere_as_it_would_be_here() -> None:
    outputs = [Tensor("y", "FP32", (2,), b"\0\0\xc0\x7f\0\0\x80?"), Tensor("z", "UINT8", (2,), b"ab")]

    async def write(aside: Aside) -> None:
        for asked in (
            Inference([]),
            Inference([], id="7", binary=True),
            Inference([], [Wanted("y", binary=True), Wanted("z", binary=False)]),
        ):
            size, parts = await aside.write(asked, "m", "1", outputs)
            size_here, parts_here = answer(asked, "m", "1", outputs)
            assert (size, b"".join(parts)) == (size_here, b"".join(parts_here))
        with pytest.raises(Refusal, match="there is no output w"):
            await aside.write(Inference([], [Wanted("w", binary=False)]), "m", "1", outputs)

    with_one(write)


def test_one_that_has_ended_is_begun_again() -> None:
    body = json.dumps(BODIES[0][0]).encode()

    async def read(aside: Aside) -> None:
        await aside.read(body, None)
        assert aside._process is not None
        aside._process.kill()
        aside._process.wait()
        with pytest.raises(Refusal, match="begun anew") as refused:
            await aside.read(body, None)
        assert refused.value.status == 503
        assert (await aside.read(body, None)).id == "7"

    with_one(read)


def test_what_is_large_is_json_and_not_tensors() -> None:
    assert is_large(bytes(LARGE + 1), None)
    assert not is_large(bytes(LARGE + 1), 100)
    much = [Tensor("y", "FP32", (MANY + 1,), bytes(MANY * 4 + 4))]
    assert is_much(Inference([]), much)
    assert not is_much(Inference([], binary=True), much)
    assert not is_much(Inference([], [Wanted("y", binary=True)]), much)


def test_more_than_can_be_read_in_time_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(BODIES[0][0]).encode()
    monkeypatch.setattr(aside_module, "MOST_WAITING", 2 * len(body))

    async def read(aside: Aside) -> None:
        found = await asyncio.gather(*(aside.read(body, None) for _ in range(4)), return_exceptions=True)
        assert [getattr(each, "id", "") for each in found] == ["7", "7", "", ""]
        assert {each.status for each in found if isinstance(each, Refusal)} == {503}
        assert (await aside.read(body, None)).id == "7"

    with_one(read)
