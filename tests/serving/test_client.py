"""``tritonclient.http``, unchanged, against ``clx serve``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Serve, Served
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow


@pytest.fixture
def server(serve: Serve, model: Path) -> Served:
    return serve("--model", f"dense={model}")


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    with client_of.InferenceServerClient(server.address) as found:
        until_ready(found, "dense")
        yield found


def until_ready(client: Any, model: str) -> None:
    """Ask until the model is ready; a server that never gets there ends the test by its time limit."""
    while not client.is_model_ready(model):
        os.sched_yield()


def asked(values: np.ndarray, *, binary: bool = True) -> list[Any]:
    made = client_of.InferInput("x", values.shape, "FP32")
    made.set_data_from_numpy(values, binary_data=binary)
    return [made]


def test_it_is_alive_and_says_what_it_is(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "clx"


def test_it_says_what_a_model_takes_and_gives(client: Any) -> None:
    assert client.get_model_metadata("dense") == {
        "name": "dense",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_numbers_go_in_and_come_out_as_text_and_as_bytes(client: Any, *, sent: bool, wanted: bool) -> None:
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    outputs = [client_of.InferRequestedOutput("y", binary_data=wanted)]
    found = client.infer("dense", asked(values, binary=sent), outputs=outputs, request_id="a1")
    assert found.get_response()["id"] == "a1"
    one_by_one = [client.infer("dense", asked(row.reshape(1, 4))).as_numpy("y")[0] for row in values]
    np.testing.assert_allclose(found.as_numpy("y"), one_by_one, rtol=1e-6)


def test_what_cannot_be_answered_in_time_is_refused_at_once(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="deadline") as raised:
        client.infer("dense", asked(np.zeros((1, 4), np.float32)), timeout=1)
    assert raised.value.status() == "429"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((1, 5), np.float32), r"shape \[any, 4\], not \[1, 5\]"),
        (np.zeros((0, 4), np.float32), "not 0"),
    ],
)
def test_what_the_model_does_not_take_is_refused_by_name(client: Any, values: np.ndarray, text: str) -> None:
    with pytest.raises(InferenceServerException, match=text) as raised:
        client.infer("dense", asked(values))
    assert raised.value.status() == "400"


def test_a_model_that_is_not_there_is_unknown(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="no model nope") as raised:
        client.infer("nope", asked(np.zeros((1, 4), np.float32)))
    assert raised.value.status() == "404"


def test_a_model_is_unloaded_and_loaded_again(client: Any) -> None:
    client.unload_model("dense")
    assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    assert not client.is_model_ready("dense")
    client.load_model("dense")
    assert client.is_model_ready("dense")


def test_statistics_count_what_was_asked(client: Any) -> None:
    for _ in range(3):
        client.infer("dense", asked(np.zeros((2, 4), np.float32)))
    found = client.get_inference_statistics("dense")["model_stats"][0]
    assert (found["inference_count"], found["inference_stats"]["success"]["count"]) == (6, 3)


def test_a_worker_that_is_killed_is_replaced_and_serves_again(client: Any, server: Served) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for each in children:
        os.kill(int(each), signal.SIGKILL)
    answers = [answer_of(client)]
    while answers[-1] != "200":
        answers.append(answer_of(client))
    assert set(answers) <= {"200", "503"}


def answer_of(client: Any) -> str:
    try:
        client.infer("dense", asked(np.zeros((1, 4), np.float32)))
    except InferenceServerException as error:
        return str(error.status())
    return "200"
