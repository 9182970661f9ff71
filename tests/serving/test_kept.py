"""Models that the job table keeps: changed by commands and by clients, served again after whatever end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Serve, Served, write_model
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another model, that takes and gives the same."""
    return write_model(tmp_path / "other.onnx", seed=2)


@pytest.fixture
def models(tmp_path: Path) -> Callable[..., Any]:
    """``clx models`` in the project of the server; returns its document, or its last line of error."""

    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "clx", "models", *arguments, "--format", "json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    return run


def until(holds: Callable[[], object]) -> None:
    """A server that never gets there ends the test by its time limit."""
    while not holds():
        os.sched_yield()


def connect(server: Served) -> Any:
    return client_of.InferenceServerClient(server.address)


def result(client: Any, model: str = "dense") -> Any:
    made = client_of.InferInput("x", (1, 4), "FP32")
    made.set_data_from_numpy(np.ones((1, 4), np.float32))
    return client.infer(model, [made]).as_numpy("y").tolist()


def versions(client: Any, model: str = "dense") -> list[str]:
    found: list[str] = client.get_model_metadata(model)["versions"]
    return found


def test_commands_are_heeded_by_a_server_that_runs(
    serve: Serve, models: Callable[..., Any], model: Path, other: Path
) -> None:
    with connect(serve()) as client:
        models("add", "dense", str(model))
        until(lambda: client.is_model_ready("dense"))
        first = result(client)
        models("add", "dense", str(other))
        until(lambda: versions(client) == ["2"])
        assert result(client) != first
        models("load", "dense", "--version", "1")
        until(lambda: versions(client) == ["1"])
        assert result(client) == first
        models("unload", "dense")
        until(lambda: not client.is_model_ready("dense"))
        models("warm", "dense")
        until(lambda: client.is_model_ready("dense"))
        models("remove", "dense")
        until(lambda: client.get_model_repository_index() == [])


def test_requests_go_on_while_a_version_takes_the_place_of_another(
    serve: Serve, models: Callable[..., Any], model: Path, other: Path
) -> None:
    models("add", "dense", str(model))
    with connect(serve()) as client:
        until(lambda: client.is_model_ready("dense"))
        seen = [result(client)]
        models("add", "dense", str(other))
        while seen[-1] == seen[0]:  # each is answered, by one or the other
            seen.append(result(client))
        assert len({json.dumps(each) for each in seen}) == 2


def test_what_is_uploaded_is_served_and_kept(
    serve: Serve, models: Callable[..., Any], model: Path, other: Path
) -> None:
    config = json.dumps({"backend": "onnxruntime", "max_batch_size": 8})
    with connect(serve()) as client:
        client.load_model("dense", config=config, files={"file:3/model.onnx": model.read_bytes()})
        assert versions(client) == ["3"]
        assert client.get_model_config("dense")["max_batch_size"] == 8
        first = result(client)
        client.load_model("dense", files={"file:4/model.onnx": other.read_bytes()})
        assert versions(client) == ["4"]
        assert result(client) != first
        (row,) = [each for each in models("list")["models"] if each["chosen"]]
        assert (row["version"], row["residence"], row["size"]) == ("4", "loaded", other.stat().st_size)
        client.load_model("dense", files={"file:4/model.onnx": model.read_bytes()})
        assert result(client) == first


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"files": {"file:2/model.onnx": b"no model"}}, "cannot be loaded"),
        ({"files": {"file:2/model.py": b"print()"}}, "file:VERSION/model.onnx"),
        ({"files": {"file:../../model.onnx": b""}}, "file:VERSION/model.onnx"),
        ({"config": '{"backend": "python"}', "files": {"file:2/model.onnx": b""}}, "never code"),
        ({"config": '{"max_batch_size": -1}'}, "max_batch_size"),
        ({"config": "[]"}, "JSON object"),
    ],
)
def test_a_broken_upload_leaves_the_version_that_is_served(
    serve: Serve, models: Callable[..., Any], model: Path, parameters: dict[str, Any], text: str
) -> None:
    models("add", "dense", str(model))
    with connect(serve()) as client:
        until(lambda: client.is_model_ready("dense"))
        first = result(client)
        parameters = {"config": "{}", **parameters}
        with pytest.raises(InferenceServerException, match=text) as raised:
            client.load_model("dense", **parameters)
        assert raised.value.status() == "400"
        assert (versions(client), result(client)) == (["1"], first)
        assert [each["version"] for each in models("list")["models"]] == ["1"]


def test_bytes_are_put_as_they_are(serve: Serve, model: Path) -> None:
    server = serve()
    address = f"http://{server.address}/v2/repository/models/dense/versions/7"
    subprocess.run(["curl", "-sf", "-T", str(model), address], check=True)
    with connect(server) as client:
        assert versions(client) == ["7"]


def test_a_server_that_was_killed_serves_the_same_again(
    serve: Serve, models: Callable[..., Any], model: Path, other: Path
) -> None:
    models("add", "dense", str(model), "--timeout", "5000000")
    models("add", "cold", str(other))
    models("unload", "cold")
    server = serve()
    with connect(server) as client:
        client.load_model("sent", files={"file:2/model.onnx": other.read_bytes()})
        until(lambda: client.is_model_ready("dense"))
        before = [result(client, each) for each in ("dense", "sent")]
    workers = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    until(lambda: not any(_runs(int(each)) for each in workers))
    with connect(serve()) as client:
        until(lambda: client.is_model_ready("dense") and client.is_model_ready("sent"))
        assert [result(client, each) for each in ("dense", "sent")] == before
        index = {each["name"]: each["state"] for each in client.get_model_repository_index()}
        assert index == {"cold": "UNAVAILABLE", "dense": "READY", "sent": "READY"}


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


_CODE = """
import numpy as np

class Doubled:
    inputs = {"x": ("FP32", [-1, 4])}
    outputs = {"y": ("FP32", [-1, 4])}
    largest = 8

    def __call__(self, given):
        return {"y": given["x"] * 2}
"""


def test_python_is_served_from_modules_that_are_allowed_only(
    serve: Serve, models: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_models.py").write_text(_CODE)
    assert "may not import shop_models" in models("add", "doubled", "shop_models:Doubled")
    monkeypatch.setenv("CLX_SERVING__MODULES", '["shop_models"]')
    models("add", "doubled", "shop_models:Doubled")
    with connect(serve()) as client:
        until(lambda: client.is_model_ready("doubled"))
        assert result(client, "doubled") == [[2.0] * 4]
        assert client.get_model_metadata("doubled")["platform"] == "python"


def test_what_became_of_requests_is_there_after_the_end(
    serve: Serve, models: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    def clx(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "clx", *words], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode()

    models("add", "dense", str(model))
    server = serve()
    with connect(server) as client:
        until(lambda: client.is_model_ready("dense"))
        result(client)
        with pytest.raises(InferenceServerException, match="deadline"):
            client.infer("dense", [_zeros()], request_id="late", timeout=1)
    assert server.address in clx("serve", "status")
    clx("serve", "stop")
    server.process.wait(20)
    names, *rows = [line.split("\t") for line in clx("serve", "export", "requests").splitlines()]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(each["request"], each["outcome"]) for each in found] == [("", "success"), ("late", "refused_late")]
    assert int(found[0]["arrived_ns"]) < int(found[0]["began_ns"]) < int(found[0]["answered_ns"])
    actions = clx("serve", "export", "actions")
    assert ("load" in actions, "infer" in actions) == (True, True)
    assert "Nothing is served" in clx("serve", "status")


def _zeros() -> Any:
    made = client_of.InferInput("x", (1, 4), "FP32")
    made.set_data_from_numpy(np.zeros((1, 4), np.float32))
    return made


def test_phases_keep_loading_and_requests_apart_and_outlive_the_server(serve: Serve, model: Path) -> None:
    files = {"file:1/model.onnx": model.read_bytes()}
    server = serve("--phases")
    with connect(server) as client:
        assert client.get_server_metadata()["phase"] == "wait"
        client.load_model("dense", files=files)
        with pytest.raises(InferenceServerException, match="no requests are taken yet") as raised:
            result(client)
        assert raised.value.status() == "409"
        until(lambda: client.get_server_metadata()["phase"] == "infer")
        result(client)
        with pytest.raises(InferenceServerException, match="loading is over"):
            client.load_model("other", files=files)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    with connect(serve("--phases")) as client:
        assert client.get_server_metadata()["phase"] == "infer"
        until(lambda: client.is_model_ready("dense"))
        result(client)
