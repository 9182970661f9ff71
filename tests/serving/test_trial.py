"""What clients send is tried beside what is served: it hangs, takes all memory, or is none, and nobody notices."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as client_of
from onnx import TensorProto, helper, numpy_helper
from tests.serving.test_memory import ask
from tests.support.model_servers import Serve, write_graph, write_model
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

from clx.serving import trial
from clx.serving.failures import Refusal
from clx.serving.served import Served
from clx.serving.trial import tried

pytestmark = pytest.mark.slow


def endless(path: Path) -> Path:
    """A model that turns for ever, whatever it is given."""
    turn = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Identity", ["done"], ["more"])],
        "turn",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("done", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]),
        ],
    )
    turns = helper.make_node("Constant", [], ["turns"], value=numpy_helper.from_array(np.array(2**62, np.int64)))
    nodes = [turns, helper.make_node("Loop", ["turns", "", "x"], ["y"], body=turn)]
    return write_graph(path, nodes, {"x": ("FP32", [1])}, {"y": ("FP32", [1])})


def huge(path: Path) -> Path:
    """A model that fills a terabyte."""
    shape = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(np.array([1 << 38], np.int64)))
    nodes = [
        shape,
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("ReduceSum", ["c"], ["d"], keepdims=0),
        helper.make_node("Add", ["x", "d"], ["y"]),
    ]
    return write_graph(path, nodes, {"x": ("FP32", [1])}, {"y": ("FP32", [1])})


def attempt(path: Path) -> str:
    """What is said against a model; empty: nothing."""
    try:
        asyncio.run(tried(Served("m", "1", str(path), size=path.stat().st_size)))
    except Refusal as refusal:
        return f"{refusal.status} {refusal.text}"
    return ""


def test_good_ones_pass_and_others_are_told_why_they_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempt(write_model(tmp_path / "good.onnx")) == ""
    (tmp_path / "none.onnx").write_bytes(b"none")
    assert "cannot be loaded" in attempt(tmp_path / "none.onnx")
    said = attempt(huge(tmp_path / "huge.onnx"))
    assert "cannot be loaded" in said or "more memory" in said or "ends the process" in said
    monkeypatch.setattr(trial, "PATIENCE", 3.0)
    assert "takes more than 3 s" in attempt(endless(tmp_path / "endless.onnx"))
    monkeypatch.setattr(trial, "SHARE", 1 << 40)
    monkeypatch.setattr(trial, "PATIENCE", 60.0)
    assert "takes more memory than there is" in attempt(tmp_path / "endless.onnx")


def test_what_ends_the_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "good.onnx")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert attempt(path) == "400 model m ends the process that reads it: exit status 1"


def test_an_upload_that_cannot_be_run_costs_the_workers_nothing(serve: Serve, model: Path, tmp_path: Path) -> None:
    server = serve("--model", f"dense={model}")
    with client_of.InferenceServerClient(server.address, network_timeout=120) as client:
        until(lambda: client.is_model_ready("dense"))
        workers = server.children()
        with pytest.raises(InferenceServerException) as refused:
            sent(client, huge(tmp_path / "huge.onnx"))
        assert refused.value.status() == "400"
        assert server.children() == workers
        sent(client, write_model(tmp_path / "other.onnx"))
        assert ask(client, "sent")
        assert ask(client, "dense")


def sent(client: Any, path: Path) -> None:
    client.load_model("sent", config="{}", files={"file:1/model.onnx": path.read_bytes()})
