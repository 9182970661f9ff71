"""A model of ONNX that takes as long as its input says."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write_slow_model(path: Path) -> Path:
    """``n`` of [1] to ``y`` of [1], which is the same: after so many turns of a loop."""
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["done", "one"], ["one_more"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("done", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("one_more", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["n"], ["turns"]),
            helper.make_node("Loop", ["turns", "", "zero"], ["y"], body=turn),
        ],
        "slow",
        [helper.make_tensor_value_info("n", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1])],
        [helper.make_tensor("zero", TensorProto.INT64, [1], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path
