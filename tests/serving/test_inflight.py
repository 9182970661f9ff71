"""Requests in flight, with a worker that says what the test has it say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic_ns

import pytest
from tests.support.models_here import Transport

from clx.serving.estimates import WARM_UPS
from clx.serving.failures import Refusal
from clx.serving.frames import Done, FrameError, Reader, Spec
from clx.serving.inflight import InFlight
from clx.serving.links import Link
from clx.serving.protocol import Inference
from clx.serving.scheduler import Scheduler
from clx.serving.served import Served
from clx.serving.tensors import Tensor

Told = list[Sequence[Tensor] | Refusal]


class Desk:
    """Requests of a model that takes a row of two numbers, and a worker of it."""

    def __init__(self) -> None:
        self.model = Served("m", "1", "file", "ready", inputs={"x": Spec("x", "FP32", (-1, 2))}, batches=True)
        self.scheduler = Scheduler()
        self.scheduler.add_executor(0)
        self.scheduler.place(0, self.model.key, 4)
        for _ in range(WARM_UPS):
            self.scheduler.observe(self.model.key, 1, 1_000_000)
            self.scheduler.observe(self.model.key, 2, 1_000_000)
        link = Link(0, lambda *_: None, lambda _: None)
        self.worker = Transport()
        link.connection_made(self.worker)  # type: ignore[arg-type]  # as much of one as it needs
        self.idle: list[int] = []
        self.requests = InFlight(self.scheduler, {0: link}, lambda _model, rows: self.idle.append(rows))

    def infer(self, told: Told, *, timeout: int = 0, row: bytes = bytes(8)) -> None:
        asked = Inference([Tensor("x", "FP32", (1, 2), row)], timeout=timeout)
        self.requests.infer(self.model, asked, monotonic_ns(), told.append)

    def sent(self) -> list[tuple[int, bytes]]:
        written, self.worker.written = self.worker.written, b""
        return [(message.batch, bytes(rest)) for message, rest in Reader().feed(written)]  # type: ignore[union-attr]

    def done(self, batch: int, *rows: bytes) -> None:
        y = Spec("y", "FP32", (len(rows), 2), 8 * len(rows))
        self.requests.end(0, Done(batch, 1_000_000, [y]), memoryview(b"".join(rows)))


def test_who_waits_for_a_worker_runs_together_next_and_gets_its_own_rows() -> None:
    async def ask() -> None:
        desk, told = Desk(), [Told(), Told(), Told()]
        for place, each in enumerate(told):
            desk.infer(each, row=bytes([place]) * 8)
        [(first, inputs)] = desk.sent()
        assert inputs == bytes(8)
        desk.done(first, b"a" * 8)
        [(second, inputs)] = desk.sent()
        assert inputs == b"\1" * 8 + b"\2" * 8
        desk.done(second, b"b" * 8, b"c" * 8)
        results = [bytes(outputs[0].data) for [outputs] in told if not isinstance(outputs, Refusal)]
        assert results == [b"a" * 8, b"b" * 8, b"c" * 8]
        assert desk.model.numbers.success.count == 3

    asyncio.run(ask())


def test_who_is_late_is_told_at_the_deadline_and_who_would_be_at_once() -> None:
    async def ask() -> None:
        desk, told, late = Desk(), Told(), Told()
        desk.infer(told, timeout=30_000)
        desk.infer(late, timeout=500)
        assert isinstance(late[0], Refusal)
        assert late[0].code == "refused_late"
        assert desk.idle == [1]
        while not told:
            await asyncio.sleep(0.005)
        assert isinstance(told[0], Refusal)
        assert told[0].code == "missed"
        desk.done(desk.sent()[0][0], bytes(8))  # too late
        assert len(told) == 1

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_a_worker_that_speaks_of_a_batch_it_was_not_given_is_not_heeded() -> None:
    with pytest.raises(FrameError):
        Desk().done(7, bytes(8))


def test_deadlines_are_met_while_the_loop_has_no_time_for_timers() -> None:
    async def ask() -> None:
        desk, told = Desk(), Told()
        desk.infer(told, timeout=30_000)
        until = monotonic_ns() + 40_000_000
        while monotonic_ns() < until:
            desk.infer(Told(), timeout=60_000_000)
        desk.infer(Told(), timeout=60_000_000)  # after the deadline, wherever this process was interrupted
        assert isinstance(told[0], Refusal)
        assert told[0].code == "missed"
        [(batch, _)] = desk.sent()
        desk.done(batch, bytes(8))
        assert len(told) == 1

    asyncio.run(ask())
