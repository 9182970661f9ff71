"""Servers of the benchmark: each is started with a model, asked until it answers, measured, ended."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import peers
from benchmarks.rivals.crew import ROOT, cpu, memory, tree
from benchmarks.served.networks import ROW

RUNTIME = "onnxruntime==1.32.0"
PLAIN = (
    "numpy==2.4.6", RUNTIME, "uvloop==0.23.0", "httptools==0.9.0", "orjson==3.13.0", "starlette==1.10.0",
    "uvicorn==0.54.0",
)  # fmt: skip
MLSERVER = ("mlserver==1.7.1", RUNTIME)
LITSERVE = ("litserve==0.2.19", RUNTIME)
_LITSERVE = "from benchmarks.rivals.serve_litserve import main; main()"
BENTOML = ("bentoml==1.4.40", RUNTIME)
PATIENCE = 90
"""Seconds after which a server that has not answered is given up."""


class Server(NamedTuple):
    """A server that answers.

    Attributes:
        port: of it.
        process: the first of its processes.
        path: to infer.
        start: seconds until its first answer.
    """

    port: int
    process: int
    path: str
    start: float

    def cost(self) -> float:
        """Seconds of a processor that all its processes have taken."""
        return cpu(tree(self.process))

    def memory(self) -> int:
        """Bytes that they hold, shared ones by their part."""
        return memory(tree(self.process))


class Cost(NamedTuple):
    """Of a closed loop: microseconds of a processor a request, of latencies in ms, requests a second."""

    cpu: float
    p50: float
    p99: float
    rate: float


def request(
    *, rows: int = 1, timeout: float = 0, path: str = "/v2/models/mlp/infer", binary: bool = False
) -> dict[str, Any]:
    """A request for :mod:`benchmarks.served.client`; *timeout*: seconds, 0: none."""
    from random import Random

    dice = Random(1)
    numbers = [round(dice.uniform(-1, 1), 4) for _ in range(rows * ROW)]
    parameters: dict[str, Any] = {"timeout": int(timeout * 1e6)} if timeout else {}
    given: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [rows, ROW]}
    headers: dict[str, str] = {"content-type": "application/json"}
    if binary:
        import struct

        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        given["parameters"] = {"binary_data_size": len(raw)}
        head = json.dumps({"inputs": [given], "parameters": {**parameters, "binary_data_output": True}}).encode()
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
        body = head + raw
    else:
        given["data"] = numbers
        body = json.dumps({"inputs": [given], **({"parameters": parameters} if parameters else {})}).encode()
    return {"path": path, "headers": headers, "body": base64.b64encode(body).decode()}


def drive(server: Server, requests: Sequence[dict[str, Any]], **more: Any) -> list[tuple[float, float, int, int]]:
    """Put a server under load; what became of each request."""
    plan = {"host": "127.0.0.1", "port": server.port, "requests": list(requests), **more}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.served.client"],
        input=json.dumps(plan), capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-1000:])
    return [tuple(each) for each in json.loads(done.stdout)]


@contextmanager
def driven(server: Server, asked: dict[str, Any], clients: int, seconds: float) -> Iterator[None]:
    """A closed loop that goes on meanwhile, for *seconds* at most."""
    plan = {"host": "127.0.0.1", "port": server.port, "requests": [asked], "clients": clients, "seconds": seconds}
    command = [sys.executable, "-m", "benchmarks.served.client"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan))
        process.stdin.close()
        time.sleep(1)  # until it has begun
        try:
            yield
        finally:
            process.kill()


def closed(server: Server, clients: int, seconds: float, asked: dict[str, Any] | None = None) -> Cost:
    """A closed loop of *clients*."""
    asked = asked or request(path=server.path)
    before = server.cost()
    replies = drive(server, [asked], clients=clients, seconds=seconds)
    spent = server.cost() - before
    good = sorted(took for _, took, status, _ in replies if status in (200, 201))
    if len(good) < len(replies) * 0.99 or not good:
        raise RuntimeError(f"{len(replies) - len(good)} of {len(replies)} requests failed")
    return Cost(
        spent / len(good) * 1e6,
        good[len(good) // 2] * 1e3,
        good[min(len(good) - 1, int(len(good) * 0.99))] * 1e3,
        len(good) / seconds,
    )


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str | Path], path: str, port: int, cwd: Path, **environment: str) -> Iterator[Server]:
    """A server, from its first answer on."""
    asked, began = request(path=path), time.monotonic()
    with Path(cwd, "log").open("w+") as log, subprocess.Popen(
        [str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        env=os.environ | {"PYTHONPATH": str(ROOT), **environment}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while not _answers(port, asked):
                if process.poll() is not None or time.monotonic() > began + PATIENCE:
                    log.seek(0)
                    raise RuntimeError(log.read()[-1500:] or "it does not answer")
                time.sleep(0.01)
            yield Server(port, process.pid, path, time.monotonic() - began)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _answers(port: int, asked: dict[str, Any]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", asked["path"], base64.b64decode(asked["body"]), asked["headers"])
        return connection.getresponse().status in (200, 201)
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


@contextmanager
def clx(models: dict[str, Path], *more: str, path: str = "/v2/models/mlp/infer") -> Iterator[Server]:
    """``clx serve``."""
    port = free_port()
    given = [word for name, file in models.items() for word in ("--model", f"{name}={file}")]
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "clx", "serve", "--port", str(port), *given, *more]
        with running(command, path, port, Path(folder), PYTHONPATH=str(ROOT / "src")) as server:
            yield server


@contextmanager
def inline(model: Path, how: str = "inline") -> Iterator[Server]:
    """The floor, what a hop to another process makes of it, or the same in starlette."""
    port, python = free_port(), peers.environment("bench-serving-plain", PLAIN)
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        command: list[str | Path] = [python, "-m", "benchmarks.rivals.serve_inline", str(port), model, how]
        with running(command, "/v2/models/mlp/infer", port, Path(folder)) as server:
            yield server


@contextmanager
def mlserver(model: Path) -> Iterator[Server]:
    """MLServer without processes of its own: with them it does not begin to serve."""
    port, python = free_port(), peers.environment("bench-serving-mlserver", MLSERVER)
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        said: dict[str, Any] = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "parallel_workers": 0}
        said |= {"metrics_endpoint": None, "debug": False, "use_structured_logging": False}
        Path(folder, "settings.json").write_text(json.dumps(said))
        of_it = {"name": "mlp", "implementation": "benchmarks.rivals.serve_mlserver.Mlp"}
        Path(folder, "model-settings.json").write_text(json.dumps({**of_it, "parameters": {"uri": str(model)}}))
        command: list[str | Path] = [python.parent / "mlserver", "start", folder]
        with running(command, "/v2/models/mlp/infer", port, Path(folder)) as server:
            yield server


@contextmanager
def litserve(model: Path) -> Iterator[Server]:
    """LitServe."""
    port, python = free_port(), peers.environment("bench-serving-litserve", LITSERVE)
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        command: list[str | Path] = [python, "-c", _LITSERVE, str(port), model]
        with running(command, "/predict", port, Path(folder)) as server:
            yield server


@contextmanager
def bentoml(model: Path) -> Iterator[Server]:
    """BentoML."""
    port, python = free_port(), peers.environment("bench-serving-bentoml", BENTOML)
    with tempfile.TemporaryDirectory(dir=peers.HOME, ignore_cleanup_errors=True) as folder:
        words = ["serve", "benchmarks.rivals.serve_bentoml:Mlp", "--host", "127.0.0.1", "--port", str(port)]
        command: list[str | Path] = [python, "-m", "bentoml", *words]
        quiet = {"BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "1", "BENCH_MODEL": str(model)}
        with running(command, "/infer", port, Path(folder), **quiet) as server:
            yield server
