"""Models that hang, exit, raise and lie, in workers beside good ones: each is answered, and the good ones go on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Serve, Served
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow
SLACK = 3.0
"""Seconds of a machine that does much else."""
_CODE = """
import os, time
import numpy as np

def _model(what):
    def call(given):
        if given["x"].any():
            return what(given["x"])
        return {"y": given["x"]}
    call.inputs, call.outputs = {"x": ("FP32", [-1, 2])}, {"y": ("FP32", [-1, 2])}
    return call

_kept = []
good = _model(lambda x: {"y": x})
hang = _model(lambda x: time.sleep(1000))
leave = _model(lambda x: os._exit(3))
orphan = _model(lambda x: os.fork() and os._exit(5) or time.sleep(1000))
abort = _model(lambda x: os.abort())
fail = _model(lambda x: 1 / 0)
shape = _model(lambda x: {"y": np.zeros((3, 3, 3))})
dtype = _model(lambda x: {"y": [["a", "b"]]})
more = _model(lambda x: {"y": x, "z": x})
nan = _model(lambda x: {"y": [[float("nan"), float("inf")]]})
leak = _model(lambda x: (_kept.append(bytearray(os.urandom(1) * (8 << 20))), {"y": x})[1])
if os.environ.get("CLX_TEST_LEAVES"):
    class Leaves:
        inputs, outputs = good.inputs, good.outputs
        def __init__(self):
            os._exit(4)
"""
MODELS = ("good", "hang", "leave", "abort", "orphan", "fail", "shape", "dtype", "more", "nan", "leak")


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_models.py").write_text(_CODE)
    monkeypatch.setenv("CLX_SERVING__MODULES", '["their_models"]')
    monkeypatch.setenv("CLX_SERVING__HANG_TIMEOUT", "3")


def add(directory: Path, *names: str) -> None:
    for name in names:
        words = ("models", "add", name.lower(), f"their_models:{name}")
        subprocess.run([sys.executable, "-m", "clx", *words], cwd=directory, check=True, capture_output=True)


def ask(server: Served, model: str, value: float = 1.0, **options: Any) -> Any:
    """What is answered: numbers, or status and text."""
    x = client_of.InferInput("x", [1, 2], "FP32")
    x.set_data_from_numpy(np.full((1, 2), value, np.float32))
    with client_of.InferenceServerClient(server.address, network_timeout=60) as client:
        try:
            return client.infer(model, [x], **options).as_numpy("y").tolist()
        except InferenceServerException as error:
            return error.status(), error.message()


def is_asked_again(server: Served, model: str) -> bool:
    return bool(ask(server, model, 0.0) == [[0.0, 0.0]])


@contextlib.contextmanager
def others(server: Served, model: str = "good") -> Iterator[list[Any]]:
    """Somebody asks a good model all the while; what was answered otherwise than it should be is in the list."""
    wrong: list[Any] = []
    over, count = threading.Event(), 0

    def go_on() -> None:
        nonlocal count
        while not over.is_set():
            told = ask(server, model)
            count += 1
            if told != [[1.0, 1.0]]:
                wrong.append(told)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()
    assert count > 10


@pytest.fixture
def server(allowed: None, serve: Serve, tmp_path: Path) -> Served:
    add(tmp_path, *MODELS)
    found = serve("--workers", "2")
    with client_of.InferenceServerClient(found.address) as client:
        for each in MODELS:
            until(partial(client.is_model_ready, each))
            client.load_model(each)  # by both
    return found


def test_whatever_a_model_does_its_requests_are_answered_and_others_never_notice(server: Served) -> None:
    workers = server.children()
    with others(server) as wrong:
        told = {each: ask(server, each) for each in ("fail", "shape", "dtype", "more", "nan")}
        assert (told["fail"], str(told["nan"])) == (("500", "ZeroDivisionError: division by zero"), "[[nan, inf]]")
        for model, text in {"shape": "has the shape", "dtype": "has elements of", "more": "says nothing: z"}.items():
            assert told[model][0] == "500"
            assert text in told[model][1]
        assert server.children() == workers
        began = monotonic()
        assert ask(server, "hang", timeout=500_000)[0] == "504"
        assert monotonic() - began < 0.5 + SLACK
        assert "Model hang has ended a worker (it hung)" in server.line()
        until(partial(is_asked_again, server, "hang"))  # the worker is replaced
        for model, how in {"leave": "exit status 3", "abort": "SIGABRT", "orphan": "exit status 5"}.items():
            assert ask(server, model) == ("500", f"the model has ended its worker: {how}")
            until(partial(is_asked_again, server, model))
    assert wrong == []
    assert server.children() != workers


def test_what_ends_workers_again_and_again_is_out_until_somebody_wants_it(server: Served) -> None:
    with others(server) as wrong:
        answers = [ask(server, "leave")]
        while "load it to try again" not in answers[-1][1]:
            answers.append(ask(server, "leave"))
        assert sum("has ended its worker" in each[1] for each in answers) == 3
        assert {each[0] for each in answers} == {"500", "503"}
    assert wrong == []
    with client_of.InferenceServerClient(server.address) as client:
        client.load_model("leave")
    assert ask(server, "leave", 0.0) == [[0.0, 0.0]]


def test_a_worker_that_leaks_is_replaced_and_nobody_notices(
    allowed: None, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLX_SERVING__WORKER_GROWTH", "64m")
    add(tmp_path, "good", "leak")
    server = serve()
    with client_of.InferenceServerClient(server.address) as client:
        for each in ("good", "leak"):
            until(partial(client.is_model_ready, each))
    (worker,) = server.children()
    with others(server) as wrong:
        while worker in server.children():
            assert ask(server, "leak") == [[1.0, 1.0]]
        assert f"Worker process {worker} has grown to" in (said := server.line())
        assert "leak" in said.partition("probably by ")[2]
        assert ask(server, "leak") == [[1.0, 1.0]]
    assert wrong == []


def test_who_waits_without_a_deadline_for_what_hangs_is_answered_too(server: Served) -> None:
    assert ask(server, "hang") == ("500", "the model has ended its worker: it hung")


def test_what_ends_its_worker_when_it_is_loaded_fails_and_is_left_alone(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_models.py").write_text(_CODE.replace('os.environ.get("CLX_TEST_LEAVES")', "True"))
    killed, _ = server.children()
    psutil.Process(killed).kill()  # the module was imported before
    until(lambda: killed not in (now := server.children()) and len(now) == 2)
    add(tmp_path, "Leaves")
    with client_of.InferenceServerClient(server.address) as client:
        until(lambda: "ended the worker" in reasons(client).get("leaves", ""))
    assert ask(server, "good") == [[1.0, 1.0]]
    assert "not ready" in ask(server, "leaves")[1]


def reasons(client: Any) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in client.get_model_repository_index()}
