"""Workers that wait at an address, and a controller that seeks them; all on this machine."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Serve, Served, asked_slow, busy, infer_slow, write_slow_model
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow
ENDLESS = 1 << 40


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(secrets.token_hex(32))
    return path


@pytest.fixture
def pair(serve: Serve, worker: Serve, token: Path, tmp_path: Path) -> tuple[Served, list[Served]]:
    """A controller with a slow model and two workers, which have it."""
    workers = [worker("--token-file", str(token)) for _ in range(2)]
    named = [word for each in workers for word in ("--worker", each.address)]
    model = write_slow_model(tmp_path / "slow.onnx")
    return serve(*named, "--token-file", str(token), "--model", f"slow={model}"), workers


@pytest.fixture
def client(pair: tuple[Served, list[Served]]) -> Iterator[Any]:
    with client_of.InferenceServerClient(pair[0].address, concurrency=4, network_timeout=120) as found:
        for _ in pair[1]:
            assert "is there: CLX" in line_of(pair[0])
        until(lambda: found.is_model_ready("slow"))
        found.load_model("slow")  # by all of them
        yield found


def line_of(server: Served) -> str:
    return server.line()


@pytest.mark.usefixtures("client")
def test_what_a_killed_worker_was_doing_is_done_by_another_and_the_killed_one_is_there_again(
    pair: tuple[Served, list[Served]],
) -> None:
    server, workers = pair
    turns = 3_000_000
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(infer_slow, server.address, turns)
        busy(*(each.process for each in workers)).kill()
        assert "is lost" in line_of(server)
        assert answer.result() == [turns]
    assert "is there: CLX" in line_of(server)


@pytest.mark.usefixtures("client")
def test_a_request_that_ends_workers_is_not_run_for_ever(pair: tuple[Served, list[Served]]) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(infer_slow, pair[0].address, ENDLESS)
        first = busy(*(each.process for each in pair[1]))
        first.kill()
        second = busy(*(each.process for each in pair[1]))
        assert second.pid != first.pid
        second.kill()
        with pytest.raises(InferenceServerException, match="2 workers have ended") as raised:
            answer.result()
    assert raised.value.status() == "500"


def test_what_hangs_is_answered_at_its_deadline_and_others_are_served_meanwhile(client: Any) -> None:
    with pytest.raises(InferenceServerException) as raised:
        client.infer("slow", asked_slow(ENDLESS), timeout=300_000)
    assert raised.value.status() == "504"
    assert client.infer("slow", asked_slow(7)).as_numpy("y").tolist() == [7]


def test_a_worker_has_files_below_its_directory_and_says_what_is_not_there(
    serve: Serve, worker: Serve, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "models" / "deep").mkdir(parents=True)
    model.rename(tmp_path / "models" / "deep" / "dense.onnx")
    (tmp_path / "models" / "away").symlink_to("/etc")
    waiting = worker("--models", str(tmp_path / "models"))
    server = serve("--worker", waiting.address)
    assert "is there: CLX" in line_of(server)
    with client_of.InferenceServerClient(server.address) as client:
        for path, text in {
            "none.onnx": f"there is no none.onnx below {tmp_path}/models",
            "../token": "is not below",
            "away/passwd": "is not below",
            "/etc/passwd": "is not below",
            "deep": "there is no deep",
            "a\0b": "is no path",
        }.items():
            with pytest.raises(InferenceServerException, match=f"worker {waiting.address}: .*{text}") as raised:
                client.load_model("dense", config=config(path))
            assert raised.value.status() == "400"
        client.load_model("dense", config=config("deep/dense.onnx"))
        x = client_of.InferInput("x", [1, 4], "FP32")
        x.set_data_from_numpy(np.zeros((1, 4), np.float32))
        assert client.infer("dense", [x]).as_numpy("y").shape == (1, 3)


def config(path: str) -> str:
    return json.dumps({"parameters": {"path": {"string_value": path}}})


def test_a_file_is_sent_once_and_a_damaged_copy_is_fetched_anew(
    serve: Serve, worker: Serve, tmp_path: Path, model: Path
) -> None:
    waiting = worker()
    for _ in range(2):
        server = serve("--worker", waiting.address, "--model", f"dense={model}")
        with client_of.InferenceServerClient(server.address) as client:
            until(lambda: client.is_model_ready("dense"))
        kept = list((tmp_path / "cache" / "clx" / "serving").iterdir())
        assert [each.read_bytes() for each in kept] == [model.read_bytes()]
        kept[0].write_bytes(b"damaged")
        server.process.terminate()
        server.process.wait()


def test_whoever_does_not_know_the_token_is_told_so_at_both_ends(
    serve: Serve, worker: Serve, token: Path, tmp_path: Path
) -> None:
    waiting = worker("--token-file", str(token))
    (tmp_path / "other").write_text(secrets.token_hex(32))
    server = serve("--worker", waiting.address, "--token-file", str(tmp_path / "other"))
    assert "cannot be reached: the worker knows another token" in line_of(server)
    assert "127.0.0.1 is not taken: it does not know the token." in line_of(waiting)


def test_whoever_is_no_controller_gets_a_greeting_and_no_worker(worker: Serve) -> None:
    waiting = worker()
    host, port = waiting.address.split(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"clx serving worker" in link.recv(4096)
    assert "is not taken" in line_of(waiting)


@pytest.mark.parametrize(
    "words",
    [
        ("worker", "--listen", "0.0.0.0:0"),
        ("--worker", "10.0.0.1:9000"),
    ],
)
def test_other_machines_want_a_token(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", "clx", "serve", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "both ends need a token" in done.stderr
    assert "openssl rand -hex 32" in done.stderr
