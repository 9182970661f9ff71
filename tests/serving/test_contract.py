"""Every call of the Open Inference Protocol over HTTP, made with both clients of ``tritonclient``, unchanged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as sync
import tritonclient.http.aio as aio
from onnx import helper
from tests.support.model_servers import NUMPY, Served, model_server, write_graph, write_model, write_twins
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow
INTEGERS = [each for each in NUMPY if "INT" in each]


class Client:
    """Either client, called the same way."""

    def __init__(self, address: str, kind: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_async = kind == "aio"
        self.module = aio if self._is_async else sync
        self._client = self._loop.run_until_complete(self._made(address)) if self._is_async else self._of(address)

    def _of(self, address: str) -> Any:
        return self.module.InferenceServerClient(address)

    async def _made(self, address: str) -> Any:
        return self._of(address)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not self._is_async:
            return method
        return lambda *given, **named: self._loop.run_until_complete(method(*given, **named))

    def end(self) -> None:
        self.close()
        self._loop.close()

    def input(self, name: str, values: Any, datatype: str, *, binary: bool = True) -> Any:
        made = self.module.InferInput(name, list(values.shape), datatype)
        made.set_data_from_numpy(values, binary_data=binary)
        return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("models")
    files = {
        "dense": write_model(directory / "dense.onnx"),
        "fixed": write_model(directory / "fixed.onnx", rows=2),
        "every": write_twins(directory / "every.onnx", list(NUMPY), ["n", 2]),
        "wide": write_twins(directory / "wide.onnx", ["FP32", "BYTES"], ["n", "m"]),
        "floats": write_twins(directory / "floats.onnx", ["FP16", "FP32", "FP64"], ["n"]),
        "total": write_graph(
            directory / "total.onnx",
            [
                helper.make_node("Add", ["a", "b"], ["c"]),
                helper.make_node("ReduceSum", ["c"], ["sum"], keepdims=0),
                helper.make_node("ReduceMax", ["c"], ["most"], keepdims=0),
            ],
            {"a": ("FP32", ["n"]), "b": ("FP32", ["n"])},
            {"sum": ("FP32", []), "most": ("FP32", [])},
        ),
    }
    (directory / "bad.onnx").write_bytes(b"no model")
    files["bad"] = directory / "bad.onnx"
    arguments = [text for name, path in files.items() for text in ("--model", f"{name}={path}")]
    with model_server(directory, *arguments) as found:
        client = sync.InferenceServerClient(found.address)
        while not all(client.is_model_ready(each) for each in files if each != "bad"):
            os.sched_yield()
        client.close()
        yield found


@pytest.fixture(params=["sync", "aio"])
def client(request: pytest.FixtureRequest, server: Served) -> Iterator[Client]:
    made = Client(server.address, request.param)
    yield made
    made.end()


def values_of(datatype: str) -> np.ndarray:
    if datatype == "BYTES":
        return np.array([["", "zwölf"], ["a\0b", "\U0001f600"]], dtype=np.object_)
    kind = NUMPY[datatype]
    if datatype in INTEGERS:
        info = np.iinfo(kind)
        return np.array([[info.min, info.max], [0, 1]], dtype=kind)
    return np.array([[0, 1], [1, 0]], dtype=kind)


def texts(values: np.ndarray) -> list[bytes]:
    return [each if isinstance(each, bytes) else str(each).encode() for each in values.reshape(-1)]


def dense(client: Client, rows: int = 1, *, binary: bool = True) -> list[Any]:
    return [client.input("x", np.ones((rows, 4), np.float32), "FP32", binary=binary)]


def refused(client: Client, call: str, *given: Any, **named: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as raised:
        getattr(client, call)(*given, **named)
    return str(raised.value.status()), str(raised.value.message())


# -- server and repository ----------------------------------------------------------------------------


def test_health(client: Client) -> None:
    assert client.is_server_live() is True
    assert client.is_server_ready() is True
    assert client.is_model_ready("dense") is True
    assert client.is_model_ready("dense", "1") is True
    assert client.is_model_ready("dense", "2") is False
    assert client.is_model_ready("bad") is False
    assert client.is_model_ready("nope") is False


def test_metadata(client: Client) -> None:
    server = client.get_server_metadata()
    assert server["name"] == "clx"
    assert {"binary_tensor_data", "model_repository", "schedule_policy", "statistics"} <= set(server["extensions"])
    found = client.get_model_metadata("every", "1")
    assert found["versions"] == ["1"]
    assert [(each["name"], each["datatype"], each["shape"]) for each in found["inputs"]] == [
        (f"in_{each}", each, [-1, 2]) for each in NUMPY
    ]
    assert client.get_model_metadata("total")["outputs"][0] == {"name": "sum", "datatype": "FP32", "shape": []}
    assert refused(client, "get_model_metadata", "nope")[0] == "404"
    assert refused(client, "get_model_metadata", "bad")[0] == "503"


def test_config(client: Client) -> None:
    found = client.get_model_config("fixed")
    assert (found["name"], found["max_batch_size"]) == ("fixed", 0)
    assert found["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [2, 4]}]
    batches = client.get_model_config("every", "1")
    assert batches["max_batch_size"] > 1
    assert batches["input"][-1] == {"name": "in_BYTES", "data_type": "TYPE_STRING", "dims": [2]}


def test_index_load_and_unload(client: Client) -> None:
    index = {each["name"]: each for each in client.get_model_repository_index()}
    assert (index["dense"]["state"], index["dense"]["version"]) == ("READY", "1")
    assert index["bad"]["state"] == "UNAVAILABLE"
    assert index["bad"]["reason"]
    client.unload_model("fixed")
    assert client.is_model_ready("fixed") is False
    assert refused(client, "infer", "fixed", dense(client, 2))[0] == "503"
    client.load_model("fixed")
    assert client.is_model_ready("fixed") is True
    status, text = refused(client, "load_model", "bad")
    assert status == "400"
    assert "bad" in text
    assert refused(client, "load_model", "nope")[0] in ("400", "404")
    assert refused(client, "unload_model", "nope")[0] == "404"
    assert refused(client, "load_model", "a b")[0] == "400"


def test_statistics(client: Client) -> None:
    def counts() -> tuple[int, int, int]:
        [found] = client.get_inference_statistics("total", "1")["model_stats"]
        its = found["inference_stats"]
        assert its["success"]["ns"] >= its["compute_infer"]["ns"] >= 0
        return its["success"]["count"], its["fail"]["count"], found["execution_count"]

    before = counts()
    given = [client.input(name, np.ones(3, np.float32), "FP32") for name in "ab"]
    for _ in range(3):
        client.infer("total", given)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [3, 0, 3]
    every = client.get_inference_statistics()["model_stats"]
    assert {"dense", "total"} <= {each["name"] for each in every}


# -- inference ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("sent", [True, False])
def test_every_datatype_as_bytes_and_as_json(client: Client, *, sent: bool, wanted: bool) -> None:
    given = []
    for each in NUMPY:
        made = client.input(f"in_{each}", values_of(each), each, binary=sent or each == "FP16")
        given.append(made)
    outputs = [
        client.module.InferRequestedOutput(f"out_{each}", binary_data=wanted or each == "FP16") for each in NUMPY
    ]
    found = client.infer("every", given, outputs=outputs)
    for each in NUMPY:
        got, put = found.as_numpy(f"out_{each}"), values_of(each)
        assert got.shape == put.shape
        assert found.get_output(f"out_{each}")["datatype"] == each
        assert texts(got) == texts(put) if each == "BYTES" else np.array_equal(got, put)


def test_without_named_outputs_all_come_as_bytes(client: Client) -> None:
    found = client.infer("total", [client.input(name, np.ones(3, np.float32), "FP32") for name in "ab"])
    assert [each["name"] for each in found.get_response()["outputs"]] == ["sum", "most"]
    assert (found.as_numpy("sum").shape, found.as_numpy("sum").item(), found.as_numpy("most").item()) == ((), 6.0, 2.0)


def test_a_scalar_as_json(client: Client) -> None:
    outputs = [client.module.InferRequestedOutput("most", binary_data=False)]
    given = [client.input(name, np.ones(3, np.float32), "FP32", binary=False) for name in "ab"]
    found = client.infer("total", given, outputs=outputs)
    assert found.get_response()["outputs"] == [{"name": "most", "datatype": "FP32", "shape": [], "data": [2.0]}]


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_without_elements(client: Client, *, binary: bool) -> None:
    given = [
        client.input("in_FP32", np.zeros((2, 0), np.float32), "FP32", binary=binary),
        client.input("in_BYTES", np.zeros((2, 0), np.object_), "BYTES", binary=binary),
    ]
    outputs = [client.module.InferRequestedOutput(f"out_{each}", binary_data=binary) for each in ("FP32", "BYTES")]
    found = client.infer("wide", given, outputs=outputs)
    assert found.get_output("out_FP32")["shape"] == found.get_output("out_BYTES")["shape"] == [2, 0]


def test_a_model_whose_first_dimension_is_fixed(client: Client) -> None:
    assert client.infer("fixed", dense(client, 2)).as_numpy("y").shape == (2, 3)
    status, text = refused(client, "infer", "fixed", dense(client, 3))
    assert status == "400"
    assert "[2, 4]" in text


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("sent", [True, False])
def test_numbers_that_json_does_not_have(client: Client, *, sent: bool, wanted: bool) -> None:
    given = [
        client.input(
            f"in_{each}", np.array([np.nan, np.inf, -np.inf], NUMPY[each]), each, binary=sent or each == "FP16"
        )
        for each in ("FP16", "FP32", "FP64")
    ]
    outputs = [
        client.module.InferRequestedOutput(f"out_{each}", binary_data=wanted) for each in ("FP16", "FP32", "FP64")
    ]
    found = client.infer("floats", given, outputs=outputs)
    for each in ("FP16", "FP32", "FP64"):
        if wanted or each != "FP16":
            values = found.as_numpy(f"out_{each}")
        else:
            values = np.array(found.get_output(f"out_{each}")["data"])
        np.testing.assert_array_equal(values.astype(np.float64), [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_requests_and_answers(client: Client, coding: str, *, binary: bool) -> None:
    outputs = [client.module.InferRequestedOutput("y", binary_data=binary)]
    found = client.infer(
        "dense",
        dense(client, 64, binary=binary),
        outputs=outputs,
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_allclose(
        found.as_numpy("y"), client.infer("dense", dense(client, 64)).as_numpy("y"), rtol=1e-5, atol=1e-6
    )


def test_an_id_comes_back_and_parameters_pass(client: Client) -> None:
    found = client.infer(
        "dense",
        dense(client),
        model_version="1",
        request_id="zwölf-12",
        priority=1,
        timeout=60_000_000,
        parameters={"mine": "kept", "count": 3, "on": True, "share": 0.5},
        query_params={"trace": "a b"},
        headers={"X-Mine": "1"},
    )
    said = found.get_response()
    assert (said["id"], said["model_name"], said["model_version"]) == ("zwölf-12", "dense", "1")
    assert "id" not in client.infer("dense", dense(client)).get_response()


def test_a_deadline_that_cannot_be_met_is_refused(client: Client) -> None:
    status, text = refused(client, "infer", "dense", dense(client), timeout=1)
    assert status == "429"
    assert "deadline" in text


def test_what_is_not_supported_is_refused(client: Client) -> None:
    classes = [client.module.InferRequestedOutput("y", class_count=2)]
    assert refused(client, "infer", "dense", dense(client), outputs=classes)[0] == "400"
    status, text = refused(client, "infer", "dense", dense(client), sequence_id=7, sequence_start=True)
    assert (status, "sequence" in text) == ("400", True)


def test_what_is_wrong_is_told(client: Client) -> None:
    assert refused(client, "infer", "nope", dense(client))[0] == "404"
    assert refused(client, "infer", "dense", dense(client), model_version="9")[0] == "404"
    assert refused(client, "infer", "bad", dense(client))[0] == "503"
    status, text = refused(client, "infer", "dense", [client.input("z", np.ones((1, 4), np.float32), "FP32")])
    assert status == "400"
    assert "takes the inputs x" in text
    status, text = refused(client, "infer", "dense", [client.input("x", np.ones((1, 4)), "FP64")])
    assert status == "400"
    assert "FP32, not FP64" in text
    outputs = [client.module.InferRequestedOutput("q")]
    status, text = refused(client, "infer", "dense", dense(client), outputs=outputs)
    assert status == "400"
    assert "no output q" in text


def test_many_at_once_each_get_their_own_answer(server: Served) -> None:
    async def ask() -> None:
        async with aio.InferenceServerClient(server.address) as client:

            async def one(number: int) -> None:
                made = aio.InferInput("in_FP32", [number % 3 + 1, 1], "FP32")
                values = np.full((number % 3 + 1, 1), number, np.float32)
                made.set_data_from_numpy(values)
                text = aio.InferInput("in_BYTES", [number % 3 + 1, 1], "BYTES")
                text.set_data_from_numpy(np.full((number % 3 + 1, 1), str(number), np.object_))
                found = await client.infer("wide", [made, text], request_id=str(number))
                assert found.get_response()["id"] == str(number)
                np.testing.assert_array_equal(found.as_numpy("out_FP32"), values)
                assert set(texts(found.as_numpy("out_BYTES"))) == {str(number).encode()}

            await asyncio.gather(*(one(number) for number in range(300)))

    asyncio.run(ask())
