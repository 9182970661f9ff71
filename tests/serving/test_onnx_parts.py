"""Models with weights in files beside them: found in whatever part, refused where those do not come along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
import tritonclient.http as client_of
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from tests.serving.test_memory import ask
from tests.serving.test_remote import config
from tests.support.model_servers import Serve, write_model
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

from clx.serving.onnx_parts import other_files, other_files_of


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """A model in two files."""
    (tmp_path / "parted").mkdir()
    model = onnx.load(write_model(tmp_path / "parted" / "model.onnx"))
    onnx.save(model, tmp_path / "parted" / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "parted" / "w.bin").stat().st_size > 100
    return tmp_path / "parted" / "model.onnx"


def elsewhere(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    set_external_data(tensor, f"{name}.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def test_they_are_found_wherever_a_tensor_can_be(model: Path, parted: Path) -> None:
    assert other_files_of(model) == []
    assert other_files_of(parted) == ["w.bin"]
    whole = onnx.load(model)
    inner = helper.make_graph([], "inner", [], [], [elsewhere("inner")])
    whole.graph.node.append(helper.make_node("Constant", [], ["c"], value=elsewhere("attribute")))
    whole.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))
    whole.graph.sparse_initializer.append(helper.make_sparse_tensor(elsewhere("values"), elsewhere("indices"), [4]))
    node = helper.make_node("Constant", [], ["y"], value=elsewhere("function"))
    whole.functions.append(helper.make_function("d", "f", [], ["y"], [node], [helper.make_opsetid("", 17)]))
    names = ["attribute", "function", "indices", "inner", "values"]
    assert other_files(whole.SerializeToString()) == [f"{each}.bin" for each in names]


def test_whatever_the_bytes_are_it_ends(parted: Path) -> None:
    dice, data = Random(1), parted.read_bytes()
    for _ in range(2000):
        at = dice.randrange(len(data))
        broken = data[:at] + dice.randbytes(dice.randrange(9)) + data[at + dice.randrange(9) :]
        assert len(other_files(broken[: dice.randrange(len(broken))])) <= 4
    assert other_files(b"") == other_files(bytes(1000)) == other_files(b"\xff" * 1000) == []


@pytest.mark.slow
def test_a_file_that_lies_beside_is_used_where_it_lies_and_missed_where_it_does_not(
    parted: Path, serve: Serve, worker: Serve, tmp_path: Path
) -> None:
    add = [sys.executable, "-m", "clx", "models", "add", "parted", str(parted)]
    done = subprocess.run(add, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "has its weights in other files: w.bin" in done.stderr
    assert "save_as_external_data=False" in done.stderr
    waiting = worker("--models", str(parted.parent))
    local = serve("--model", f"parted={parted}")
    remote = serve("--worker", waiting.address, "--model", f"parted={parted}")
    assert "is there: CLX" in remote.line()
    with client_of.InferenceServerClient(local.address) as client:
        until(lambda: client.is_model_ready("parted"))
        assert ask(client, "parted")
        with pytest.raises(InferenceServerException, match=r"weights in other files \(w.bin\): save it as one") as told:
            client.load_model("sent", config="{}", files={"file:1/model.onnx": parted.read_bytes()})
        assert told.value.status() == "400"
    with client_of.InferenceServerClient(remote.address) as client:
        with pytest.raises(InferenceServerException, match=r"weights in other files \(w.bin\): save it as one"):
            client.load_model("parted")
        client.load_model("below", config=config("model.onnx"))
        assert ask(client, "below")
