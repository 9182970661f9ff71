"""Models of ONNX made on the spot, and what tests know of a server of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import psutil
import tritonclient.http
from onnx import TensorProto, helper, numpy_helper
from tests.support.scene import until


def write_model(path: Path, *, rows: str | int = "n", inside: int = 8, seed: int = 1, deep: bool = False) -> Path:
    """Dense layers, two or *deep* three: ``x`` of [rows, 4] to ``y`` of [rows, 3]."""
    dice = np.random.default_rng(seed)
    shapes = ((4, inside), (inside, 3), *(((inside, inside),) if deep else ()))
    weights = [dice.standard_normal(shape).astype(np.float32) for shape in shapes]
    between = [helper.make_node("MatMul", ["b", "w2"], ["c"])] if deep else []
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            *between,
            helper.make_node("MatMul", ["c" if deep else "b", "w1"], ["y"]),
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


NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""What NumPy calls the datatypes of the protocol."""


def write_graph(
    path: Path, nodes: Sequence[Any], inputs: Mapping[str, tuple[str, Any]], outputs: Mapping[str, tuple[str, Any]]
) -> Path:
    """A model of *nodes*; inputs and outputs by their names: datatype and shape."""

    def said(those: Mapping[str, tuple[str, Any]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[datatype])), shape)
            for name, (datatype, shape) in those.items()
        ]

    graph = helper.make_graph(nodes, path.stem, said(inputs), said(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path


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


def write_twins(path: Path, datatypes: Sequence[str], shape: Sequence[str | int]) -> Path:
    """Each input ``in_DATATYPE`` comes out as ``out_DATATYPE``."""
    return write_graph(
        path,
        [helper.make_node("Identity", [f"in_{each}"], [f"out_{each}"]) for each in datatypes],
        {f"in_{each}": (each, shape) for each in datatypes},
        {f"out_{each}": (each, shape) for each in datatypes},
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A server of models that runs; *address* is ``HOST:PORT``, *said* what it said before that."""

    address: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The next line of what it says."""
        assert self.process.stdout is not None
        return self.said.pop(0) if self.said else self.process.stdout.readline()

    def children(self) -> list[int]:
        """Its workers."""
        pid = self.process.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


@contextmanager
def model_server(directory: Path, *arguments: str) -> Iterator[Served]:
    """``clx serve`` as long as it lasts, at a port that is free."""
    command = [sys.executable, "-m", "clx", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=directory)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving at http://"), line
        yield Served(line.split("//")[1].split(";")[0], process)
    finally:
        process.terminate()
        with process.stdout:
            assert process.wait(20) == 0


Serve = Callable[..., Served]
Start = Callable[..., Served]


def asked_slow(turns: int) -> list[Any]:
    """What the model of :func:`write_slow_model` takes."""
    made = tritonclient.http.InferInput("n", [1], "INT64")
    made.set_data_from_numpy(np.array([turns], np.int64))
    return [made]


def infer_slow(address: str, turns: int) -> list[int]:
    """What the model of :func:`write_slow_model` gives; by a client of its own, as each thread needs one."""
    with tritonclient.http.InferenceServerClient(address, network_timeout=120) as client:
        found: list[int] = client.infer("slow", asked_slow(turns)).as_numpy("y").tolist()
        return found


def busy(*listeners: subprocess.Popen[str]) -> psutil.Process:
    """Waits until a process that one of *listeners* has started, or one of those, computes, and gives it."""
    before: dict[int, float] = {}

    def look() -> psutil.Process | None:
        for each in (
            child for listener in listeners for child in psutil.Process(listener.pid).children(recursive=True)
        ):
            with suppress(psutil.NoSuchProcess):
                spent = each.cpu_times().user
                if spent > before.setdefault(each.pid, spent) + 0.3:
                    return each
        return None

    return cast("psutil.Process", until(look))


def links(process: psutil.Process) -> int:
    """Sockets and pipes that a process has; files of the table are those of threads that are there for good."""
    return process.num_fds() - len(process.open_files())
