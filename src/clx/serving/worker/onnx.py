"""Models of ONNX, run by onnxruntime on one thread each.

From 1.29 on onnxruntime tells its makers, over the network, how it is used, and notes an id of the machine for that,
unless a variable is set before it is imported. Whoever wants that sets ``ORT_DISABLE_TELEMETRY=0``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any, Final

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

from clx.serving.frames import Spec
from clx.serving.tensors import Tensor, packed_texts, texts
from clx.serving.worker.models import ModelError

RUNTIME = f"onnxruntime {onnxruntime.__version__}"
_DATATYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
NUMPY: Final = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_NAMES: Final = {each: name for name, each in NUMPY.items()}
_LEAST: Final = (
    b'\x08\x08:@\n\x11\n\x01x\n\x01x\x12\x01y"\x06MatMul\x12\x01nZ\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08'
    b"\n\x02\x08\x01\n\x02\x08\x01b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
"""A model that multiplies a number by itself."""
LARGEST_BATCH = 64
"""Rows of the largest batch of a model that takes any number."""


class OnnxModel:
    """A model of ONNX.

    Args:
        path: its file.
        largest: rows of its largest batch; 0: as many as pay, if its first dimension is free everywhere.

    Raises:
        ModelError: the file is none, or has inputs that the protocol does not know.
    """

    def __init__(self, path: str, largest: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no tree of its own: whatever it raises, the file is at fault
            raise ModelError(
                first_line(error).replace(path, "the file")
            ) from None  # where it lies is nobody's business
        self.inputs = [_spec(each) for each in self._session.get_inputs()]
        self.outputs = [_spec(each) for each in self._session.get_outputs()]
        self._names = [each.name for each in self.outputs]
        takes = all(each.shape[:1] == (-1,) for each in (*self.inputs, *self.outputs))
        self.largest = (largest or LARGEST_BATCH) if takes and largest != 1 else 1
        if self.largest > 1 and not self._keeps_rows():
            self.largest = 1

    def _keeps_rows(self) -> bool:
        """Whether what comes out has the rows that went in: a free first dimension alone does not say so."""
        try:
            found = self.run(self.sample(2))
        except ModelError:
            return False
        return all(each.shape[:1] == (2,) for each in found)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Run it once.

        Raises:
            ModelError: it does not take what it was given.
        """
        given = {each.name: array_of(each) for each in tensors}
        try:
            found = self._session.run(self._names, given)
        except Exception as error:
            raise ModelError(first_line(error)) from None
        return [tensor_of(name, each) for name, each in zip(self._names, found, strict=True)]

    def sample(self, rows: int) -> list[Tensor]:
        """Inputs to warm it up with: zeros, or ones where a dimension is free."""
        found = []
        for each in self.inputs:
            free = [max(1, size) for size in each.shape]
            shape = (rows, *free[1:]) if self.largest > 1 and free else tuple(free)
            if each.datatype == "BYTES":
                data = b"\0\0\0\0" * prod(shape)
            else:
                data = bytes(prod(shape) * NUMPY[each.datatype].itemsize)
            found.append(Tensor(each.name, each.datatype, shape, data))
        return found


@cache
def begin() -> None:
    """Have onnxruntime take the memory that it needs for models as such."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_LEAST, options, providers=["CPUExecutionProvider"])
    session.run(["y"], {"x": np.ones((1, 1), np.float32)})


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _spec(said: Any) -> Spec:
    datatype = _DATATYPES.get(said.type)
    if datatype is None:
        raise ModelError(f"{said.name} is of the type {said.type}, which the protocol does not have")
    return Spec(said.name, datatype, tuple(each if isinstance(each, int) and each > 0 else -1 for each in said.shape))


def array_of(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        return np.array(_texts(tensor), dtype=object).reshape(tensor.shape)
    return np.frombuffer(tensor.data, NUMPY[tensor.datatype]).reshape(tensor.shape)


def _texts(tensor: Tensor) -> list[str]:
    data = memoryview(tensor.data)
    return [str(data[begin:end], "utf-8", "surrogateescape") for begin, end in texts(data)]


def tensor_of(name: str, found: Any) -> Tensor:
    if not isinstance(found, np.ndarray):
        raise ModelError(f"output {name} is no tensor")
    if found.dtype == object or found.dtype.kind in "US":
        said = (str(each).encode("utf-8", "surrogateescape") for each in found.reshape(-1))
        return Tensor(name, "BYTES", found.shape, packed_texts(said))
    datatype = _NAMES.get(found.dtype)
    if datatype is None:
        raise ModelError(f"output {name} has elements of {found.dtype}")
    return Tensor(name, datatype, found.shape, found.tobytes())
