"""Handwriting, nearly: digits of 8 × 8 points, shifted and noisy, and two dense layers that read them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_DRAWN = (
    "01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111", "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100",
)  # fmt: skip
Weights = list[np.ndarray]


def examples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of [count, 64], and which digits they show."""
    dice = np.random.default_rng(seed)
    fonts = np.array([[[int(each) for each in row] for row in digit.split()] for digit in _DRAWN], np.float32)
    labels = dice.integers(0, 10, count)
    pictures = np.zeros((count, 8, 8), np.float32)
    for picture, label, (down, right) in zip(pictures, labels, dice.integers(0, [2, 4], (count, 2)), strict=True):
        picture[down : down + 7, right : right + 5] = fonts[label]
    pictures = pictures * dice.uniform(0.6, 1.0, (count, 1, 1)) + dice.normal(0, 0.15, pictures.shape)
    return pictures.reshape(count, 64).astype(np.float32), labels


def trained(hidden: int = 48, rounds: int = 30) -> Weights:
    """Weights and biases of both layers, by gradient descent on batches of 64."""
    dice = np.random.default_rng(1)
    x, labels = examples(4_000, seed=2)
    wanted = np.eye(10, dtype=np.float32)[labels]
    w0, w1 = dice.normal(0, 0.15, (64, hidden)), dice.normal(0, 0.15, (hidden, 10))
    b0, b1 = np.zeros(hidden), np.zeros(10)
    for rows in _batches(len(x), rounds, dice):
        inside = np.maximum(x[rows] @ w0 + b0, 0)
        scores = inside @ w1 + b1
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        wrong = (chances / chances.sum(axis=1, keepdims=True) - wanted[rows]) / len(rows)
        back = (wrong @ w1.T) * (inside > 0)
        w1 -= 0.5 * inside.T @ wrong
        b1 -= 0.5 * wrong.sum(axis=0)
        w0 -= 0.5 * x[rows].T @ back
        b0 -= 0.5 * back.sum(axis=0)
    return [each.astype(np.float32) for each in (w0, b0, w1, b1)]


def _batches(count: int, rounds: int, dice: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(rounds):
        order = dice.permutation(count)
        yield from (order[first : first + 64] for first in range(0, count, 64))


def exported(weights: Weights) -> onnx.ModelProto:
    """``pixels`` of [n, 64] to ``chances`` of [n, 10]: n is free, so that requests can run as one batch."""
    nodes = [
        helper.make_node("Gemm", ["pixels", "w0", "b0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "w1", "b1"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["chances"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(each, name) for each, name in zip(weights, ("w0", "b0", "w1", "b1"), strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
