"""The models that all servers of the benchmark serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROW = 64
"""Numbers of an input."""


def write(path: Path, *, wide: int = 256, rows: str | int = "n", layers: int = 2) -> Path:
    """Dense layers: ``x`` of [*rows*, 64] to ``y`` of [*rows*, 10], *layers* of *wide* between them."""
    dice = np.random.default_rng(1)
    shapes = [(ROW, wide), *[(wide, wide)] * (layers - 1), (wide, 10)]
    weights = [(dice.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32) for shape in shapes]
    nodes, last = [], "x"
    for place in range(len(shapes)):
        end = place == len(shapes) - 1
        nodes.append(helper.make_node("MatMul", [last, f"w{place}"], ["y" if end else f"a{place}"]))
        if not end:
            nodes.append(helper.make_node("Relu", [f"a{place}"], [f"b{place}"]))
        last = f"b{place}"
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, ROW])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 10])],
        [numpy_helper.from_array(each, f"w{place}") for place, each in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path
