"""What a worker asks of a model, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clx.serving.frames import Spec
from clx.serving.tensors import Tensor


class ModelError(Exception):
    """A model cannot be held, or does not take what it was given; the text is for the client."""


class Model(Protocol):
    """A model that a worker holds.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        largest: rows of its largest batch; 1: it takes no batches.
    """

    inputs: list[Spec]
    outputs: list[Spec]
    largest: int

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Run it once.

        Raises:
            ModelError: it does not take what it was given.
        """

    def sample(self, rows: int) -> list[Tensor]:
        """Inputs to warm it up with."""


def prepare(options: dict[str, str]) -> None:
    """Have in memory what runs models as such."""
    if not options.get("callable"):
        from clx.serving.worker.onnx import begin

        begin()


def opened(path: str, largest: int, options: dict[str, str], modules: Sequence[str]) -> Model:
    """The model of a file, or of a module that the operator allows.

    Raises:
        ModelError: it is none.
    """
    code = options.get("callable")
    if code:
        from clx.serving.worker.callables import CallableModel

        return CallableModel(code, modules, largest)
    from clx.serving.worker.onnx import OnnxModel

    return OnnxModel(path, largest)
