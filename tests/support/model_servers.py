"""Models of ONNX made on the spot, and what tests know of a server of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_model(path: Path, *, rows: str | int = "n", inside: int = 8, seed: int = 1) -> Path:
    """Two dense layers: ``x`` of [rows, 4] to ``y`` of [rows, 3]."""
    dice = np.random.default_rng(seed)
    weights = [dice.standard_normal(shape).astype(np.float32) for shape in ((4, inside), (inside, 3))]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w1"], ["y"]),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 3])],
        [numpy_helper.from_array(each, f"w{n}") for n, each in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path


@dataclass(frozen=True, slots=True)
class Served:
    """A server of models that runs; *address* is ``HOST:PORT``."""

    address: str
    process: subprocess.Popen[str]


Serve = Callable[..., Served]
