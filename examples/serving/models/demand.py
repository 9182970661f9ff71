"""The power that a town needs: the next hour from the last two days, by least squares."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HOURS = 48


def examples(hours: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two days before each hour, [n, 48], and what that hour needed, [n, 1]; megawatts."""
    dice = np.random.default_rng(seed)
    t = np.arange(hours)
    need = 50 + 15 * np.sin(2 * np.pi * (t - 8) / 24) + 6 * np.sin(4 * np.pi * t / 24) + 4 * np.sin(2 * np.pi * t / 168)
    need += dice.normal(0, 0.8, hours)
    before = np.lib.stride_tricks.sliding_window_view(need[:-1], HOURS)
    return before.astype(np.float32), need[HOURS:, np.newaxis].astype(np.float32)


def trained() -> list[np.ndarray]:
    """Weights and bias."""
    before, need = examples(24 * 365, seed=3)
    ones = np.ones((len(before), 1), np.float32)
    found, *_ = np.linalg.lstsq(np.hstack([before, ones]), need, rcond=None)
    return [found[:-1].astype(np.float32), found[-1].astype(np.float32)]


def exported(weights: list[np.ndarray]) -> onnx.ModelProto:
    """``before`` of [n, 48] to ``need`` of [n, 1]."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["before", "w", "b"], ["need"])],
        "demand",
        [helper.make_tensor_value_info("before", TensorProto.FLOAT, ["n", HOURS])],
        [helper.make_tensor_value_info("need", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(each, name) for each, name in zip(weights, ("w", "b"), strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
