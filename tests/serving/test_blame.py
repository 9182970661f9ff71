"""Which model is blamed for the end of a worker that loaded one and ran another."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.models_here import Transport

from clx.serving.estimates import WARM_UPS
from clx.serving.failures import Refusal
from clx.serving.frames import Loaded, Measured, Reader, Spec, Warm, frame
from clx.serving.guarding import Guarded
from clx.serving.links import Link
from clx.serving.protocol import Inference
from clx.serving.served import Served
from clx.serving.tensors import Tensor

Told = list[object]


class Scene:
    """A controller and a worker that says what the test has it say; it ends with exit status 4."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.controller = Guarded(fate=lambda _executor: "exit status 4", tell=self.said.append)
        self.link: Link = self.controller.link(0)
        self.worker = Transport()
        self.link.connection_made(self.worker)  # type: ignore[arg-type]  # as much of one as it needs

    def says(self, message: Loaded | Measured) -> None:
        self.link.data_received(b"".join(frame(message)))

    def load(self, name: str) -> tuple[Served, asyncio.Future[None]]:
        model = Served(name, "1", name)
        self.controller.models[model.key] = model
        return model, self.controller.load_at(0, model)

    def holds(self, model: Served) -> None:
        row = [Spec("x", "FP32", (-1, 2))]
        self.says(Loaded(model.key, row, row, 1, 0))

    def warms(self) -> None:
        """It measures what it is asked to."""
        written, self.worker.written = self.worker.written, b""
        for message, _ in Reader().feed(written):
            if isinstance(message, Warm):
                self.says(Measured(message.model, message.size, [1_000_000] * WARM_UPS))

    def infer(self, model: Served) -> Told:
        told: Told = []
        asked = Inference([Tensor("x", "FP32", (1, 2), bytes(8))])
        self.controller.infer(model, asked, 0, told.append)
        return told


def test_a_model_that_was_never_ready_is_blamed_before_one_that_ran_or_was_warmed_up() -> None:
    async def play(*, runs: bool) -> None:
        scene = Scene()
        old, ready = scene.load("old")
        scene.holds(old)
        if runs:
            scene.warms()
            await ready
        told = scene.infer(old) if runs else []
        _, failed = scene.load("new")
        scene.link.connection_lost(None)
        with pytest.raises(Refusal, match="it has ended the worker that was to hold it: exit status 4"):
            await failed
        assert [each for each in scene.said if "ended a worker" in each] == [
            "Model new has ended a worker (exit status 4), 1 of 3 times."
        ]
        assert [each.code for each in told if isinstance(each, Refusal)] == (["not_ready"] if runs else [])
        if not runs:
            assert ready.done()
            assert "is gone" in str(ready.exception())

    asyncio.run(play(runs=True))
    asyncio.run(play(runs=False))


def test_one_that_runs_is_blamed_where_what_is_loaded_was_ready_before() -> None:
    async def play() -> None:
        scene = Scene()
        old, ready = scene.load("old")
        scene.holds(old)
        scene.warms()
        await ready
        told = scene.infer(old)
        again, loading = scene.load("again")
        again.load_ns = 1
        scene.link.connection_lost(None)
        assert [each.code for each in told if isinstance(each, Refusal)] == ["failed"]
        assert scene.said == ["Model old has ended a worker (exit status 4), 1 of 3 times."]
        assert isinstance(loading.exception(), Refusal)

    asyncio.run(play())
