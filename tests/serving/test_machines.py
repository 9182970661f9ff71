"""Two machines with workers, in network namespaces; the controller and its client are here."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tritonclient.http as client_of
from tests.support.machines import Machine, require_namespaces
from tests.support.model_servers import Serve, Served, asked_slow, busy, infer_slow, write_model, write_slow_model
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow
PORT = 9000


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[Machine]]:
    """Two of them; the clock of the second is an hour ahead."""
    require_namespaces()
    with Machine(tmp_path, "one", 1) as one, Machine(tmp_path, "two", 2, clock=3600) as two:
        yield [one, two]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(secrets.token_hex(32))
    return path


@contextlib.contextmanager
def waiting(machine: Machine, token: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker on a machine."""
    (machine.home / "models").mkdir(exist_ok=True)
    words = (
        "--listen",
        f"{machine.address}:{PORT}",
        "--models",
        str(machine.home / "models"),
        "--token-file",
        str(token),
    )
    command = [*machine.prefix, sys.executable, "-m", "clx", "serve", "worker", *words]
    environment = machine.environment | {"XDG_CACHE_HOME": str(machine.home / "cache")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=machine.home, env=environment)
    assert process.stdout is not None
    try:
        assert f"Waiting at {machine.address}:{PORT}" in process.stdout.readline()
        yield process
    finally:
        process.kill()  # what it has started there ends with the machine
        process.wait()
        process.stdout.close()


def served_by(serve: Serve, machines: list[Machine], token: Path, *words: str) -> tuple[Served, list[str]]:
    """A controller that has both workers, and what it said of them."""
    named = [word for each in machines for word in ("--worker", f"{each.address}:{PORT}")]
    server = serve(*named, "--token-file", str(token), *words)
    return server, sorted(line_of(server) for _ in machines)


def line_of(server: Served) -> str:
    return server.line()


def load(client: Any, path: str) -> None:
    client.load_model("slow", config=json.dumps({"parameters": {"path": path}}))


def test_workers_first_then_the_controller_then_a_client(
    machines: list[Machine], token: Path, serve: Serve, tmp_path: Path
) -> None:
    one, two = machines
    with waiting(one, token), waiting(two, token):
        dense = write_model(tmp_path / "dense.onnx")
        server, lines = served_by(serve, machines, token, "--model", f"dense={dense}")
        assert f"Worker {one.address}:{PORT} is there" in lines[0]
        assert f"Worker {two.address}:{PORT} is there" in lines[1]
        assert abs(float(lines[1].split("its clock ")[1].split(" ms")[0]) - 3_600_000) < 60_000
        with client_of.InferenceServerClient(server.address, network_timeout=120) as client:
            until(lambda: client.is_model_ready("dense"))  # it went there by the link
            write_slow_model(one.home / "models" / "slow.onnx")
            with pytest.raises(InferenceServerException, match=r"there is no slow\.onnx below") as raised:
                load(client, "slow.onnx")
            assert f"worker {two.address}:{PORT}: there is no slow.onnx below {two.home}/models" in str(raised.value)
            write_slow_model(two.home / "models" / "slow.onnx")
            load(client, "slow.onnx")
            assert client.infer("slow", asked_slow(5)).as_numpy("y").tolist() == [5]


def test_the_six_steps_of_the_document(machines: list[Machine], token: Path, serve: Serve) -> None:
    """Workers, then the controller, then a client: wait, load, countdown, infer; and the same after a kill."""
    one, two = machines
    with waiting(one, token), waiting(two, token):
        server, lines = served_by(serve, machines, token, "--phases")  # 1, 2: empty workers are found
        assert all(f"{each.address}:{PORT} is there" in line for each, line in zip(machines, lines, strict=True))
        with client_of.InferenceServerClient(server.address, network_timeout=120) as client:
            assert client.get_server_metadata()["phase"] == "wait"
            bounced(lambda: client.infer("slow", asked_slow(1)), 404, "there is no model slow")
            with pytest.raises(InferenceServerException, match=r"there is no slow\.onnx below") as absent:
                load(client, "slow.onnx")  # 3: of all workers that lack it, the client hears
            for each in machines:
                assert f"worker {each.address}:{PORT}: there is no slow.onnx" in str(absent.value)
                write_slow_model(each.home / "models" / "slow.onnx")
            assert server.line() == "Phase: load.\n"
            load(client, "slow.onnx")
            bounced(lambda: client.infer("slow", asked_slow(1)), 409, "no requests are taken yet")
            seen = [server.line() for _ in range(2)]  # 4: after a second of silence
            while seen[-1] != "Phase: infer.\n":
                seen.append(server.line())
            assert seen[-2:] == ["Phase: countdown.\n", "Phase: infer.\n"]
            assert client.infer("slow", asked_slow(5)).as_numpy("y").tolist() == [5]  # 5
            bounced(lambda: load(client, "slow.onnx"), 409, "loading is over")  # 6
            bounced(lambda: client.unload_model("slow"), 409, "loading is over")
        server.process.kill()
        server.process.wait()
        again, _ = served_by(serve, machines, token, "--phases")
        with client_of.InferenceServerClient(again.address, network_timeout=120) as client:
            assert client.get_server_metadata()["phase"] == "infer"
            bounced(lambda: load(client, "slow.onnx"), 409, "loading is over")
            until(lambda: client.is_model_ready("slow"))
            assert client.infer("slow", asked_slow(7)).as_numpy("y").tolist() == [7]


def bounced(call: Callable[[], Any], status: int, text: str) -> None:
    with pytest.raises(InferenceServerException, match=text) as refused:
        call()
    assert refused.value.status() == str(status)


def test_a_machine_that_is_cut_off_loses_no_request(machines: list[Machine], token: Path, serve: Serve) -> None:
    one, two = machines
    with waiting(one, token) as cut_off, waiting(two, token):
        for each in machines:
            write_slow_model(each.home / "models" / "slow.onnx")
        server, _ = served_by(serve, machines, token)
        with client_of.InferenceServerClient(server.address, network_timeout=120) as client:
            load(client, "slow.onnx")
        turns = 1_000_000
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(infer_slow, server.address, turns) for _ in machines]
            busy(cut_off)
            one.link(up=False)
            assert f"Worker {one.address}:{PORT} is lost" in line_of(server)
            assert [each.result() for each in answers] == [[turns]] * 2
        one.link(up=True)
        while "is there: CLX" not in line_of(server):
            pass
