"""A server whose models do not all fit into the memory that they may take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.http as client_of
from tests.support.model_servers import Serve, write_model
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.slow
SOAK = bool(os.environ.get("CLX_SOAK"))
MODELS, INSIDE, FITTING, REQUESTS = (50, 2236, 10, 100) if SOAK else (20, 1024, 5, 60)
"""Fifty of 20 MB in 200 MB; and a short form of that."""
ONE = INSIDE * INSIDE * 4
"""Bytes of a model."""


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    """Keeps models of some megabytes, by ``clx models add``."""

    def add(name: str, *arguments: str, seed: int = 1) -> None:
        path = write_model(tmp_path / f"{name}.onnx", inside=INSIDE, seed=seed, deep=True)
        command = [sys.executable, "-m", "clx", "models", "add", name, str(path), *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    return add


def ask(client: Any, model: str, **options: Any) -> list[list[float]]:
    made = client_of.InferInput("x", (1, 4), "FP32")
    made.set_data_from_numpy(np.ones((1, 4), np.float32))
    found: list[list[float]] = client.infer(model, [made], **options).as_numpy("y").tolist()
    return found


def told_of(client: Any, model: str) -> tuple[str, str]:
    """Status and text of the answer to a request that has 20 ms; empty where that was its result."""
    try:
        ask(client, model, timeout=20_000)
    except InferenceServerException as error:
        return error.status(), error.message()
    return "", ""


def in_memory(client: Any) -> dict[str, int]:
    stats = client.get_inference_statistics()["model_stats"]
    return {each["name"]: each["bytes_in_memory"] for each in stats if each["bytes_in_memory"]}


def test_many_models_where_a_few_fit_are_all_answered(serve: Serve, tmp_path: Path) -> None:
    files = [write_model(tmp_path / f"m{n}.onnx", inside=INSIDE, seed=n, deep=True) for n in range(MODELS)]
    budget = FITTING * ONE + ONE // 2
    server = serve(f"--memory-budget={budget}", *(f"--model={each}" for each in files))
    (worker,) = server.children()
    weights = list(accumulate(1 / (n + 1) for n in range(MODELS)))

    def zipf(seed: int) -> list[tuple[int, int]]:
        """Requests one after another; after each, what models are said to take, and what the worker has."""
        dice = Random(seed)
        taken: list[tuple[int, int]] = []
        with client_of.InferenceServerClient(server.address, network_timeout=900 if SOAK else 120) as client:
            for _ in range(REQUESTS):
                (model,) = dice.choices(range(MODELS), cum_weights=weights)
                if len(taken) % 4 == 3:  # one without the time for a load is told so, or is in time
                    told.append(told_of(client, f"m{model}"))
                ask(client, f"m{model}")  # none is ever told that its model was given up
                taken.append((sum(in_memory(client).values()), psutil.Process(worker).memory_info().rss))
        return taken

    told: list[tuple[str, str]] = []
    with client_of.InferenceServerClient(server.address, network_timeout=900 if SOAK else 120) as client:
        until(lambda: in_memory(client))
        with ThreadPoolExecutor(2) as threads:
            taken = [each for some in threads.map(zipf, (1, 2)) for each in some]
        said, had = zip(*taken, strict=True)
        assert {each[0] for each in told} <= {"", "429", "503", "504"}
        cold = [each for each in told if each[0] == "503"]
        assert cold
        assert all("it is cold, and being loaded" in each[1] for each in cold)
        assert max(said) <= budget + 2 * ONE  # measured: between ONE and twice that
        assert max(had) - min(had) <= budget + 4 * ONE  # a load has the file twice for a moment
        assert 1 < len(in_memory(client)) < MODELS
        states = {each["state"] for each in client.get_inference_statistics()["model_stats"]}
        assert states == {"ready", "cold"}
        assert all(ask(client, f"m{model}") for model in range(MODELS))
    assert server.children() == [worker]


def test_commands_and_clients_are_told_what_is_cold_and_warm_ones_stay(
    serve: Serve, keep: Callable[..., None], tmp_path: Path
) -> None:
    keep("a", "--warm")
    for name in "bcdef":
        keep(name)

    def listed() -> dict[str, str]:
        command = [sys.executable, "-m", "clx", "models", "list", "--format", "json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return {each["name"]: each["stands"] for each in json.loads(done.stdout)["models"]}

    def cold_ones() -> set[str]:
        stats = client.get_inference_statistics()["model_stats"]
        return {each["name"] for each in stats if each["state"] == "cold"}

    with client_of.InferenceServerClient(serve(f"--memory-budget={5 * ONE}").address) as client:
        until(lambda: len(in_memory(client)) + len(cold_ones()) == 6)
        cold = min(cold_ones())
        assert not client.is_model_ready(cold)
        until(lambda: listed()[cold] == "cold")
        with pytest.raises(InferenceServerException, match="cold") as raised:
            ask(client, cold, timeout=1)
        assert "503" in str(raised.value.status())
        until(lambda: client.is_model_ready(cold))  # it was loaded all the same
        assert ask(client, cold)
        assert in_memory(client).keys() >= {"a", cold}
        until(lambda: listed()[cold] == "ready")
        other = min(cold_ones())
        client.load_model(other)
        assert in_memory(client).keys() >= {"a", other}
