"""Models that are Python: a function, or a class, of a module that the operator allows.

A client names none of these, and no message but the controller's does; what is imported here is the operator's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from clx.serving.frames import Spec
from clx.serving.tensors import DATATYPES, Tensor
from clx.serving.worker.models import ModelError
from clx.serving.worker.onnx import NUMPY, array_of, tensor_of


class CallableModel:
    """A callable as a model.

    It takes a mapping from the names of inputs to arrays and gives one of outputs. ``inputs`` and ``outputs`` of it are
    mappings from a name to ``(datatype, shape)``; its ``largest`` is how many rows a batch may have, if the first
    dimension counts rows, else 1. A class is called once for what is then called.

    Args:
        code: ``MODULE:NAME``.
        modules: which may be imported.
        largest: rows of its largest batch; 0: as it says.

    Raises:
        ModelError: it may not be imported, cannot be, or says nothing of what it takes and gives.
    """

    def __init__(self, code: str, modules: Sequence[str], largest: int = 0) -> None:
        module, _, name = code.partition(":")
        if module not in modules:
            raise ModelError(f"module {module} is not among those that workers may import (serving.modules)")
        try:
            found: Any = import_module(module)
            for each in name.split("."):
                found = getattr(found, each)
            self._call = found() if isinstance(found, type) else found
            self.inputs = _specs(self._call.inputs)
            self.outputs = _specs(self._call.outputs)
            says = int(getattr(self._call, "largest", 1))
        except (Exception, SystemExit) as error:  # whatever their code raises, it cannot be a model
            raise ModelError(f"{code}: {type(error).__name__}: {error}") from None
        self.largest = min(largest or says, says)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Call it once.

        Raises:
            ModelError: it raises something, or does not give what it says.
        """
        try:
            found = dict(self._call({each.name: array_of(each) for each in tensors}))
            given = [self._given(found, each) for each in self.outputs]
        except ModelError:
            raise
        except (Exception, SystemExit) as error:  # their code: it costs this batch
            raise ModelError(f"{type(error).__name__}: {error}") from None
        if found:
            raise ModelError(f"it gives outputs of which it says nothing: {', '.join(map(str, found))[:200]}")
        self._check_shapes(given, tensors)
        return given

    def _given(self, found: dict[str, Any], spec: Spec) -> Tensor:
        if spec.name not in found:
            raise ModelError(f"it gives no output {spec.name}")
        return tensor_of(spec.name, _like(found.pop(spec.name), spec))

    def _check_shapes(self, given: Sequence[Tensor], asked: Sequence[Tensor]) -> None:
        batches = self.largest > 1 and bool(asked)
        for each, spec in zip(given, self.outputs, strict=True):
            wanted = (asked[0].shape[0], *spec.shape[1:]) if batches else spec.shape
            have = each.shape
            if len(have) != len(wanted) or any(w not in (-1, h) for w, h in zip(wanted, have, strict=True)):
                raise ModelError(f"output {each.name} has the shape {list(have)} where it says {list(wanted)}")

    def sample(self, rows: int) -> list[Tensor]:
        """Inputs to warm it up with: zeros."""
        found = []
        for each in self.inputs:
            free = [max(1, size) for size in each.shape]
            shape = (rows, *free[1:]) if self.largest > 1 and free else tuple(free)
            size = DATATYPES[each.datatype].size or 4
            found.append(Tensor(each.name, each.datatype, shape, bytes(prod(shape) * size)))
        return found


def _specs(said: Any) -> list[Spec]:
    found = []
    for name, (datatype, shape) in dict(said).items():
        if datatype not in DATATYPES:
            raise ModelError(f"{name} is of the datatype {datatype!r}, which the protocol does not have")
        found.append(Spec(str(name), datatype, tuple(int(each) for each in shape)))
    return found


def _like(value: Any, spec: Spec) -> Any:
    """An output as an array of the datatype it was promised with.

    Raises:
        ModelError: it is of another kind, which would not be the same number: a complex one, a text.
    """
    dtype = NUMPY.get(spec.datatype)
    if dtype is None:
        return np.asarray(value, dtype=object)
    found = np.asarray(value)
    if not np.can_cast(found.dtype, dtype, "same_kind") and not (found.dtype.kind in "iu" and dtype.kind in "iu"):
        raise ModelError(f"output {spec.name} has elements of {found.dtype} where it says {spec.datatype}")
    return found.astype(dtype, copy=False)
